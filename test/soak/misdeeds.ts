/**
 * What origins do that a proxy has to live with. One row each: name, how often it is chosen, what it does with a request whose head has come. A
 * misdeed resolves with whether the connection may serve another request. Nothing here sends a second answer later than the first: to
 * whom that one belongs nobody could tell.
 */
import { frameBody, framingFields, pour, type BodyFraming } from './tagged-body.ts'
import type { OriginVisit, RoughRequest } from './rough-origin.ts'
import type { Leaving } from './rough-socket.ts'

export interface Misdeed {
  readonly name: string
  readonly weight: number
  run(visit: OriginVisit, request: RoughRequest): Promise<boolean>
}

/** Longer than the proxy waits. */
const stallMs = 30_000

function head(request: RoughRequest, bytes: number, framing: BodyFraming, more = ''): string {
  return `HTTP/1.1 200 OK\r\nX-Tag: ${request.tag}\r\nX-Bytes: ${bytes}\r\nX-Framing: ${framing}\r\n${more}${framingFields(framing, bytes)}\r\n`
}

/** The right answer, after all of the request. `before` goes in front of it, `behind` behind it, in the same write as its end. */
async function answer(visit: OriginVisit, request: RoughRequest, { before = '', behind = '', more = '' } = {}): Promise<boolean> {
  const { rough, random } = visit
  if (!(await visit.body())) return false
  // What is behind it has to come with its end, in one read: so it is small.
  const bytes = behind === '' && random.chance(0.1) ? random.integer(10_000, 300_000) : random.integer(0, 2_000)
  const framing = random.pick(['length', 'length', 'chunked', 'chunked', 'close'] as const)
  const pieces: Buffer[] = [Buffer.from(before + head(request, bytes, framing, more), 'latin1')]
  if (request.method !== 'HEAD') pieces.push(...frameBody(`${request.tag}/answer`, bytes, framing, random))
  pieces.push(Buffer.concat([pieces.pop()!, Buffer.from(behind, 'latin1')]))
  await pour(rough.socket, behind === '' ? pieces : [Buffer.concat(pieces)])
  if (framing === 'close') rough.leave('fin')
  return framing !== 'close'
}

/** Says something that is no proper answer, and waits for the proxy to hang up. */
async function say(visit: OriginVisit, text: string): Promise<boolean> {
  if (await visit.body()) await visit.rough.send(text)
  await visit.rough.gone(stallMs)
  return false
}

/** Begins to answer, and goes on with one thing without end. */
async function sayWithoutEnd(visit: OriginVisit, beginning: string, make: (index: number) => string, timesMax: number): Promise<boolean> {
  if (await visit.body()) {
    await visit.rough.send(beginning)
    await visit.rough.repeat(make, timesMax)
  }
  await visit.rough.gone(stallMs)
  return false
}

interface Moment {
  readonly name: string
  reach(visit: OriginVisit, request: RoughRequest): Promise<unknown>
}

// oxfmt-ignore
const moments: readonly Moment[] = [
  { name: 'behind the request head', reach: async () => {} },
  { name: 'in the request body', reach: (visit) => visit.rough.wait(() => visit.bodyBytes > 0, 200) },
  { name: 'before the answer', reach: (visit) => visit.body() },
  { name: 'in the response head', reach: async (visit, request) => {
    await visit.body()
    await visit.rough.send(head(request, 10, 'length').slice(0, visit.random.integer(1, 60)))
    await visit.rough.rest(visit.random.integer(0, 20))
  } },
  { name: 'in the response body', reach: async (visit, request) => {
    const framing = visit.random.pick(['length', 'chunked'] as const)
    await visit.body()
    await visit.rough.send(head(request, 500_000, framing) + (framing === 'chunked' ? 'fffff\r\n' : '') + 'i'.repeat(visit.random.integer(1, 100_000)))
    await visit.rough.rest(visit.random.integer(0, 20))
  } },
  { name: 'behind the answer', reach: async (visit, request) => {
    await answer(visit, request)
    await visit.rough.rest(visit.random.integer(0, 5))
  } },
]

const leavingNames = { reset: 'reset', fin: 'FIN', destroy: 'close' } as const satisfies Record<Leaving, string>

function* leavings(): Generator<Misdeed> {
  for (const moment of moments) {
    for (const way of ['reset', 'fin', 'destroy'] as const) {
      yield {
        name: `${leavingNames[way]} ${moment.name}`,
        weight: 2,
        async run(visit, request) {
          await moment.reach(visit, request)
          visit.rough.leave(way)
          await visit.rough.gone(stallMs)
          return false
        },
      }
    }
  }
}

// oxfmt-ignore
export const misdeedTable: readonly Misdeed[] = [
  { name: 'none', weight: 120, run: (visit, request) => answer(visit, request) },
  ...leavings(),

  // Slow
  { name: 'answers late', weight: 5, run: async (visit, request) => {
    await visit.rough.rest(visit.random.integer(100, 2_000))
    return await answer(visit, request)
  } },
  { name: 'never answers', weight: 3, run: (visit) => say(visit, '') },
  { name: 'stalls in the response head', weight: 2, run: (visit, request) => say(visit, head(request, 10, 'length').slice(0, 30)) },
  { name: 'stalls in the response body', weight: 2, run: (visit, request) => say(visit, `${head(request, 1_000, 'length')}half`) },
  { name: 'does not read the request', weight: 3, run: async (visit) => {
    visit.rough.socket.pause()
    await visit.rough.rest(6_000)
    return false
  } },
  { name: 'drips the answer', weight: 4, run: async (visit, request) => {
    if (!(await visit.body())) return false
    const body = [...frameBody(`${request.tag}/answer`, 40, 'length', visit.random)].map((block) => block.toString('latin1')).join('')
    return await visit.rough.drip(head(request, 40, 'length') + (request.method === 'HEAD' ? '' : body), () => visit.random.integer(0, 8))
  } },

  // Too early, too often, too much
  { name: 'answers before the body has come', weight: 4, run: async (visit, request) => {
    await visit.rough.send(head(request, 0, 'length').replace('200 OK', visit.random.pick(['200 OK', '413 Too Large'])))
    return await visit.body()
  } },
  { name: 'answers before the body has come, and closes', weight: 4, run: async (visit, request) => {
    await visit.rough.send(head(request, 0, 'length', 'Connection: close\r\n').replace('200 OK', '413 Too Large'))
    visit.rough.leave(visit.random.pick(['fin', 'destroy']))
    await visit.rough.gone(stallMs)
    return false
  } },
  { name: 'answers twice', weight: 5, run: (visit, request) => answer(visit, request, { behind: 'HTTP/1.1 200 OK\r\nX-Tag: a second answer\r\nContent-Length: 0\r\n\r\n' }) },
  { name: 'noise behind the answer', weight: 4, run: (visit, request) => answer(visit, request, { behind: '\0\x01noise' }) },
  { name: 'some interim answers', weight: 5, run: (visit, request) => answer(visit, request, { before: 'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n'.repeat(visit.random.integer(1, 10)) }) },
  { name: 'endless interim answers', weight: 3, run: (visit) => sayWithoutEnd(visit, '', () => 'HTTP/1.1 102 Processing\r\n\r\n', 5_000) },
  { name: 'endless response head', weight: 3, run: (visit) => sayWithoutEnd(visit, 'HTTP/1.1 200 OK\r\n', (index) => `X-${index}: ${'e'.repeat(500)}\r\n`, 2_000) },
  { name: 'endless status line', weight: 2, run: (visit) => sayWithoutEnd(visit, 'HTTP/1.1 200 ', () => 'O'.repeat(500), 2_000) },
  { name: 'too many fields', weight: 3, run: (visit) => say(visit, `HTTP/1.1 200 OK\r\n${'a: b\r\n'.repeat(2_000)}\r\n`) },
  { name: 'endless trailers', weight: 3, run: (visit, request) => sayWithoutEnd(visit, `${head(request, 1, 'chunked')}1\r\na\r\n0\r\n`, (index) => `X-${index}: ${'t'.repeat(100)}\r\n`, 5_000) },
  { name: 'endless chunk extensions', weight: 3, run: (visit, request) => sayWithoutEnd(visit, `${head(request, 1, 'chunked')}1`, () => `;a=${'x'.repeat(100)}`, 5_000) },
  { name: 'response body without end', weight: 2, run: (visit, request) => sayWithoutEnd(visit, `HTTP/1.1 200 OK\r\nX-Tag: ${request.tag}\r\nX-Framing: close\r\n\r\n`, () => 'w'.repeat(16_384), visit.random.integer(10, 500)) },

  // Ambiguous, broken, lying
  { name: 'noise for an answer', weight: 3, run: (visit) => say(visit, Array.from({ length: 500 }, () => String.fromCharCode(visit.random.integer(0, 255))).join('')) },
  { name: 'two framings', weight: 3, run: (visit, request) => say(visit, head(request, 5, 'chunked', 'Content-Length: 5\r\n') + '5\r\nhello\r\n0\r\n\r\n') },
  { name: 'two lengths', weight: 3, run: (visit, request) => say(visit, `${head(request, 5, 'length', 'Content-Length: 6\r\n')}hello!`) },
  { name: 'negative length', weight: 2, run: (visit, request) => say(visit, head(request, -5, 'length')) },
  { name: 'broken chunk', weight: 3, run: (visit, request) => say(visit, `${head(request, 5, 'chunked')}5\r\nhello!\r\n0\r\n\r\n`) },
  { name: 'a folded field', weight: 2, run: (visit, request) => say(visit, head(request, 0, 'length', 'X: y\r\n z\r\n')) },
  { name: 'bare line ends', weight: 2, run: (visit, request) => say(visit, head(request, 0, 'length').replaceAll('\r\n', '\n')) },
  { name: 'a body where none may be', weight: 3, run: (visit, request) => say(visit, `HTTP/1.1 204 No\r\nX-Tag: ${request.tag}\r\n\r\nHTTP/1.1 200 OK\r\nX-Tag: a second answer\r\nContent-Length: 0\r\n\r\n`) },
  { name: 'switches unasked', weight: 2, run: (visit) => say(visit, 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nnoise') },
  { name: 'a longer body than announced', weight: 3, run: (visit, request) => answer(visit, request, { behind: 'and more' }) },
  { name: 'asks to keep the connection for no time', weight: 2, run: (visit, request) => answer(visit, request, { more: `Keep-Alive: timeout=${visit.random.pick(['0', '1', '2', 'x'])}\r\n` }) },
]

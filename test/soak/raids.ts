/**
 * What clients do that a proxy has to live with: slow ones, broken ones, malicious ones, and those that come in numbers. One row each: name, how often
 * it is chosen, and what it does. Visitors, in the last row, do nothing wrong, but ask where origins misbehave: what they get may be an
 * error or be cut, and must never belong to another.
 */
import type { SeededRandom } from '../support/seeded-random.ts'
import { smuggledTarget } from './good-origin.ts'
import { foreignGreetings, smugglingRequests } from './hostile-requests.ts'
import type { Raider } from './raider.ts'
import type { Leaving, RoughSocket } from './rough-socket.ts'
import { visit } from './visitor.ts'

export interface Raid {
  readonly name: string
  readonly weight: number
  /** What it sends is to be refused: no answer of it may have a status below 400. */
  readonly isRefused?: true
  run(raider: Raider): Promise<void>
}

const kib = 1_024
const mib = 1_024 * kib

/** The longest that a raid waits for the proxy to lose patience. */
const patienceMs = 20_000

function get(tag: string, want = '2 length 0'): string {
  return `GET /${tag} HTTP/1.1\r\nHost: raid\r\nX-Tag: ${tag}\r\nX-Want: ${want}\r\n\r\n`
}

function postHead(tag: string, framing: string): string {
  return `POST /${tag} HTTP/1.1\r\nHost: raid\r\nX-Tag: ${tag}\r\n${framing}\r\n\r\n`
}

function upgrade(tag: string): string {
  return `GET /${tag} HTTP/1.1\r\nHost: raid\r\nX-Tag: ${tag}\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n`
}

interface Phase {
  readonly name: string
  /** Brings the connection to the moment at which it is left. */
  reach(socket: RoughSocket, tag: string, random: SeededRandom): Promise<unknown>
}

// oxfmt-ignore
const phases: readonly Phase[] = [
  { name: 'before the head', reach: (socket, _tag, random) => socket.rest(random.integer(0, 50)) },
  { name: 'in the head', reach: (socket, tag, random) => socket.send(get(tag).slice(0, random.integer(1, 40))) },
  { name: 'behind the head', reach: (socket, tag) => socket.send(postHead(tag, 'Content-Length: 10')) },
  { name: 'in the request body', reach: async (socket, tag, random) => {
    await socket.send(postHead(tag, 'Transfer-Encoding: chunked'))
    await socket.repeat(() => `1000\r\n${'x'.repeat(0x1000)}\r\n`, random.integer(1, 40))
    await socket.send('1000\r\nxyz')
  } },
  { name: 'waiting', reach: async (socket, tag, random) => {
    await socket.send(get(tag, '100 length 3000'))
    await socket.rest(random.integer(0, 500))
  } },
  { name: 'as the response begins', reach: (socket, tag) => socket.send(get(tag, '100000 chunked 0')) },
  { name: 'in the response body', reach: async (socket, tag, random) => {
    const bytes = random.integer(1, 200 * kib)
    await socket.send(get(tag, `${mib} ${random.pick(['length', 'chunked', 'close'])} 0`))
    await socket.wait(() => socket.bytesReceived >= bytes, 10_000)
  } },
  { name: 'in a tunnel', reach: async (socket, tag, random) => {
    await socket.send(upgrade(tag))
    if (!(await socket.answered(10_000))) return
    await socket.repeat(() => Buffer.alloc(4 * kib, 0x5a), random.integer(0, 30))
  } },
]

const leavingNames = { reset: 'reset', fin: 'FIN', destroy: 'close' } as const satisfies Record<Leaving, string>

/** Each phase, left in each way. */
function* leavings(): Generator<Raid> {
  for (const phase of phases) {
    for (const way of ['reset', 'fin', 'destroy'] as const) {
      yield {
        name: `${leavingNames[way]} ${phase.name}`,
        weight: 2,
        async run(raider) {
          const socket = await raider.open()
          await phase.reach(socket, raider.tag, raider.random)
          socket.leave(way)
          if (way === 'fin') await socket.gone(10_000)
        },
      }
    }
  }
}

/** Sends one thing and waits for what comes of it. */
async function sendAndSee(raider: Raider, data: string): Promise<void> {
  const socket = await raider.open()
  await socket.send(data)
  await socket.gone(patienceMs)
}

/** Sends a beginning and then one thing without end. */
async function sendWithoutEnd(raider: Raider, beginning: string, make: (index: number) => string, timesMax: number): Promise<void> {
  const socket = await raider.open()
  if (await socket.send(beginning)) await socket.repeat(make, timesMax)
  await socket.gone(patienceMs)
}

// oxfmt-ignore
export const raidTable: readonly Raid[] = [
  ...leavings(),

  // Slow
  { name: 'says nothing', weight: 3, run: async (raider) => void (await (await raider.open()).gone(patienceMs)) },
  { name: 'drips a head', weight: 4, run: async (raider) => {
    const socket = await raider.open()
    await socket.drip(get(raider.tag), () => raider.random.integer(0, 200))
    await socket.answered(patienceMs)
  } },
  { name: 'drips a body', weight: 4, run: async (raider) => {
    const socket = await raider.open()
    await socket.send(postHead(raider.tag, 'Content-Length: 1000'))
    await socket.drip('b'.repeat(1_000), () => raider.random.integer(0, 20))
    await socket.answered(patienceMs)
  } },
  { name: 'drips chunks', weight: 4, run: async (raider) => {
    const socket = await raider.open()
    await socket.send(postHead(raider.tag, 'Transfer-Encoding: chunked'))
    await socket.drip('1\r\nz\r\n'.repeat(100) + '0\r\nX-End: 1\r\n\r\n', () => raider.random.integer(0, 10))
    await socket.answered(patienceMs)
  } },
  { name: 'drips through a tunnel', weight: 2, run: async (raider) => {
    const socket = await raider.open()
    await socket.send(upgrade(raider.tag))
    if (await socket.answered(10_000)) await socket.drip('t'.repeat(300), () => raider.random.integer(0, 20))
  } },
  { name: 'stands still in the head', weight: 2, run: async (raider) => sendAndSee(raider, get(raider.tag).slice(0, 30)) },
  { name: 'stands still in the body', weight: 2, run: async (raider) => sendAndSee(raider, `${postHead(raider.tag, 'Content-Length: 100')}half`) },
  { name: 'idles between requests', weight: 3, run: async (raider) => {
    const socket = await raider.open()
    await socket.send(get(raider.tag))
    await socket.gone(patienceMs)
  } },
  { name: 'stalls while it is answered', weight: 4, run: async (raider) => {
    const socket = await raider.open()
    await socket.send(get(raider.tag, `${8 * mib} ${raider.random.pick(['length', 'chunked', 'close'])} 0`))
    socket.socket.pause()
    await socket.rest(raider.random.integer(0, patienceMs))
    socket.socket.resume()
    await socket.rest(500)
  } },
  { name: 'stalls with many requests sent', weight: 3, run: async (raider) => {
    const socket = await raider.open()
    socket.socket.pause()
    await socket.repeat(() => get(raider.tag, '65536 length 0'), 500)
    await socket.rest(raider.random.integer(0, patienceMs))
  } },
  { name: 'stalls in a tunnel', weight: 3, run: async (raider) => {
    const socket = await raider.open()
    await socket.send(upgrade(raider.tag))
    if (!(await socket.answered(10_000))) return
    socket.socket.pause()
    await socket.repeat(() => Buffer.alloc(64 * kib, 0x5a), 100)
    await socket.rest(2_000)
  } },
  { name: 'announces a body with Expect and sends none', weight: 2, run: async (raider) => sendAndSee(raider, postHead(raider.tag, 'Content-Length: 9\r\nExpect: 100-continue')) },

  // Too much
  { name: 'huge head', weight: 3, isRefused: true, run: (raider) => sendAndSee(raider, `GET /${raider.tag} HTTP/1.1\r\nHost: raid\r\nX: ${'h'.repeat(raider.random.integer(33 * kib, mib))}\r\n\r\n`) },
  { name: 'endless head', weight: 3, isRefused: true, run: (raider) => sendWithoutEnd(raider, `GET /${raider.tag} HTTP/1.1\r\nHost: raid\r\n`, (index) => `X-${index}: ${'e'.repeat(500)}\r\n`, 2_000) },
  { name: 'endless request line', weight: 3, isRefused: true, run: (raider) => sendWithoutEnd(raider, 'GET /', () => 'l'.repeat(kib), 2_000) },
  { name: 'too many fields', weight: 3, isRefused: true, run: (raider) => sendAndSee(raider, `GET /${raider.tag} HTTP/1.1\r\nHost: raid\r\n${'a:b\r\n'.repeat(raider.random.integer(100, 5_000))}\r\n`) },
  { name: 'endless empty lines', weight: 2, isRefused: true, run: (raider) => sendWithoutEnd(raider, '\r\n', () => '\r\n'.repeat(1_000), 500) },
  { name: 'endless trailers', weight: 3, isRefused: true, run: (raider) => sendWithoutEnd(raider, `${postHead(raider.tag, 'Transfer-Encoding: chunked')}1\r\na\r\n0\r\n`, (index) => `X-${index}: ${'t'.repeat(100)}\r\n`, 5_000) },
  { name: 'endless chunk extension', weight: 3, isRefused: true, run: (raider) => sendWithoutEnd(raider, `${postHead(raider.tag, 'Transfer-Encoding: chunked')}1`, () => `;a=${'x'.repeat(100)}`, 5_000) },
  { name: 'an extension on every chunk', weight: 3, isRefused: true, run: (raider) => sendWithoutEnd(raider, postHead(raider.tag, 'Transfer-Encoding: chunked'), () => `1;a=${'x'.repeat(200)}\r\na\r\n`, 5_000) },
  { name: 'endless chunk size', weight: 2, isRefused: true, run: (raider) => sendWithoutEnd(raider, postHead(raider.tag, 'Transfer-Encoding: chunked'), () => '0'.repeat(500), 2_000) },
  { name: 'body without end', weight: 2, run: async (raider) => {
    const socket = await raider.open()
    await socket.send(postHead(raider.tag, 'Transfer-Encoding: chunked'))
    await socket.repeat(() => `4000\r\n${'w'.repeat(0x4000)}\r\n`, raider.random.integer(10, 500))
  } },
  { name: 'floods with pipelined requests', weight: 4, run: async (raider) => {
    const socket = await raider.open()
    const count = raider.random.integer(100, 1_500)
    await socket.send(get(raider.tag).repeat(count))
    await socket.wait(() => socket.bytesReceived > count * 100, patienceMs)
  } },
  { name: 'floods a tunnel', weight: 2, run: async (raider) => {
    const socket = await raider.open()
    await socket.send(upgrade(raider.tag))
    if (await socket.answered(10_000)) await socket.repeat(() => Buffer.alloc(64 * kib, 0x5a), raider.random.integer(10, 100))
  } },
  { name: 'connections beyond the limit', weight: 0.5, run: async (raider) => {
    const sockets = await Promise.all(Array.from({ length: raider.narrowConnections * 2 }, () => raider.open('narrow')))
    for (const socket of sockets) await socket.send(get(raider.tag))
    await Promise.all(sockets.map((socket) => socket.answered(5_000)))
    await sockets[0]!.rest(raider.random.integer(0, 1_000))
    for (const socket of sockets) socket.leave(raider.random.pick(['reset', 'fin', 'destroy']))
  } },
  { name: 'many connections at once', weight: 0.5, run: async (raider) => {
    const sockets = await Promise.all(Array.from({ length: 60 }, () => raider.open()))
    await sockets[0]!.rest(raider.random.integer(0, 500))
    for (const socket of sockets) socket.leave(raider.random.pick(['reset', 'fin', 'destroy']))
  } },

  // Ambiguous, broken, lying
  { name: 'smuggling', weight: 12, isRefused: true, run: async (raider) => {
    const socket = await raider.open()
    const text = raider.random.pick(smugglingRequests)
    const at = raider.random.integer(1, text.length - 1)
    // In one piece or in two.
    if (raider.random.chance(0.5)) await socket.send(text)
    else {
      await socket.send(text.slice(0, at))
      await socket.rest(5)
      await socket.send(text.slice(at))
    }
    await socket.gone(patienceMs)
  } },
  { name: 'smuggling behind a good request', weight: 6, run: async (raider) => sendAndSee(raider, get(raider.tag) + raider.random.pick(smugglingRequests)) },
  { name: 'a request inside a body', weight: 3, run: async (raider) => {
    const socket = await raider.open()
    const inner = `GET ${smuggledTarget} HTTP/1.1\r\nHost: raid\r\n\r\n`
    await socket.send(postHead(raider.tag, `Content-Length: ${inner.length}`) + inner)
    await socket.answered(patienceMs)
  } },
  { name: 'another protocol', weight: 3, isRefused: true, run: async (raider) => sendAndSee(raider, raider.random.pick(foreignGreetings)) },
  { name: 'noise', weight: 3, isRefused: true, run: async (raider) => sendAndSee(raider, noise(raider.random, raider.random.integer(1, 20 * kib))) },
  { name: 'noise in the place of chunks', weight: 3, run: async (raider) => sendAndSee(raider, postHead(raider.tag, 'Transfer-Encoding: chunked') + noise(raider.random, 2_000)) },
  { name: 'noise behind a good request', weight: 3, run: async (raider) => sendAndSee(raider, get(raider.tag) + noise(raider.random, 2_000)) },
  { name: 'FIN before the announced body is complete', weight: 3, isRefused: true, run: async (raider) => {
    const socket = await raider.open()
    await socket.send(`${postHead(raider.tag, 'Content-Length: 1000')}short`)
    socket.leave('fin')
    await socket.gone(patienceMs)
  } },
  { name: 'FIN behind requests', weight: 3, run: async (raider) => {
    const socket = await raider.open()
    await socket.send(get(raider.tag).repeat(raider.random.integer(1, 20)))
    socket.leave('fin')
    await socket.gone(patienceMs)
  } },
  { name: 'goes on after it was refused', weight: 3, isRefused: true, run: (raider) => sendWithoutEnd(raider, 'GET / HTTP/1.1\r\n\r\n', () => 'o'.repeat(4 * kib), 1_000) },

  { name: 'visitor', weight: 60, run: visit },
]

function noise(random: SeededRandom, bytes: number): string {
  return Array.from({ length: bytes }, () => String.fromCharCode(random.integer(0, 255))).join('')
}

/** A response head that is accepted leaves as one that everybody reads in the same way. */
import { Buffer } from 'node:buffer'
import { forwardFinal, forwardInterim, responseFraming, type ResponseFraming } from '../../lib/exchange/forward-response.ts'
import { BodyKind, createParser, ParseError, ParserState, type ParserEngine, type ResponseHead } from '../../native-free-parser/index.ts'
import type { SeededRandom } from '../../test/support/seeded-random.ts'
import { EngineLease } from '../engine-lease.ts'
import { expectedEdits, makeFieldPlan, noPlan, type FieldPlan } from '../field-plan.ts'
import { readWithNode } from '../node-parser.ts'
import { toBytes } from '../octets.ts'
import { expect, expectSame, type Canary, type FuzzTarget } from '../target.ts'
import { readWithUndici } from '../undici-parser.ts'

/** What a response becomes on its way to one client. */
interface Passage {
  readonly framing: ResponseFraming
  readonly connection: string
  readonly via: string
  readonly date: string
  readonly plan: FieldPlan
}

type Encode = (head: ResponseHead, passage: Passage) => string

/** What was read, in a form that outlives the head. */
interface Reading {
  readonly status: number
  readonly rawFields: readonly string[]
  readonly bodyKind: BodyKind
}

const encode: Encode = (head, { framing, connection, via, date, plan }) =>
  head.isInterim ? forwardInterim(head) : forwardFinal(head, framing, connection, via, date, plan.edits, plan.added)

const bodyBytesMax = 65_536

const hopByHop: ReadonlySet<string> = new Set([
  ...['connection', 'keep-alive', 'proxy-connection', 'te', 'http2-settings'],
  ...['proxy-authorization', 'proxy-authenticate', 'proxy-authentication-info'],
])

function makeTarget(subject: Encode): FuzzTarget {
  const first = new EngineLease(4)
  const second = new EngineLease(4)
  return {
    name: 'response-head-round-trip',
    invariants: [
      'the encoded head is accepted by our parser, by that of Node and by that of undici, each of which sees the status, the fields and the framing that are meant',
      'what is for one hop only is gone, and nothing else is, but for what is to be dropped, added, or added where there is none',
      'there is at most one framing field, and none where there is no body to frame',
    ],
    run(data, random) {
      const toHead = random.chance(0.2)
      const minorVersion = random.pick([1, 1, 0])
      const context = { toHead, offered: ['websocket', 'foo/2'] }
      first.use((engine) => {
        const parser = createParser(
          'response',
          {
            onHead: (head) => {
              const passage = makePassage(head, minorVersion, random)
              second.use((other) => judge(head, passage, subject(head, passage), context, other))
            },
            onBody() {},
            onTrailers() {},
            onMessageComplete() {},
          },
          {},
          engine,
        )
        parser.expectResponse(context)
        try {
          let taken = -1
          for (let at = 0; at < data.length && taken !== 0; at += taken) {
            taken = parser.execute(data, at, data.length)
            if (parser.state === ParserState.COMPLETE) parser.resume()
          }
        } catch (error) {
          if (!(error instanceof ParseError)) throw error
        }
        parser.dispose()
      })
    },
  }
}

/** As an exchange chooses it for a client of that version. */
function makePassage(head: ResponseHead, minorVersion: number, random: SeededRandom): Passage {
  const framing = responseFraming(head.bodyKind, minorVersion)
  const connection = head.status === 101 ? 'Upgrade' : framing === 'close' ? 'close' : random.pick(['', 'close', 'keep-alive'])
  return {
    framing,
    connection,
    via: random.pick(['', 'fuzz', 'a:80']),
    date: random.pick(['', 'Sun, 06 Nov 1994 08:49:37 GMT']),
    plan: head.isInterim || random.chance(0.5) ? noPlan : makeFieldPlan(head, random, false),
  }
}

function judge(
  head: ResponseHead,
  passage: Passage,
  text: string,
  context: { readonly toHead: boolean; readonly offered: readonly string[] },
  engine: ParserEngine,
): void {
  expect(/^[^\r\n]+\r\n(?:[^\r\n]+\r\n)*\r\n$/.test(text), () => `not one head: ${JSON.stringify(text)}`)
  const bodyKind = { same: head.bodyKind, chunked: BodyKind.CHUNKED, close: BodyKind.CLOSE }[passage.framing]
  const wanted: Reading = { status: head.status, rawFields: expectedFields(head, passage), bodyKind }
  const names = wanted.rawFields.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase())
  const framing = names.filter((name) => /^(?:content-length|transfer-encoding)$/.test(name))
  expect(framing.length <= 1, () => `framing fields: ${framing.join(', ')}`)
  if (head.status < 200 || head.status === 204) expectSame(framing, [], `framing fields of a ${head.status}`)
  expectSame(readAgain(text, context, engine), wanted, 'our parser reads the encoded head')
  judgeWithForeign(text, wanted, head, context.toHead)
}

function readAgain(
  text: string,
  context: { readonly toHead: boolean; readonly offered: readonly string[] },
  engine: ParserEngine,
): Reading {
  let reading: Reading | undefined
  const parser = createParser(
    'response',
    {
      onHead: (head) => void (reading = { status: head.status, rawFields: head.toRawFields(), bodyKind: head.bodyKind }),
      onBody() {},
      onTrailers() {},
      onMessageComplete() {},
    },
    // What is added may take a head over the limits that the original kept.
    { headBytes: 131_072, fields: 300 },
    engine,
  )
  parser.expectResponse(context)
  try {
    expectSame(parser.execute(toBytes(text)), text.length, 'octets of the encoded head')
  } catch (error) {
    if (!(error instanceof ParseError)) throw error
    throw new Error(`our parser refuses what was encoded: ${error.rule} at ${error.offset} of ${JSON.stringify(text)}`, { cause: error })
  }
  parser.dispose()
  expect(reading !== undefined, () => `our parser does not take the encoded head for one: ${JSON.stringify(text)}`)
  return reading
}

function judgeWithForeign(text: string, wanted: Reading, head: ResponseHead, toHead: boolean): void {
  const bodies = {
    none: '',
    length: 'x'.repeat(Math.min(Math.max(0, head.contentLength), bodyBytesMax)),
    chunked: '0\r\n\r\n',
    close: 'x',
    tunnel: '',
  }
  const body = bodies[wanted.bodyKind]
  const isWhole = wanted.bodyKind !== BodyKind.LENGTH || head.contentLength <= bodyBytesMax
  const hasEnded = wanted.bodyKind === BodyKind.CLOSE
  for (const [name, read] of [['Node', readWithNode] as const, ['undici', readWithUndici] as const]) {
    const { messages, fault } = read('response', Buffer.from(text + body, 'latin1'), { isToHead: () => toHead, hasEnded })
    expect(fault === '', () => `${name} refuses what was encoded with ${fault}: ${JSON.stringify(text)}`)
    expectSame(
      messages.map((message) => [message.status, message.minorVersion, message.rawFields, message.complete]),
      [[wanted.status, 1, wanted.rawFields, isWhole]],
      `${name} reads the encoded head`,
    )
  }
}

/** Name and value of every field that has to leave, alternating, from the lines of the head. */
function expectedFields(head: ResponseHead, passage: Passage): string[] {
  const { framing, connection, via, date } = head.isInterim ? { ...passage, framing: 'same', connection: '', via: '', date: '' } : passage
  const nominated = new Set(head.connection.nominated)
  const result: string[] = []
  let hasDate = false
  for (const line of head.raw.split('\r\n').slice(1, -2)) {
    const name = line.slice(0, line.indexOf(':'))
    const value = line.slice(name.length + 1).replace(/^[ \t]+|[ \t]+$/g, '')
    const lower = name.toLowerCase()
    if (lower === 'date') hasDate = true
    if (hopByHop.has(lower) || nominated.has(lower) || lower === 'transfer-encoding') continue
    if (lower === 'upgrade' && head.status !== 101 && head.status !== 426) continue
    if (lower === 'trailer' && framing !== 'chunked') continue
    if (lower === 'content-length' && (head.status < 200 || head.status === 204)) continue
    if (lower === 'content-length' && /^0./.test(value)) result.push('Content-Length', String(Number(value)))
    else result.push(name, value)
  }
  const edited = expectedEdits(result, passage.plan)
  result.splice(0, result.length, ...edited.kept)
  if (framing === 'chunked') result.push('Transfer-Encoding', 'chunked')
  if (date !== '' && !hasDate) result.push('Date', date)
  const options = [connection, head.status === 426 && !head.isInterim ? 'Upgrade' : ''].filter((option) => option !== '')
  if (options.length > 0) result.push('Connection', options.join(', '))
  if (via !== '') result.push('Via', `1.${head.minorVersion} ${via}`)
  result.push(...edited.added)
  return result
}

export const responseHeadRoundTrip = makeTarget(encode)

function spoiled(spoil: (text: string, head: ResponseHead, passage: Passage) => string): FuzzTarget {
  return makeTarget((head, passage) => spoil(encode(head, passage), head, passage))
}

export const responseHeadRoundTripCanaries: readonly Canary[] = [
  {
    bug: 'a field that Connection nominates passes when it is written in another case',
    target: spoiled((text, head) => {
      const line = head.raw
        .split('\r\n')
        .find((one) => /^[A-Z]/.test(one) && head.connection.nominated.has(one.split(':')[0]!.toLowerCase()))
      return line === undefined ? text : `${text.slice(0, -2)}${line}\r\n\r\n`
    }),
  },
  {
    bug: 'the length that the origin told stays when the body leaves in chunks',
    target: spoiled((text, _head, { framing }) =>
      framing === 'chunked' ? text.replace('Transfer-Encoding: chunked\r\n', '$&Content-Length: 0\r\n') : text,
    ),
  },
  {
    bug: 'a 204 keeps its length',
    target: spoiled((text, { status }) => (status === 204 ? `${text.slice(0, -2)}Content-Length: 0\r\n\r\n` : text)),
  },
  {
    bug: 'a response without a reason loses the space before it',
    target: spoiled((text) => text.replace(/^(HTTP\/1\.1 [0-9]{3}) \r/, '$1\r').replace(/^HTTP\/1\.1 404\r/, 'HTTP/1.1404\r')),
  },
]

/** The parser says the same however its input is split, keeps to its limits and to the range it is given, and leaves nothing behind. */
import { Buffer } from 'node:buffer'
import {
  BodyKind,
  createParser,
  defaultRequestLimits,
  defaultResponseLimits,
  ParseError,
  ParserState,
  type MessageHandler,
  type MessageKind,
  type ParserEngine,
  type ParserLimits,
  type RequestHead,
  type ResponseContext,
  type ResponseHead,
} from '../../native-free-parser/index.ts'
import type { SeededRandom } from '../../test/support/seeded-random.ts'
import { EngineLease } from '../engine-lease.ts'
import { expect, expectSame, type Canary, type FuzzTarget } from '../target.ts'

type Head = RequestHead | ResponseHead

/** The part of a MessageParser that is used here, so that a broken one can take its place. */
interface Subject {
  readonly state: ParserState
  expectResponse(context: ResponseContext): void
  execute(bytes: Uint8Array, start: number, end: number): number
  resume(): void
  finish(): void
  dispose(): void
}

type MakeSubject = (kind: MessageKind, handler: MessageHandler<Head>, limits: ParserLimits, engine: ParserEngine) => Subject

const makeParser: MakeSubject = (kind, handler, limits, engine) =>
  kind === 'request' ? createParser('request', handler, limits, engine) : createParser('response', handler, limits, engine)

interface Plan {
  readonly kind: MessageKind
  readonly limits: ParserLimits
  readonly context: ResponseContext
}

function makeTarget(make: MakeSubject): FuzzTarget {
  const lease = new EngineLease(4)
  return {
    name: 'parser-split',
    invariants: [
      'any split gives the same heads, body, trailers, ends and fault (rule and offset)',
      'octets outside [start, end) have no influence',
      'the octets taken add up to the octets given, up to the end of a switch or the fault; those of head and body to those of the message',
      'no head, field count, trailer section or run of interim responses is beyond its limit',
      'a parser slot is in use only inside a head, and never after dispose',
    ],
    run(data, random) {
      const plan = makePlan(random)
      lease.use((engine) => {
        const whole = observe(make, engine, plan, data, [data.length], random)
        for (let round = 0; round < 3; round++) {
          const cuts = makeCuts(data.length, random)
          const split = observe(make, engine, plan, data, cuts, random)
          expectSame(split, whole, `split ${endOf(split)}, whole ${endOf(whole)}, cut at ${cuts.slice(0, 20).join(' ')}`)
        }
      })
    },
  }
}

/** Tells one difference from another. */
function endOf(log: readonly string[]): string {
  return log.at(-1)?.split(' at ')[0] ?? 'nothing'
}

function makePlan(random: SeededRandom): Plan {
  const kind = random.pick(['request', 'request', 'response'] as const)
  const defaults = kind === 'request' ? defaultRequestLimits : defaultResponseLimits
  return {
    kind,
    limits: random.chance(0.6) ? defaults : makeLimits(random),
    context: { toHead: random.chance(0.2), offered: random.chance(0.5) ? ['websocket', 'foo/2'] : [] },
  }
}

function makeLimits(random: SeededRandom): ParserLimits {
  return {
    startLineBytes: random.integer(14, 90),
    headBytes: random.integer(20, 250),
    fields: random.integer(1, 6),
    chunkSizeDigits: random.integer(1, 16),
    chunkExtensionBytes: random.integer(0, 12),
    messageExtensionBytes: random.integer(0, 20),
    trailerFields: random.integer(0, 3),
    trailerBytes: random.integer(2, 50),
    interimResponses: random.integer(0, 2),
    interimBytes: random.integer(0, 120),
  }
}

/** Where each piece ends. */
function makeCuts(length: number, random: SeededRandom): number[] {
  const cuts: number[] = []
  if (random.chance(0.25)) for (let at = 1; at < length; at++) cuts.push(at)
  else if (length > 1) for (let count = random.integer(1, 5); count > 0; count--) cuts.push(random.integer(1, length - 1))
  return [...new Set([...cuts, length])].sort((a, b) => a - b)
}

/** All that can be seen of one parse, one line for each event. */
function observe(
  make: MakeSubject,
  engine: ParserEngine,
  plan: Plan,
  data: Uint8Array,
  cuts: readonly number[],
  random: SeededRandom,
): string[] {
  const log: string[] = []
  let body = ''
  const note = (line: string): void => {
    if (body !== '') log.push(`body ${body}`)
    body = ''
    log.push(line)
  }
  let sum = new MessageSum(plan.limits)
  const subject = make(
    plan.kind,
    {
      onHead: (head) => {
        judgeHead(head, plan.limits)
        sum.addHead(head)
        note(describeHead(head))
      },
      onBody: (bytes, start, end) => {
        sum.bodyBytes += end - start
        expect(start < end && end <= bytes.length, () => `a body piece from ${start} to ${end} of ${bytes.length}`)
        body += Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1')
      },
      onTrailers: ({ rawFields }) => {
        expect(rawFields.length > 0 && rawFields.length <= 2 * plan.limits.trailerFields, () => `${rawFields.length / 2} trailer fields`)
        // A colon for each name, CRLF for each value and the last line; white space around values is gone.
        const trailerBytes = rawFields.join('').length + (rawFields.length / 2) * 3 + 2
        expect(trailerBytes <= plan.limits.trailerBytes, () => `a trailer section of ${trailerBytes} octets`)
        note(`trailers ${JSON.stringify(rawFields)}`)
      },
      onMessageComplete: () => note('complete'),
    },
    plan.limits,
    engine,
  )
  if (plan.kind === 'response') subject.expectResponse(plan.context)
  let at = 0
  let messageStart = 0
  try {
    for (const cut of cuts) {
      while (at < cut) {
        const taken = give(subject, engine, data.subarray(at, cut), random)
        expect(taken >= 0 && taken <= cut - at, () => `${taken} octets taken of ${cut - at}`)
        at += taken
        expect(engine.slotsInUse === 0 || subject.state === ParserState.HEAD, () => `a parser slot is in use in state ${subject.state}`)
        if (subject.state === ParserState.COMPLETE) {
          note(`ends at ${at}`)
          sum.expectSum(data.subarray(messageStart, at))
          sum = new MessageSum(plan.limits)
          messageStart = at
          subject.resume()
        } else if (subject.state === ParserState.TUNNEL) {
          note(`tunnel from ${at}`)
          subject.dispose()
          return log
        } else expect(at === cut, () => `stops after ${taken} octets in state ${subject.state}`)
      }
    }
    subject.finish()
    note(`finished in state ${subject.state}`)
  } catch (error) {
    if (!(error instanceof ParseError)) throw error
    note(`fault ${error.rule} at ${error.offset}`)
    expect(subject.state === ParserState.DEAD, () => `alive after ${error.rule}`)
    expect(error.offset >= 0 && error.offset <= data.length, () => `${error.rule} at ${error.offset} of ${data.length} octets`)
  }
  subject.dispose()
  expect(engine.slotsInUse === 0, () => 'a parser slot is in use after dispose')
  return log
}

/** What was told of one message, to be compared with its octets. */
class MessageSum {
  bodyBytes = 0
  readonly #limits: ParserLimits
  #headBytes = 0
  #bodyKind: BodyKind = BodyKind.NONE
  #contentLength = 0
  #interimResponses = 0
  #interimBytes = 0

  constructor(limits: ParserLimits) {
    this.#limits = limits
  }

  addHead(head: Head): void {
    this.#headBytes += head.raw.length
    this.#bodyKind = head.bodyKind
    this.#contentLength = head.contentLength
    if (!('isInterim' in head) || !head.isInterim) return
    this.#interimResponses++
    this.#interimBytes += head.raw.length
    const { interimResponses, interimBytes } = this.#limits
    expect(this.#interimResponses <= interimResponses, () => `${this.#interimResponses} interim responses, limit ${interimResponses}`)
    expect(this.#interimBytes <= interimBytes, () => `interim responses of ${this.#interimBytes} octets, limit ${interimBytes}`)
  }

  /** Of a message that is complete; an empty line may stand before a request. */
  expectSum(octets: Uint8Array): void {
    const emptyLine = octets[0] === 0x0d ? 2 : 0
    const told = emptyLine + this.#headBytes + this.bodyBytes
    const isTold = this.#bodyKind === BodyKind.CHUNKED ? told + 5 <= octets.length : told === octets.length
    expect(isTold, () => `${told} octets of a message are told, and it has ${octets.length}`)
    const lengthBytes = this.#bodyKind === BodyKind.LENGTH ? this.#contentLength : this.bodyBytes
    expect(this.bodyBytes === lengthBytes, () => `a body of ${this.bodyBytes} octets, and ${lengthBytes} were announced`)
  }
}

/** Hands a piece over between octets that do not belong to it, in memory of its own or in the engine's read buffer. */
function give(subject: Subject, engine: ParserEngine, piece: Uint8Array, random: SeededRandom): number {
  const before = random.pick([0, 0, 1, 7])
  const after = random.pick([0, 1, 9])
  const length = before + piece.length + after
  const bytes = random.chance(0.3) && length <= engine.readBuffer.length ? engine.readBuffer : new Uint8Array(length)
  bytes.fill(random.pick([0x0a, 0x0d, 0x30, 0x61, 0x20, 0x00]), 0, length)
  bytes.set(piece, before)
  return subject.execute(bytes, before, before + piece.length)
}

function judgeHead(head: Head, limits: ParserLimits): void {
  expect(head.raw.length <= limits.headBytes, () => `a head of ${head.raw.length} octets, limit ${limits.headBytes}`)
  expect(head.count <= limits.fields, () => `${head.count} fields, limit ${limits.fields}`)
  if ('method' in head) {
    const lineBytes = head.raw.indexOf('\r\n')
    expect(lineBytes <= limits.startLineBytes, () => `a request line of ${lineBytes} octets, limit ${limits.startLineBytes}`)
  }
}

function describeHead(head: Head): string {
  const own =
    'method' in head
      ? [head.method, head.target, head.authority, head.raw.slice(head.pathStart, head.targetEnd), head.expectsContinue]
      : [head.status, head.isInterim]
  const kinds = [...head.kinds.subarray(0, head.count)]
  return JSON.stringify([
    'head',
    head.raw,
    head.minorVersion,
    ...own,
    head.toRawFields(),
    kinds,
    head.bodyKind,
    head.contentLength,
    { ...head.connection, nominated: [...head.connection.nominated] },
  ])
}

export const parserSplit = makeTarget(makeParser)

/** Passes everything on to a real parser. */
class Wrapped implements Subject {
  readonly parser: Subject
  constructor(parser: Subject) {
    this.parser = parser
  }
  get state(): ParserState {
    return this.parser.state
  }
  expectResponse(context: ResponseContext): void {
    this.parser.expectResponse(context)
  }
  execute(bytes: Uint8Array, start: number, end: number): number {
    return this.parser.execute(bytes, start, end)
  }
  resume(): void {
    this.parser.resume()
  }
  finish(): void {
    this.parser.finish()
  }
  dispose(): void {
    this.parser.dispose()
  }
}

/** Counts from the start of the read, not of the message. */
class Shortsighted extends Wrapped {
  #messageBytes = 0
  override execute(bytes: Uint8Array, start: number, end: number): number {
    try {
      const taken = super.execute(bytes, start, end)
      this.#messageBytes = this.state === ParserState.COMPLETE ? 0 : this.#messageBytes + taken
      return taken
    } catch (error) {
      if (error instanceof ParseError && this.#messageBytes > 0 && error.offset >= this.#messageBytes) {
        throw new ParseError(error.rule, error.offset - this.#messageBytes)
      }
      throw error
    }
  }
}

/** Takes a CR at the end of a read for half a line end, and looks at what stands behind it. */
class Overreaching extends Wrapped {
  override execute(bytes: Uint8Array, start: number, end: number): number {
    if (bytes[end - 1] !== 0x0d || bytes[end] !== 0x0a) return super.execute(bytes, start, end)
    return Math.min(end - start, super.execute(bytes, start, end + 1))
  }
}

/** Has lost count of the body when an octet of it comes alone. */
function makeForgetful(...[kind, handler, limits, engine]: Parameters<MakeSubject>): Subject {
  const onBody: MessageHandler<Head>['onBody'] = (bytes, start, end) => {
    if (end - start > 1 || bytes[start] !== 0x0a) handler.onBody(bytes, start, end)
  }
  const careless: MessageHandler<Head> = {
    onHead: (head) => handler.onHead(head),
    onBody,
    onTrailers: (trailers) => handler.onTrailers(trailers),
    onMessageComplete: () => handler.onMessageComplete(),
  }
  return makeParser(kind, careless, limits, engine)
}

export const parserSplitCanaries: readonly Canary[] = [
  { bug: 'an LF of a body is lost when it comes alone', target: makeTarget(makeForgetful) },
  {
    bug: 'interim responses are counted from one',
    target: makeTarget((kind, handler, limits, engine) =>
      makeParser(kind, handler, { ...limits, interimResponses: limits.interimResponses + 1 }, engine),
    ),
  },
  { bug: 'offsets of faults are counted from the last read', target: makeTarget((...parts) => new Shortsighted(makeParser(...parts))) },
  { bug: 'an LF behind the end of a read is taken along', target: makeTarget((...parts) => new Overreaching(makeParser(...parts))) },
  {
    bug: 'a limit on fields is not kept',
    target: makeTarget((kind, handler, limits, engine) => makeParser(kind, handler, { ...limits, fields: limits.fields + 1 }, engine)),
  },
]

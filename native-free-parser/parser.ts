/**
 * The incremental parser of one connection's messages, one direction. `execute` takes bytes as they come, split anywhere, and stops
 * exactly behind a message; what the handler sees does not depend on the splits. Heads go through llhttp and then through the strict
 * validation; bodies are framed here. The parser owns no socket and no clock, and keeps nothing of the bytes it is given but the head
 * or trailer section it is in the middle of.
 */
import { Buffer } from 'node:buffer'
import { isToken } from './characters.ts'
import { ChunkDecoder, type TrailerSection } from './chunk-decoder.ts'
import { ParseError, ParserUsageError } from './errors.ts'
import { explainHeadFault } from './fault-table.ts'
import type { ResponseContext } from './framing.ts'
import { BodyKind, RequestHead, ResponseHead } from './head.ts'
import { defaultRequestLimits, defaultResponseLimits, type ParserLimits } from './limits.ts'
import type { RuleId } from './rules.ts'
import { validateRequest } from './validate-request.ts'
import { validateResponse } from './validate-response.ts'
import { Engine, HeadSpans, LlhttpErrno, readBufferBytes, spanWidth, type MessageKind } from './wasm/engine.ts'

/** States in life order. */
export const ParserState = {
  /** Nothing of a message has come; an empty line may. */
  IDLE: 'idle',
  /** Inside a head. */
  HEAD: 'head',
  /** Inside a body whose octets are counted. */
  LENGTH: 'length',
  /** Inside a chunked body or its trailer section. */
  CHUNKED: 'chunked',
  /** Inside a body that ends with the connection. */
  CLOSE: 'close',
  /** A message is complete. Nothing more is taken before `resume`. */
  COMPLETE: 'complete',
  /** The connection speaks another protocol. Terminal: nothing is taken. */
  TUNNEL: 'tunnel',
  /** A rule was broken, or the parser was disposed of. Terminal. */
  DEAD: 'dead',
} as const
export type ParserState = (typeof ParserState)[keyof typeof ParserState]

/** Called during `execute` and `finish`. A handler may dispose of the parser; it must not call `execute` or `resume`. */
export interface MessageHandler<Head> {
  /** A head is complete and valid. 1xx heads come one by one before the final one. `head` is valid only during this call. */
  onHead(head: Head): void
  /** Octets [start, end) of the body, without chunk framing. `bytes` is borrowed: valid only during this call. */
  onBody(bytes: Uint8Array, start: number, end: number): void
  /** The trailer section of a chunked message, when it is not empty. */
  onTrailers(trailers: TrailerSection): void
  /** The message is complete; `execute` returns behind it. */
  onMessageComplete(): void
}

const noRules: ReadonlySet<RuleId> = new Set()
const noContext: ResponseContext = Object.freeze({ toHead: false, offered: Object.freeze([]) })

const CR = 0x0d
const LF = 0x0a
const HTAB = 0x09

/** A tab beside Content-Length is OWS (RFC 9110 section 5.5), but this llhttp refuses it. So often the head is run again with a space in its place. */
const tabRepairsMax = 8

export class MessageParser<Kind extends MessageKind = MessageKind> {
  readonly kind: Kind
  readonly #engine: ParserEngine
  #handler: MessageHandler<HeadOf<Kind>>
  readonly #limits: ParserLimits
  readonly #tolerated: ReadonlySet<RuleId>
  #state: ParserState = ParserState.IDLE
  #executing = false

  /** Bytes of the current message so far. */
  #messageBytes = 0
  /** Empty line before a request: 0 none, 1 its CR, 2 all of it. */
  #emptyLine = 0
  /** There was more than one. */
  #hasEmptyLines = false

  // A head that has outlived one read. Otherwise the engine's shared ones serve.
  #slot = -1
  #generation = 0
  #headBytes = 0
  #headText: Buffer | undefined
  #spans: HeadSpans | undefined
  #tabRepairs = 0
  /** llhttp does not know the method: the rest of the request line tells whether it is one. */
  #hasUnknownMethod = false

  /** Octets left of a body in state LENGTH. */
  #bodyBytesLeft = 0
  #chunks: ChunkDecoder | undefined
  #context: ResponseContext = noContext
  #interimResponses = 0
  #interimBytes = 0

  /** @param tolerated - rules of `looseRules` that do not end a message: `faults` of the head, and `fault` of a trailer section, tell of them. */
  constructor(
    kind: Kind,
    engine: ParserEngine,
    handler: MessageHandler<HeadOf<Kind>>,
    limits: ParserLimits,
    tolerated: ReadonlySet<RuleId> = noRules,
  ) {
    this.kind = kind
    this.#engine = engine
    this.#handler = handler
    this.#limits = limits
    this.#tolerated = tolerated
  }

  get state(): ParserState {
    return this.#state
  }

  /** A callback of this parser is running: it can be disposed of, and nothing else. */
  get isExecuting(): boolean {
    return this.#executing
  }

  /** Bytes of the current message so far, heads of interim responses not counted. */
  get messageBytes(): number {
    return this.#messageBytes
  }

  /** What the next response answers. Has to be set before its first byte; stays until it is set again. */
  expectResponse(context: ResponseContext): void {
    this.#context = context
  }

  /**
   * Takes bytes[start, end) and returns how many it took: fewer than given means that a message is complete (call `resume` for the next
   * one) or that the protocol was switched; the rest was not looked at. Throws ParseError when a rule is broken, after which the parser
   * is dead.
   */
  execute(bytes: Uint8Array, start = 0, end = bytes.length): number {
    if (this.#state === ParserState.DEAD) throw new ParserUsageError('ERR_PARSER_DISPOSED', 'the parser has been disposed of')
    if (this.#executing) throw new ParserUsageError('ERR_PARSER_REENTERED', 'execute is called inside its own callback')
    this.#executing = true
    try {
      return this.#run(bytes, start, end) - start
    } catch (error) {
      this.dispose()
      throw error
    } finally {
      this.#executing = false
    }
  }

  /** Ready for the next message on the connection. Only after a complete one. */
  resume(): void {
    if (this.#executing) throw new ParserUsageError('ERR_PARSER_REENTERED', 'resume is called inside a callback')
    if (this.#state !== ParserState.COMPLETE)
      throw new ParserUsageError('ERR_PARSER_STOPPED', `resume in state ${this.#state}: the message is not complete`)
    this.#state = ParserState.IDLE
    this.#messageBytes = 0
    this.#emptyLine = 0
    this.#interimResponses = 0
    this.#interimBytes = 0
  }

  /** The connection has ended. Completes a body that ends with it; throws ParseError H1-INCOMPLETE inside any other message. */
  finish(): void {
    if (this.#executing) throw new ParserUsageError('ERR_PARSER_REENTERED', 'finish is called inside a callback')
    switch (this.#state) {
      case ParserState.CLOSE:
        this.#complete()
        return
      case ParserState.HEAD:
      case ParserState.LENGTH:
      case ParserState.CHUNKED: {
        const offset = this.#messageBytes
        this.dispose()
        throw new ParseError('H1-INCOMPLETE', offset)
      }
    }
  }

  /** Ready for a new connection, whatever came before. Not after `dispose`. */
  reset(): void {
    if (this.#state === ParserState.DEAD) throw new ParserUsageError('ERR_PARSER_DISPOSED', 'the parser has been disposed of')
    if (this.#executing) throw new ParserUsageError('ERR_PARSER_REENTERED', 'reset is called inside a callback')
    this.#dropHead()
    this.#context = noContext
    this.#state = ParserState.COMPLETE
    this.resume()
  }

  /** From now on `handler` is told: a parser serves one connection after another. Only between messages. */
  attach(handler: MessageHandler<HeadOf<Kind>>): void {
    if (this.#state !== ParserState.IDLE || this.#emptyLine !== 0)
      throw new ParserUsageError('ERR_PARSER_STOPPED', `attach in state ${this.#state}: a message has begun`)
    this.#handler = handler
  }

  /** Frees what an incomplete head holds. Terminal and idempotent; allowed inside a callback. */
  dispose(): void {
    this.#dropHead()
    this.#chunks?.stop()
    this.#state = ParserState.DEAD
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  /** Returns the offset behind the last byte taken. */
  #run(bytes: Uint8Array, start: number, end: number): number {
    let at = start
    while (at < end) {
      switch (this.#state) {
        case ParserState.IDLE:
          at = this.#skipEmptyLine(bytes, at, end)
          break
        case ParserState.HEAD:
          at = this.#parseHead(bytes, at, end)
          break
        case ParserState.LENGTH: {
          const taken = Math.min(this.#bodyBytesLeft, end - at)
          this.#bodyBytesLeft -= taken
          this.#messageBytes += taken
          this.#handler.onBody(bytes, at, at + taken)
          at += taken
          // The handler may have disposed of the parser.
          if (this.#bodyBytesLeft === 0 && this.#state === ParserState.LENGTH) this.#complete()
          break
        }
        case ParserState.CHUNKED:
          at = this.#decodeChunks(bytes, at, end)
          break
        case ParserState.CLOSE:
          this.#messageBytes += end - at
          this.#handler.onBody(bytes, at, end)
          return end
        default:
          return at
      }
    }
    return at
  }

  /** RFC 9112 section 2.2: one empty line before a request line is to be ignored. There is none before a status line. */
  #skipEmptyLine(bytes: Uint8Array, start: number, end: number): number {
    let at = start
    while (at < end) {
      const octet = bytes[at]!
      if (this.#emptyLine === 1) {
        if (octet !== LF) throw new ParseError('H1-BARE-CR', this.#messageBytes)
        this.#emptyLine = 2
      } else if (octet === CR) {
        if (this.kind === 'response') throw new ParseError('H1-EMPTY-LINE', this.#messageBytes)
        if (this.#emptyLine === 2) {
          if (!this.#tolerated.has('H1-EMPTY-LINE') || this.#messageBytes >= this.#limits.headBytes)
            throw new ParseError('H1-EMPTY-LINE', this.#messageBytes)
          this.#hasEmptyLines = true
        }
        this.#emptyLine = 1
      } else if (octet === LF) throw new ParseError('H1-BARE-LF', this.#messageBytes)
      else {
        this.#state = ParserState.HEAD
        this.#headBytes = 0
        // Offsets count from the request line: an empty line before it is no part of the message.
        this.#messageBytes = 0
        this.#engine.begin(this.kind)
        return at
      }
      this.#messageBytes++
      at++
    }
    return at
  }

  #parseHead(bytes: Uint8Array, start: number, end: number): number {
    if (this.#hasUnknownMethod) return this.#collectRequestLine(bytes, start, end)
    const engine = this.#engine
    const limits = this.#limits
    // One byte past the limit is looked at: a head that ends at the limit is whole, one that goes on is too long.
    const stop = Math.min(end, start + readBufferBytes, start + limits.headBytes - this.#headBytes + 1)
    if (this.#slot >= 0) engine.resume(this.#slot, this.#generation)
    const spans = this.#spans ?? engine.sharedSpans(this.kind, limits.fields)
    const errno = engine.run(bytes, start, stop, this.#headBytes, spans, limits.fields)
    const taken = engine.stop
    if (errno === LlhttpErrno.PAUSED) {
      const raw = this.#takeHeadText(bytes, start, start + taken)
      if (raw.length > limits.headBytes) {
        // Had it come in pieces, the request line would have been refused before.
        const isLineTooLong = this.kind === 'request' && raw.indexOf('\r\n') > limits.startLineBytes
        throw isLineTooLong
          ? new ParseError('H1-REQUEST-LINE-LENGTH', limits.startLineBytes)
          : new ParseError('H1-HEAD-LENGTH', limits.headBytes)
      }
      this.#messageBytes += taken
      this.#onHeadComplete(raw, spans)
      return start + taken
    }
    if (errno !== LlhttpErrno.OK) return this.#onHeadFault(bytes, start, start + taken, end, errno, spans)
    this.#suspendHead(bytes, start, stop, spans)
    return stop
  }

  /** The head goes on in a later read: keep its text, its offsets and the state of llhttp. */
  #suspendHead(bytes: Uint8Array, start: number, end: number, spans: HeadSpans): void {
    const engine = this.#engine
    if (this.#slot < 0) {
      this.#slot = engine.suspend()
      this.#generation = engine.generation(this.#slot)
      this.#spans = engine.takeSpans(this.kind, spans)
    } else engine.save(this.#slot, this.#generation)
    const before = this.#headBytes
    this.#appendHeadText(bytes, start, end)
    this.#messageBytes += end - start
    this.#checkStartLine(before)
    if (this.#headBytes > this.#limits.headBytes) throw new ParseError('H1-HEAD-LENGTH', this.#limits.headBytes)
  }

  /** A request line has to end within `startLineBytes` and its CRLF. Looked at once, when the head outgrows them; `before`: its bytes until now. */
  #checkStartLine(before: number): void {
    const { startLineBytes } = this.#limits
    const lineBytes = startLineBytes + 2
    if (this.kind === 'response' || before > lineBytes || this.#headBytes <= lineBytes) return
    if (!this.#headText!.subarray(0, lineBytes).includes(LF)) throw new ParseError('H1-REQUEST-LINE-LENGTH', startLineBytes)
  }

  #appendHeadText(bytes: Uint8Array, start: number, end: number): void {
    const needed = this.#headBytes + end - start
    let text = this.#headText
    if (text === undefined || text.length < needed) {
      // Doubling: the cost of a head that drips in byte by byte stays linear.
      const grown = Buffer.allocUnsafeSlow(Math.max(512, needed, text === undefined ? 0 : text.length * 2))
      if (text !== undefined) text.copy(grown, 0, 0, this.#headBytes)
      this.#headText = text = grown
    }
    text.set(bytes.subarray(start, end), this.#headBytes)
    this.#headBytes = needed
  }

  /** The whole head as latin-1 text, up to bytes[end). Frees what an incomplete head held, but for its offsets. */
  #takeHeadText(bytes: Uint8Array, start: number, end: number): string {
    if (this.#slot < 0) return latin1(bytes, start, end)
    this.#appendHeadText(bytes, start, end)
    const raw = this.#headText!.toString('latin1', 0, this.#headBytes)
    this.#engine.release(this.#slot, this.#generation)
    this.#slot = -1
    this.#headText = undefined
    this.#tabRepairs = 0
    return raw
  }

  #dropHead(): void {
    if (this.#slot >= 0) {
      this.#engine.release(this.#slot, this.#generation)
      this.#slot = -1
    }
    if (this.#spans !== undefined) this.#engine.giveSpans(this.#spans)
    this.#spans = undefined
    this.#headText = undefined
    this.#tabRepairs = 0
    this.#hasUnknownMethod = false
  }

  #onHeadFault(bytes: Uint8Array, start: number, stop: number, end: number, errno: number, spans: HeadSpans): number {
    const engine = this.#engine
    const reason = engine.reason()
    const before = this.#headText === undefined ? '' : this.#headText.toString('latin1', 0, this.#headBytes)
    const upToStop = before + latin1(bytes, start, Math.min(stop + 1, end))
    const raw = upToStop.slice(0, this.#findFault(upToStop, before.length + stop - start) + 1)
    const offset = raw.length - 1
    this.#checkLimitsBeforeFault(raw, offset, spans)
    if (errno === LlhttpErrno.INVALID_CONTENT_LENGTH && raw.charCodeAt(offset) === HTAB && this.#tabRepairs < tabRepairsMax) {
      return this.#runAgainWithoutTabs(raw, stop)
    }
    const fault = explainHeadFault(this.kind, raw, offset, errno, reason)
    // Whether the rest is a request line is seen at its end, which has come already where the fault lies behind it.
    if (fault.rule === 'H1-METHOD-UNKNOWN' && !raw.includes('\n')) {
      this.#hasUnknownMethod = true
      return this.#collectRequestLine(bytes, start, end)
    }
    throw new ParseError(fault.rule, fault.offset)
  }

  /** The octet that llhttp refuses. It stops at this one or at the next one, which need not have come: so it is asked again, without the last. */
  #findFault(raw: string, stop: number): number {
    if (stop === 0 || this.#engine.excessField >= 0) return stop
    const before = raw.slice(0, stop)
    const scratch = new HeadSpans(this.#limits.fields)
    const errno = this.#runFresh(this.#tabRepairs === 0 ? before : withoutLengthTabs(before), scratch)
    return errno === LlhttpErrno.OK ? stop : stop - 1
  }

  /** Runs a text from the start of a head through a fresh llhttp. */
  #runFresh(text: string, spans: HeadSpans): number {
    const bytes = Buffer.from(text, 'latin1')
    this.#engine.begin(this.kind)
    let errno: number = LlhttpErrno.OK
    for (let at = 0; at < bytes.length && errno === LlhttpErrno.OK; at += readBufferBytes) {
      errno = this.#engine.run(bytes, at, Math.min(bytes.length, at + readBufferBytes), at, spans, this.#limits.fields)
    }
    return errno
  }

  /** A limit that was passed before the fault is what is told: had the bytes come one by one, the fault would not have been seen. */
  #checkLimitsBeforeFault(raw: string, offset: number, spans: HeadSpans): void {
    const { startLineBytes, fields } = this.#limits
    if (this.kind === 'request' && offset > startLineBytes + 2) {
      const lineEnd = raw.indexOf('\n')
      if (lineEnd < 0 || lineEnd > startLineBytes + 1) throw new ParseError('H1-REQUEST-LINE-LENGTH', startLineBytes)
    }
    if (this.#engine.excessField >= 0) throw new ParseError('H1-FIELD-COUNT', this.#engine.excessField)
    // The fault stands in a field name, which llhttp tells of only at its end.
    const lineStart = raw.lastIndexOf('\n', offset - 1) + 1
    const lastName = spans.count > 0 ? spans.fields[(spans.count - 1) * spanWidth]! : 0
    if (spans.count === fields && lineStart > lastName && lineStart < offset && isToken(raw, lineStart, lineStart + 1)) {
      throw new ParseError('H1-FIELD-COUNT', lineStart)
    }
  }

  /** Answers 501 to a request whose method is not known, and 400 to what is no request at all. */
  #collectRequestLine(bytes: Uint8Array, start: number, end: number): number {
    const limit = start + this.#limits.startLineBytes + 2 - this.#headBytes
    const lineEnd = bytes.subarray(start, Math.min(end, limit)).indexOf(LF)
    if (lineEnd < 0 && end > limit) throw new ParseError('H1-REQUEST-LINE-LENGTH', this.#limits.startLineBytes)
    const stop = lineEnd < 0 ? end : start + lineEnd + 1
    this.#appendHeadText(bytes, start, stop)
    this.#messageBytes += stop - start
    if (lineEnd >= 0) {
      const line = this.#headText!.toString('latin1', 0, this.#headBytes)
      const isRequestLine = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [^ ]+ HTTP\/1\.[01]\r\n$/.test(line)
      throw new ParseError(isRequestLine ? 'H1-METHOD-UNKNOWN' : 'H1-REQUEST-LINE', 0)
    }
    return stop
  }

  /** Feeds the head up to and including the tab at its end to a fresh llhttp, with spaces for the tabs beside Content-Length. */
  #runAgainWithoutTabs(raw: string, tab: number): number {
    const engine = this.#engine
    if (this.#slot < 0) {
      this.#slot = engine.suspend()
      this.#generation = engine.generation(this.#slot)
      this.#spans = engine.takeSpans(this.kind, engine.sharedSpans(this.kind, this.#limits.fields))
    }
    this.#tabRepairs++
    this.#spans!.clear()
    const errno = this.#runFresh(withoutLengthTabs(raw), this.#spans!)
    if (errno !== LlhttpErrno.OK) throw new ParseError('H1-CL-INVALID', raw.length - 1)
    engine.save(this.#slot, this.#generation)
    this.#messageBytes += raw.length - this.#headBytes
    this.#headBytes = 0
    this.#headText = undefined
    const text = Buffer.from(raw, 'latin1')
    this.#appendHeadText(text, 0, text.length)
    return tab + 1
  }

  #onHeadComplete(raw: string, spans: HeadSpans): void {
    const engine = this.#engine
    if (this.kind === 'request') {
      const head = engine.requestHead
      validateRequest(head, raw, spans, this.#limits, this.#tolerated)
      if (this.#hasEmptyLines) {
        this.#hasEmptyLines = false
        head.faults.push(new ParseError('H1-EMPTY-LINE', 0))
      }
      this.#openBody(head.bodyKind, head.contentLength)
      this.#handler.onHead(head as HeadOf<Kind>)
    } else {
      const head = engine.responseHead
      validateResponse(head, raw, spans, this.#context)
      if (head.isInterim) this.#countInterim(raw.length)
      else this.#openBody(head.bodyKind, head.contentLength)
      this.#handler.onHead(head as HeadOf<Kind>)
    }
    if (this.#spans !== undefined) {
      engine.giveSpans(this.#spans)
      this.#spans = undefined
    }
    if (this.#state === ParserState.COMPLETE) this.#handler.onMessageComplete()
  }

  /** After a 1xx head the next head follows at once. */
  #countInterim(bytes: number): void {
    this.#interimResponses++
    this.#interimBytes += bytes
    if (this.#interimResponses > this.#limits.interimResponses || this.#interimBytes > this.#limits.interimBytes)
      throw new ParseError('H1-INTERIM-LIMIT', 0)
    this.#state = ParserState.IDLE
    this.#messageBytes = 0
  }

  #openBody(bodyKind: BodyKind, contentLength: number): void {
    switch (bodyKind) {
      case BodyKind.NONE:
        this.#state = ParserState.COMPLETE
        return
      case BodyKind.LENGTH:
        this.#state = ParserState.LENGTH
        this.#bodyBytesLeft = contentLength
        return
      case BodyKind.CHUNKED:
        this.#state = ParserState.CHUNKED
        if (this.#chunks === undefined) this.#chunks = new ChunkDecoder(this.#limits, this.#tolerated.has('H1-TRAILER-FIELD'))
        else this.#chunks.reset()
        return
      case BodyKind.CLOSE:
        this.#state = ParserState.CLOSE
        return
      case BodyKind.TUNNEL:
        this.#state = ParserState.TUNNEL
        return
    }
  }

  #decodeChunks(bytes: Uint8Array, start: number, end: number): number {
    const chunks = this.#chunks!
    const at = chunks.decode(bytes, start, end, this.#handler, this.#messageBytes)
    this.#messageBytes += at - start
    if (!chunks.isDone || this.#state !== ParserState.CHUNKED) return at
    const trailers = chunks.takeTrailers(this.#messageBytes)
    if (trailers !== undefined) this.#handler.onTrailers(trailers)
    if (this.#state === ParserState.CHUNKED) this.#complete()
    return at
  }

  #complete(): void {
    this.#state = ParserState.COMPLETE
    this.#handler.onMessageComplete()
  }
}

export type HeadOf<Kind extends MessageKind> = Kind extends 'request' ? RequestHead : ResponseHead

function withoutLengthTabs(raw: string): string {
  return raw.replace(/^content-length:[^\n]*/gim, (line) => line.replaceAll('\t', ' '))
}

function latin1(bytes: Uint8Array, start: number, end: number): string {
  if (Buffer.isBuffer(bytes)) return bytes.toString('latin1', start, end)
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1')
}

/** An engine with the heads and offset arrays that its parsers share. */
export class ParserEngine extends Engine {
  readonly requestHead = new RequestHead()
  readonly responseHead = new ResponseHead()
  // One of each for requests and responses: a request may be parsed while the spans of a response are in use, and the other way round.
  #requestSpans = new HeadSpans(0)
  #responseSpans = new HeadSpans(0)
  readonly #spare: HeadSpans[] = []

  /** The offset array for a head that starts and ends in one read. */
  sharedSpans(kind: MessageKind, fields: number): HeadSpans {
    let spans = kind === 'request' ? this.#requestSpans : this.#responseSpans
    if (spans.fields.length < fields * spanWidth) this.#share(kind, (spans = new HeadSpans(fields)))
    spans.clear()
    return spans
  }

  /** The shared array becomes the property of one parser; another takes its place. */
  takeSpans(kind: MessageKind, spans: HeadSpans): HeadSpans {
    this.#share(kind, this.#spare.pop() ?? new HeadSpans(0))
    return spans
  }

  giveSpans(spans: HeadSpans): void {
    // A few are worth keeping; a burst of slow heads should not hold its memory for ever.
    if (this.#spare.length < sparesMax) this.#spare.push(spans)
  }

  #share(kind: MessageKind, spans: HeadSpans): void {
    if (kind === 'request') this.#requestSpans = spans
    else this.#responseSpans = spans
  }
}

const sparesMax = 64

let defaultEngine: ParserEngine | undefined

/**
 * A parser of its own, without the proxy. Parsers that are given no engine share one with 1024 slots: so many heads may be incomplete at
 * one time, the next one throws ParserUsageError ERR_PARSER_SLOTS. `tolerated`: rules of `looseRules` that are told of and do not end a message.
 */
export function createParser<Kind extends MessageKind>(
  kind: Kind,
  handler: MessageHandler<HeadOf<Kind>>,
  limits: Partial<ParserLimits> = {},
  engine?: ParserEngine,
  tolerated?: ReadonlySet<RuleId>,
): MessageParser<Kind> {
  const defaults = kind === 'request' ? defaultRequestLimits : defaultResponseLimits
  for (const [name, value] of Object.entries(limits)) {
    if (!Object.hasOwn(defaults, name) || !Number.isSafeInteger(value) || value < 0) {
      throw new ParserUsageError('ERR_PARSER_OPTION', `limit ${name}: ${String(value)} is not a whole number, or there is no such limit`)
    }
  }
  const own = { ...defaults, ...limits }
  return new MessageParser(kind, engine ?? (defaultEngine ??= new ParserEngine({ slots: 1_024 })), handler, own, tolerated)
}

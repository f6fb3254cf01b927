/**
 * One client connection: reads requests one after the other, lends itself to an exchange for each, and closes in such a way that the
 * client gets what was written. Pipelined requests stay unparsed until the exchange before them is over. It owns its socket, its parser and
 * its deadlines, and gives all of them up in `onClose`, which comes exactly once.
 */
import { ParseError, ParserState, type MessageParser } from '../../native-free-parser/index.ts'
import type { MessageHandler, RequestHead, TrailerSection } from '../../native-free-parser/index.ts'
import { contradiction } from '../core/assert.ts'
import type { ProxyConfig } from '../core/options.ts'
import type { Spares } from '../core/spares.ts'
import { Deadline, type DeadlineOwner } from '../core/timers.ts'
import type { AfterExchange, ClientSide } from '../exchange/client-side.ts'
import { ExchangeState, type Exchange } from '../exchange/exchange.ts'
import type { ByteSocket, SocketHandler } from '../net/byte-socket.ts'
import { Hold, HoldReason } from '../net/hold.ts'
import type { ClientMemo } from '../policy/head-policy.ts'
import type { DownstreamEnvironment } from './environment.ts'

/** States in life order. */
export const ConnectionState = {
  /** Between requests. `firstByte` or `keepAlive` deadline. */
  IDLE: 'idle',
  /** An exchange is on: its request is being read, or waits for its response. */
  BUSY: 'busy',
  /** The exchange carries another protocol. */
  TUNNEL: 'tunnel',
  /** FIN is sent; what still comes is thrown away, so that a RST does not overtake the response (RFC 9112 section 9.6). `linger` deadline. */
  LINGERING: 'lingering',
  /** Terminal. */
  CLOSED: 'closed',
} as const
export type ConnectionState = (typeof ConnectionState)[keyof typeof ConnectionState]

function isLegalMove(from: ConnectionState, to: ConnectionState): boolean {
  switch (from) {
    case ConnectionState.IDLE:
      return to !== ConnectionState.IDLE && to !== ConnectionState.TUNNEL
    case ConnectionState.BUSY:
      return to !== ConnectionState.BUSY
    case ConnectionState.TUNNEL:
      return to === ConnectionState.LINGERING || to === ConnectionState.CLOSED
    case ConnectionState.LINGERING:
      return to === ConnectionState.CLOSED
    case ConnectionState.CLOSED:
      return false
  }
}

/** Read ahead of an exchange before the client is not read any more; one more read may come on top. */
const aheadBytesMax = 16_384
/** How often the minimum rate of a body is looked at. */
const rateCheckMs = 1_000

export class DownstreamConnection implements SocketHandler, ClientSide, DeadlineOwner, MessageHandler<RequestHead> {
  readonly socket: ByteSocket
  readonly hold: Hold
  readonly #environment: DownstreamEnvironment
  /** Of the exchange that is on: an idle connection has neither. */
  #parser: MessageParser<'request'> | undefined
  #exchange: Exchange | undefined
  /** Where the parser came from, and goes back to. */
  #parsers: Spares<MessageParser<'request'>>
  readonly #readDeadline: Deadline = new Deadline(this)
  #writeDeadline: Deadline | undefined
  #rateDeadline: Deadline | undefined
  #state: ConnectionState = ConnectionState.IDLE

  /** Read and not yet parsed: pipelined requests behind one that is on. Bounded by aheadBytesMax and one read. */
  #ahead: Buffer | undefined
  /** Requests handled without a turn for others. */
  #turnMessages = 0
  #isWorking = false
  #isDeferred = false
  /** FIN came while an exchange was on. */
  hasEnded = false
  isRetired = false
  hasReserved = false
  memo: ClientMemo | null = null
  #lingerBytes = 0
  #unsentBytes = 0

  // Rate of the current request body.
  #bodyBytes = 0
  #bodyMs = 0
  #bodyCheckedAt = 0

  constructor(socket: ByteSocket, environment: DownstreamEnvironment) {
    this.socket = socket
    this.hold = new Hold(socket)
    this.#environment = environment
    const { config, parsers } = environment.policy
    this.#parsers = parsers
    environment.wheel.arm(this.#readDeadline, 'firstByte', config.timeouts.firstByte)
  }

  get state(): ConnectionState {
    return this.#state
  }

  get #config(): ProxyConfig {
    return this.#environment.policy.config
  }

  /** Stops when it is between two requests. */
  closeIfIdle(): void {
    if (this.#state === ConnectionState.IDLE && this.#ahead === undefined) this.#linger()
  }

  /** Stops now. */
  shutdown(): void {
    this.#exchange?.onShutdown()
    this.#destroy()
  }

  // SocketHandler

  onConnect(): void {}

  onData(bytes: Buffer, start: number, end: number): void {
    switch (this.#state) {
      case ConnectionState.IDLE:
      case ConnectionState.BUSY:
        if (this.#ahead === undefined && !this.#isWaiting) return this.#work(bytes, start, end, true)
        return this.#keepAhead(bytes, start, end, true)
      case ConnectionState.TUNNEL:
        return this.#exchange!.onClientTunnelData(bytes, start, end)
      case ConnectionState.LINGERING:
        this.#lingerBytes += end - start
        if (this.#lingerBytes > this.#config.limits.lingerBytes) this.#destroy()
    }
  }

  onEnd(): void {
    switch (this.#state) {
      case ConnectionState.TUNNEL:
        return this.#exchange!.onClientTunnelEnd()
      case ConnectionState.LINGERING:
        // The client has seen our FIN or has nothing more to say: all that was written is acknowledged or on its way.
        return this.#finishLingering()
      case ConnectionState.IDLE:
        if (this.#ahead === undefined || this.#config.halfClosedClients === 'abort') return this.#linger()
        // There are requests to serve yet, which came before the end.
        this.hasEnded = true
        return
      case ConnectionState.BUSY:
        this.hasEnded = true
        if (!this.#exchange!.isRequestComplete) return this.#refuseIncomplete()
        if (this.#config.halfClosedClients === 'abort') return this.#abort(undefined)
    }
  }

  onDrain(): void {
    if (this.#writeDeadline !== undefined) this.#environment.wheel.disarm(this.#writeDeadline)
    switch (this.#state) {
      case ConnectionState.BUSY:
      case ConnectionState.TUNNEL:
        return this.#exchange!.onClientDrain()
      case ConnectionState.IDLE:
        return this.#workAhead()
      case ConnectionState.LINGERING:
        if (this.hasEnded) this.#finishLingering()
        else this.#armLinger()
    }
  }

  onClose(error: Error | undefined): void {
    if (this.#state === ConnectionState.CLOSED) return this.#environment.onConnectionClosed(this)
    this.#exchange?.onClientGone(error)
    this.#destroy()
    this.#environment.onConnectionClosed(this)
  }

  onFault(): void {
    if (this.#exchange !== undefined) this.#exchange.onInternalFault()
    else this.#destroy()
  }

  // ClientSide

  write(data: string | Buffer): boolean {
    this.#exchange!.facts.bytesOut += data.length
    const flushed = this.socket.write(data)
    if (!flushed) {
      this.#unsentBytes = this.socket.unsentBytes
      this.#writeDeadline ??= new Deadline(this)
      this.#environment.wheel.arm(this.#writeDeadline, 'clientWriteIdle', this.#config.timeouts.clientWriteIdle)
    }
    return flushed
  }

  awaitBody(): void {
    if (!this.#exchange!.isRequestComplete) this.#armBody()
  }

  becomeTunnel(): Buffer | undefined {
    this.#to(ConnectionState.TUNNEL)
    this.#environment.wheel.remove(this.#readDeadline)
    const ahead = this.#ahead
    this.#ahead = undefined
    this.hold.free(HoldReason.PIPELINED)
    return ahead
  }

  retire(): void {
    this.isRetired = true
    this.closeIfIdle()
  }

  onExchangeEnd(then: AfterExchange): void {
    const { wheel, exchanges } = this.#environment
    exchanges.give(this.#exchange!)
    this.#exchange = undefined
    this.#returnParser()
    if (this.#state === ConnectionState.CLOSED) return
    if (this.#rateDeadline !== undefined) wheel.disarm(this.#rateDeadline)
    if (then === 'reset') return this.#reset()
    // With nothing left to send and nothing left to come there is no reset that a lingering close would have to avoid.
    if (then === 'done' && this.#bodyBytes === 0 && this.#ahead === undefined && this.socket.unsentBytes === 0) return this.#destroy()
    // A client that was not told of the end by its last response may have the next request on its way: it is closed with the idle ones.
    if (then !== 'next' || this.isRetired || this.#environment.closesIdle) return this.#linger()
    this.#to(ConnectionState.IDLE)
    this.hold.free(HoldReason.NO_SINK)
    this.hold.free(HoldReason.SINK_FULL)
    wheel.arm(this.#readDeadline, 'keepAlive', this.#config.timeouts.keepAlive)
    // Inside #work the loop goes on by itself.
    if (this.#isWorking) return
    this.#workAhead()
    this.#checkEnd()
  }

  // DeadlineOwner

  onDeadline(deadline: Deadline): void {
    const { wheel } = this.#environment
    const config = this.#config
    switch (deadline.phase) {
      case 'firstByte':
        // An exchange of which nothing came: it has its line in the log, like any other.
        this.#beginExchange()
        return this.#exchange!.onClientTimeout('ERR_EPROXY_FIRST_BYTE_TIMEOUT')
      case 'keepAlive':
        return this.#linger()
      case 'requestHead':
        return this.#exchange!.onClientTimeout('ERR_EPROXY_REQUEST_HEAD_TIMEOUT')
      case 'requestBodyIdle':
        // A body that we do not read, because the upstream does not take it, is not late.
        if (this.hold.isHeld) return wheel.arm(deadline, 'requestBodyIdle', config.timeouts.requestBodyIdle)
        return this.#exchange!.onClientTimeout('ERR_EPROXY_REQUEST_BODY_TIMEOUT')
      case 'requestBodyRate':
        return this.#checkRate(deadline)
      case 'clientWriteIdle': {
        const unsent = this.socket.unsentBytes
        const progressed = unsent < this.#unsentBytes
        this.#unsentBytes = unsent
        if (unsent === 0) return
        if (progressed) return wheel.arm(deadline, 'clientWriteIdle', config.timeouts.clientWriteIdle)
        this.#exchange?.onClientTimeout('ERR_EPROXY_CLIENT_STALLED')
        return this.#reset()
      }
      case 'linger':
        return this.#destroy()
    }
  }

  // MessageHandler

  onHead(head: RequestHead): void {
    this.#environment.wheel.disarm(this.#readDeadline)
    this.#exchange!.onRequestHead(head)
  }

  onBody(_bytes: Uint8Array, start: number, end: number): void {
    this.#bodyBytes += end - start
    this.#exchange?.onRequestBody(start, end)
  }

  onTrailers(trailers: TrailerSection): void {
    this.#exchange?.onRequestTrailers(trailers)
  }

  onMessageComplete(): void {
    this.#environment.wheel.disarm(this.#readDeadline)
    if (this.#rateDeadline !== undefined) this.#environment.wheel.disarm(this.#rateDeadline)
    this.#exchange?.onRequestComplete()
  }

  #to(next: ConnectionState): void {
    if (!isLegalMove(this.#state, next)) contradiction(`client connection ${this.#state} -> ${next}`)
    this.#state = next
  }

  /** A request is complete and its response is not: what comes now is ahead of its time. */
  get #isWaiting(): boolean {
    return this.#state === ConnectionState.BUSY && this.#exchange!.isRequestComplete
  }

  /** Works through bytes[start, end) until they are used up or an exchange has to be waited for. What is left of borrowed bytes is copied. */
  #work(bytes: Buffer, start: number, end: number, isBorrowed: boolean): void {
    let at = start
    this.#isWorking = true
    try {
      while (at < end) {
        if (this.#state === ConnectionState.IDLE) {
          if (!this.#mayBegin()) break
          this.#beginExchange()
        }
        if (this.#state !== ConnectionState.BUSY || this.#isWaiting) break
        at += this.#feed(bytes, at, end)
      }
    } finally {
      this.#isWorking = false
    }
    if (at < end) {
      if (this.#state === ConnectionState.IDLE || this.#state === ConnectionState.BUSY) this.#keepAhead(bytes, at, end, isBorrowed)
    } else if (this.#state === ConnectionState.BUSY && !this.#isWaiting) this.#armRead()
    this.#checkEnd()
  }

  /** FIN came before the requests that were read ahead of it were served; once they are, it counts. */
  #checkEnd(): void {
    if (!this.hasEnded) return
    if (this.#state === ConnectionState.IDLE && this.#ahead === undefined) this.#linger()
    else if (this.#state === ConnectionState.BUSY && !this.#isWaiting) this.#refuseIncomplete()
  }

  /** One call into the parser and, when the bytes are used up or the message is complete, one write of what came of it. */
  #feed(bytes: Buffer, start: number, end: number): number {
    const exchange = this.#exchange!
    let taken: number
    try {
      taken = this.#parser!.execute(bytes, start, end)
    } catch (error) {
      if (!(error instanceof ParseError)) throw error
      exchange.facts.bytesIn += end - start
      exchange.refuse(error)
      return end - start
    }
    exchange.facts.bytesIn += taken
    if (this.#exchange === exchange) exchange.onClientTurnEnd(bytes)
    return taken
  }

  #beginExchange(): void {
    this.#to(ConnectionState.BUSY)
    this.#bodyBytes = 0
    this.#bodyMs = 0
    this.#bodyCheckedAt = 0
    const { exchanges, policy } = this.#environment
    this.#parsers = policy.parsers
    this.#parser = this.#parsers.take()
    this.#parser.attach(this)
    this.#exchange = exchanges.take()
    this.#exchange.begin(this)
    this.#environment.wheel.disarm(this.#readDeadline)
  }

  /** Bounds what one client gets done before others have a turn, and what is buffered for one that does not read. */
  #mayBegin(): boolean {
    if (this.socket.unsentBytes > 0) return false
    if (this.#turnMessages < this.#config.limits.turnMessages) {
      this.#turnMessages++
      return true
    }
    this.#deferWork()
    return false
  }

  #deferWork(): void {
    if (this.#isDeferred) return
    this.#isDeferred = true
    this.#environment.wheel.clock.defer(() => {
      this.#isDeferred = false
      this.#turnMessages = 0
      this.#environment.guard(this, () => this.#workAhead())
    })
  }

  #keepAhead(bytes: Buffer, start: number, end: number, isBorrowed: boolean): void {
    const more = bytes.subarray(start, end)
    if (this.#ahead !== undefined) this.#ahead = Buffer.concat([this.#ahead, more])
    else this.#ahead = isBorrowed ? Buffer.from(more) : more
    // Up to here the client is read on, so that its leaving is noticed while its request is answered.
    if (this.#ahead.length >= aheadBytesMax) this.hold.hold(HoldReason.PIPELINED)
  }

  /** Goes on with what was read ahead, or with reading. */
  #workAhead(): void {
    if (this.#state !== ConnectionState.IDLE || this.#isDeferred) return
    const ahead = this.#ahead
    if (ahead === undefined) {
      this.#turnMessages = 0
      return
    }
    if (this.socket.unsentBytes > 0) return
    this.#ahead = undefined
    this.#work(ahead, 0, ahead.length, false)
    if (this.#ahead === undefined) this.hold.free(HoldReason.PIPELINED)
  }

  /** The message goes on in a later read. */
  #armRead(): void {
    const { wheel } = this.#environment
    const config = this.#config
    switch (this.#parser!.state) {
      case ParserState.IDLE:
      case ParserState.HEAD:
        // Never refreshed: a deadline that moves with every byte is no defence against a client that sends one at a time.
        if (this.#readDeadline.phase !== 'requestHead') wheel.arm(this.#readDeadline, 'requestHead', config.timeouts.requestHead)
        return
      case ParserState.LENGTH:
      case ParserState.CHUNKED:
        // A client that asked to be told when to send does nothing wrong by waiting, until its first octet comes.
        if (this.#bodyBytes > 0 || !this.#exchange!.awaitsContinue) this.#armBody()
    }
  }

  #armBody(): void {
    const { wheel } = this.#environment
    const config = this.#config
    wheel.arm(this.#readDeadline, 'requestBodyIdle', config.timeouts.requestBodyIdle)
    if (config.limits.minRate === 0 || this.#bodyCheckedAt !== 0) return
    this.#bodyCheckedAt = wheel.clock.now()
    this.#rateDeadline ??= new Deadline(this)
    wheel.arm(this.#rateDeadline, 'requestBodyRate', rateCheckMs)
  }

  /** The average rate since the body began, not counting the time in which we did not read. */
  #checkRate(deadline: Deadline): void {
    const { wheel } = this.#environment
    const config = this.#config
    const now = wheel.clock.now()
    if (!this.hold.isHeld) this.#bodyMs += now - this.#bodyCheckedAt
    this.#bodyCheckedAt = now
    if (this.#bodyMs > config.timeouts.minRateGrace && this.#bodyBytes < (config.limits.minRate * this.#bodyMs) / 1_000) {
      return this.#exchange!.onClientTimeout('ERR_EPROXY_REQUEST_BODY_RATE')
    }
    wheel.arm(deadline, 'requestBodyRate', rateCheckMs)
  }

  /** FIN inside a message. */
  #refuseIncomplete(): void {
    this.hasEnded = true
    const exchange = this.#exchange
    const parser = this.#parser
    if (exchange === undefined || parser === undefined) return this.#linger()
    // Nothing but an empty line has come: that is not a message.
    if (exchange.state === ExchangeState.HEAD && parser.state === ParserState.IDLE) return this.#abort(undefined)
    exchange.refuse(new ParseError('H1-INCOMPLETE', parser.messageBytes))
  }

  #abort(error: Error | undefined): void {
    this.#exchange!.onClientGone(error)
    this.#destroy()
  }

  /** A parser that has stopped behind a message serves others; any other one is in the middle of something, and is let go. */
  #returnParser(): void {
    const parser = this.#parser!
    this.#parser = undefined
    if (parser.state !== ParserState.COMPLETE || parser.isExecuting) return parser.dispose()
    parser.resume()
    this.#parsers.give(parser)
  }

  /** Sends FIN behind what was written, and reads on for a while. */
  #linger(): void {
    if (this.#state === ConnectionState.LINGERING || this.#state === ConnectionState.CLOSED) return
    const { wheel } = this.#environment
    this.#to(ConnectionState.LINGERING)
    this.#ahead = undefined
    this.hold.free(HoldReason.PIPELINED)
    this.hold.free(HoldReason.NO_SINK)
    this.hold.free(HoldReason.SINK_FULL)
    this.socket.end()
    if (this.hasEnded) return this.#finishLingering()
    // A client that takes the response slowly is not hurried: the time runs from when it has all of it.
    wheel.disarm(this.#readDeadline)
    if (this.socket.unsentBytes === 0) this.#armLinger()
  }

  #armLinger(): void {
    this.#environment.wheel.arm(this.#readDeadline, 'linger', this.#config.timeouts.linger)
  }

  /** Both sides have sent FIN. The socket closes by itself when the kernel has taken all; a client that does not read is timed. */
  #finishLingering(): void {
    this.hasEnded = true
    this.#environment.wheel.disarm(this.#readDeadline)
    if (this.socket.unsentBytes === 0) this.#destroy()
  }

  #reset(): void {
    this.#destroy(true)
  }

  /** The only way to the end: everything that was acquired is given up here. Idempotent. */
  #destroy(withReset = false): void {
    if (this.#state === ConnectionState.CLOSED) return
    this.#to(ConnectionState.CLOSED)
    const { wheel } = this.#environment
    wheel.remove(this.#readDeadline)
    if (this.#writeDeadline !== undefined) wheel.remove(this.#writeDeadline)
    if (this.#rateDeadline !== undefined) wheel.remove(this.#rateDeadline)
    this.#ahead = undefined
    if (this.hasReserved) this.#environment.abandon(this)
    // What is lost on the way must not look whole.
    if (withReset || this.socket.unsentBytes > 0) this.socket.reset()
    else this.socket.destroy()
  }
}

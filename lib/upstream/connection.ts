/**
 * One connection to an upstream server: connecting, then by turns idle in its pool and busy with one exchange, then closed. It parses
 * responses and hands them to the exchange that uses it; it decides nothing about them. It owns its socket, its parser and its
 * deadlines, and gives all of them up in `terminate`.
 */
import { ParseError, ParserState, MessageParser, FieldKind, BodyKind } from '../../native-free-parser/index.ts'
import type { MessageHandler, ResponseContext, ResponseHead, TrailerSection } from '../../native-free-parser/index.ts'
import { contradiction } from '../core/assert.ts'
import { classifyStray, type DesyncKind } from '../core/desync.ts'
import { ProxyError, type ExchangeErrorCode } from '../core/errors.ts'
import type { Timeouts } from '../core/options.ts'
import type { Deadline, DeadlineOwner } from '../core/timers.ts'
import { Deadline as DeadlineClass } from '../core/timers.ts'
import type { ByteSocket, SocketHandler } from '../net/byte-socket.ts'
import { Hold } from '../net/hold.ts'
import type { UpstreamEnvironment } from './environment.ts'

/** States in life order. */
export const ConnectionState = {
  /** No byte can be sent yet. `connect` deadline. */
  CONNECTING: 'connecting',
  /** In the pool. Anything it says ends it. `upstreamKeepAlive` deadline. */
  IDLE: 'idle',
  /** Belongs to one exchange. */
  BUSY: 'busy',
  /** Belongs to one exchange for good: it speaks another protocol. */
  TUNNEL: 'tunnel',
  /** Terminal. */
  CLOSED: 'closed',
} as const
export type ConnectionState = (typeof ConnectionState)[keyof typeof ConnectionState]

/** Why the exchange loses its connection. */
export interface UpstreamLoss {
  readonly code: ExchangeErrorCode
  /** The rule that the response broke, when that was it. */
  readonly fault: ParseError | undefined
  readonly cause: Error | undefined
}

/** A client's connection, seen from below: what knows its exchanges apart, and outlives them. */
export interface RequestingClient {
  readonly socket: { readonly remote: string }
  /** No other request of it is answered after the current one: it has most likely put a connection out of step. */
  retire(): void
}

/** The exchange, seen from below. Calls come in the order head, body, trailers, complete; `onUpstreamTurnEnd` closes each read. */
export interface ConnectionUser {
  /** Number of the exchange that is on, within the process. */
  readonly exchangeNumber: number
  /** Its id where that does not follow from the number, '' otherwise. */
  readonly exchangeId: string
  /** Whose exchange it is. */
  readonly client: RequestingClient
  onResponseHead(head: ResponseHead): void
  onResponseBody(bytes: Uint8Array, start: number, end: number): void
  onResponseTrailers(trailers: TrailerSection): void
  onResponseComplete(): void
  /** All events of one read have been delivered; `bytes` is still valid. Time to write, and to settle. */
  onUpstreamTurnEnd(bytes: Buffer): void
  onUpstreamDrain(): void
  /** The connection is gone, or is of no use any more, before the response was complete. It has been terminated. */
  onUpstreamLost(loss: UpstreamLoss): void
  onTunnelData(bytes: Buffer, start: number, end: number): void
  onTunnelEnd(): void
  onTunnelClose(error: Error | undefined): void
}

/** The pool, seen from below. */
export interface ConnectionKeeper {
  onConnected(connection: UpstreamConnection): void
  onConnectFailed(connection: UpstreamConnection, code: ExchangeErrorCode, cause: Error | undefined): void
  /** It was idle or busy and is closed now. */
  onClosed(connection: UpstreamConnection, wasIdle: boolean): void
  /** It is out of step, or looks like it, and is not used again. `bytes` of what it said answer no request. */
  onDesync(connection: UpstreamConnection, kind: DesyncKind, bytes: number): void
}

/** An exchange on the connection, and whose it was. */
export interface UseOfConnection {
  readonly client: RequestingClient
  readonly exchangeNumber: number
  readonly exchangeId: string
}

const keepAlivePattern = /(?:^|[,;\s])timeout\s*=\s*"?([0-9]{1,9})/i
let lastKeepAlive = ''
let lastKeepAliveMs = -1

/** The `timeout` of a Keep-Alive field in ms, -1 without one. Servers send the same value all the time: the last one is remembered. */
function keepAliveHintMs(value: string): number {
  if (value !== lastKeepAlive) {
    const seconds = keepAlivePattern.exec(value)?.[1]
    lastKeepAlive = value
    lastKeepAliveMs = seconds === undefined ? -1 : Number(seconds) * 1_000
  }
  return lastKeepAliveMs
}

const keepAliveMarginMs = 1_000
/** A connection that only one client may use is not kept long for it: the server may have few. */
const reservedKeepAliveMsMax = 1_000
const keepAliveMsMax = 600_000

export class UpstreamConnection implements SocketHandler, DeadlineOwner, MessageHandler<ResponseHead> {
  readonly id: number
  /** The server's address as it was given. */
  readonly server: string
  readonly socket: ByteSocket
  readonly hold: Hold
  readonly #environment: UpstreamEnvironment
  readonly #keeper: ConnectionKeeper
  readonly #parser: MessageParser<'response'>
  readonly #readDeadline: Deadline = new DeadlineClass(this)
  readonly #writeDeadline: Deadline = new DeadlineClass(this)
  #state: ConnectionState = ConnectionState.CONNECTING
  #user: ConnectionUser | undefined
  /** Those of the route whose exchange it is. */
  #timeouts: Timeouts
  #retireAt: number
  #keepAliveMs: number
  #unsentBytes = 0
  /** Exchanges so far, the current one included. */
  uses = 0
  /** The current response allows another one after it (RFC 9112 section 9.3). */
  #isPersistent = false
  /** More came than the response needed, or it came when nothing was asked. */
  #isDirty = false
  /** Any byte of a response to the current request has come. */
  responseBegun = false
  #responseComplete = false
  /** Of the final response, 0 before it. */
  status = 0
  /** The client that alone may use it. */
  reservedFor: RequestingClient | undefined
  // Who uses it or used it last, and who did before: whose bytes it is that may be left over.
  #lastClient: RequestingClient | undefined
  #lastExchange = 0
  #lastExchangeId = ''
  #previousClient: RequestingClient | undefined
  #previousExchange = 0
  #previousExchangeId = ''

  constructor(
    id: number,
    server: string,
    environment: UpstreamEnvironment,
    keeper: ConnectionKeeper,
    open: (handler: SocketHandler) => ByteSocket,
  ) {
    const { timeouts } = environment.config
    this.#timeouts = timeouts
    this.id = id
    this.server = server
    this.#environment = environment
    this.#keeper = keeper
    this.#parser = new MessageParser('response', environment.parserEngine, this, environment.responseLimits)
    // ± 10 %: connections that were opened together are not retired together.
    this.#retireAt = environment.wheel.clock.now() + timeouts.upstreamMaxAge * (0.9 + 0.2 * environment.random())
    this.#keepAliveMs = timeouts.upstreamKeepAlive
    this.socket = open(this)
    this.hold = new Hold(this.socket)
    environment.wheel.arm(this.#readDeadline, 'connect', timeouts.connect)
  }

  get state(): ConnectionState {
    return this.#state
  }

  /** Can serve another exchange now. */
  get isReusable(): boolean {
    return (
      this.#responseComplete &&
      this.#isPersistent &&
      !this.#isDirty &&
      this.#keepAliveMs > 0 &&
      !this.socket.isEnding &&
      this.socket.unsentBytes === 0 &&
      this.#environment.wheel.clock.now() < this.#retireAt
    )
  }

  /** The current exchange, or the last one. */
  get lastUse(): UseOfConnection | undefined {
    const client = this.#lastClient
    return client && { client, exchangeNumber: this.#lastExchange, exchangeId: this.#lastExchangeId }
  }

  /** The exchange before that one. */
  get previousUse(): UseOfConnection | undefined {
    const client = this.#previousClient
    return client && { client, exchangeNumber: this.#previousExchange, exchangeId: this.#previousExchangeId }
  }

  get isExpired(): boolean {
    return this.#environment.wheel.clock.now() >= this.#retireAt
  }

  /** Begins an exchange. */
  assign(user: ConnectionUser, timeouts: Timeouts = this.#environment.config.timeouts): void {
    if (this.#state !== ConnectionState.IDLE && this.#state !== ConnectionState.CONNECTING) contradiction(`assign in state ${this.#state}`)
    this.#state = ConnectionState.BUSY
    this.#user = user
    this.#timeouts = timeouts
    this.#environment.wheel.disarm(this.#readDeadline)
    this.uses++
    this.#previousClient = this.#lastClient
    this.#previousExchange = this.#lastExchange
    this.#previousExchangeId = this.#lastExchangeId
    this.#lastClient = user.client
    this.#lastExchange = user.exchangeNumber
    this.#lastExchangeId = user.exchangeId
    this.#isPersistent = false
    this.responseBegun = false
    this.#responseComplete = false
    this.status = 0
    if (this.#parser.state === ParserState.COMPLETE) this.#parser.resume()
  }

  /** What the response will be an answer to. Before the first byte of the request is written. */
  expect(context: ResponseContext): void {
    this.#parser.expectResponse(context)
  }

  /** Goes back to the pool. The exchange is over, and nothing of it is left. */
  idle(): void {
    if (this.#state !== ConnectionState.BUSY && this.#state !== ConnectionState.CONNECTING) contradiction(`idle in state ${this.#state}`)
    this.#state = ConnectionState.IDLE
    this.#user = undefined
    this.#environment.wheel.disarm(this.#writeDeadline)
    const keepAliveMs = this.reservedFor === undefined ? this.#keepAliveMs : Math.min(this.#keepAliveMs, reservedKeepAliveMsMax)
    this.#environment.wheel.arm(this.#readDeadline, 'upstreamKeepAlive', keepAliveMs)
  }

  /** The response was complete before its request: what the server makes of the rest cannot be known. */
  answeredEarly(): void {
    if (this.#isPersistent && !this.#isDirty) this.#desync('early-response', 0)
  }

  /** Sends a part of the request. Returns whether the kernel has all of it. */
  write(data: string | Buffer): boolean {
    this.#environment.counters.upstreamOut += data.length
    const flushed = this.socket.write(data)
    if (!flushed) {
      this.#unsentBytes = this.socket.unsentBytes
      this.#environment.wheel.arm(this.#writeDeadline, 'upstreamWriteIdle', this.#timeouts.upstreamWriteIdle)
    }
    return flushed
  }

  /** The request is complete: from now on the server has to say something. */
  awaitResponse(): void {
    if (this.#responseComplete || this.#state !== ConnectionState.BUSY) return
    if (this.#parser.state === ParserState.IDLE || this.#parser.state === ParserState.HEAD)
      this.#environment.wheel.arm(this.#readDeadline, 'responseHead', this.#timeouts.responseHead)
  }

  /** The rest of the request has to come first: until then the server owes nothing. */
  awaitRequest(): void {
    this.#environment.wheel.disarm(this.#readDeadline)
  }

  /** From now on bytes go through as they are. */
  becomeTunnel(): void {
    if (this.#state !== ConnectionState.BUSY) contradiction(`tunnel in state ${this.#state}`)
    this.#state = ConnectionState.TUNNEL
    this.#environment.wheel.remove(this.#readDeadline)
    this.#environment.wheel.remove(this.#writeDeadline)
    this.socket.keepAlive()
  }

  /** The only way out. Idempotent. What the exchange has not been told it is not told any more. */
  terminate(): void {
    if (this.#state === ConnectionState.CLOSED) return
    const before = this.#state
    this.#state = ConnectionState.CLOSED
    this.#user = undefined
    this.reservedFor = undefined
    this.#lastClient = undefined
    this.#previousClient = undefined
    this.#environment.wheel.remove(this.#readDeadline)
    this.#environment.wheel.remove(this.#writeDeadline)
    this.#parser.dispose()
    // RST where a request is unfinished: the server must not take what it got for complete.
    if (before === ConnectionState.BUSY && !this.#responseComplete) this.socket.reset()
    else this.socket.destroy()
    if (before === ConnectionState.CONNECTING) return
    this.#keeper.onClosed(this, before === ConnectionState.IDLE)
  }

  /** The proxy stops: whoever uses the connection is told. */
  shutdown(): void {
    const user = this.#user
    const wasTunnel = this.#state === ConnectionState.TUNNEL
    this.terminate()
    if (wasTunnel) user?.onTunnelClose(new Error('the proxy was stopped'))
    else user?.onUpstreamLost({ code: 'ERR_EPROXY_DRAINED', fault: undefined, cause: undefined })
  }

  // SocketHandler

  onConnect(): void {
    this.#environment.counters.countConnection('upstream', 'connected')
    if (this.#state !== ConnectionState.CONNECTING) return
    this.#environment.wheel.disarm(this.#readDeadline)
    this.#keeper.onConnected(this)
  }

  onData(bytes: Buffer, start: number, end: number): void {
    this.#environment.counters.upstreamIn += end - start
    switch (this.#state) {
      case ConnectionState.BUSY:
        return this.#onResponseBytes(bytes, start, end)
      case ConnectionState.TUNNEL:
        return this.#user!.onTunnelData(bytes, start, end)
      case ConnectionState.IDLE:
        // RFC 9112 section 9.2: data that answers no request. Whatever it is, it must not meet the next request.
        this.#desync(classifyStray(bytes, start, end, true), end - start)
        return this.terminate()
    }
  }

  onEnd(): void {
    switch (this.#state) {
      case ConnectionState.BUSY:
        return this.#onResponseEnd()
      case ConnectionState.TUNNEL:
        return this.#user!.onTunnelEnd()
      case ConnectionState.IDLE:
        return this.terminate()
    }
  }

  onDrain(): void {
    if (this.#state === ConnectionState.CLOSED) return
    this.#environment.wheel.disarm(this.#writeDeadline)
    this.#user?.onUpstreamDrain()
  }

  onClose(error: Error | undefined): void {
    switch (this.#state) {
      case ConnectionState.CONNECTING:
        return this.#failConnect('ERR_EPROXY_CONNECT_FAILED', error)
      case ConnectionState.TUNNEL: {
        const user = this.#user!
        this.terminate()
        return user.onTunnelClose(error)
      }
      case ConnectionState.BUSY:
        return this.#lose({
          code: this.responseBegun ? 'ERR_EPROXY_RESPONSE_INCOMPLETE' : 'ERR_EPROXY_UPSTREAM_CLOSED',
          fault: undefined,
          cause: error,
        })
      default:
        return this.terminate()
    }
  }

  onFault(): void {
    this.#lose({ code: 'ERR_EPROXY_INTERNAL', fault: undefined, cause: undefined })
  }

  // DeadlineOwner

  onDeadline(deadline: Deadline): void {
    const { wheel } = this.#environment
    switch (deadline.phase) {
      case 'connect':
        return this.#failConnect('ERR_EPROXY_CONNECT_TIMEOUT', undefined)
      case 'upstreamKeepAlive':
        return this.terminate()
      case 'responseHead':
        return this.#lose({ code: 'ERR_EPROXY_RESPONSE_HEAD_TIMEOUT', fault: undefined, cause: undefined })
      case 'responseBodyIdle':
        // A response that we do not read, because the client does not take it, is not late.
        if (this.hold.isHeld) return wheel.arm(deadline, 'responseBodyIdle', this.#timeouts.responseBodyIdle)
        return this.#lose({ code: 'ERR_EPROXY_RESPONSE_BODY_TIMEOUT', fault: undefined, cause: undefined })
      case 'upstreamWriteIdle': {
        const unsent = this.socket.unsentBytes
        const progressed = unsent < this.#unsentBytes
        this.#unsentBytes = unsent
        if (unsent === 0) return
        if (progressed) return wheel.arm(deadline, 'upstreamWriteIdle', this.#timeouts.upstreamWriteIdle)
        return this.#lose({ code: 'ERR_EPROXY_UPSTREAM_WRITE_TIMEOUT', fault: undefined, cause: undefined })
      }
    }
  }

  // MessageHandler

  onHead(head: ResponseHead): void {
    if (!head.isInterim) {
      this.status = head.status
      this.#readPersistence(head)
      // A rest of the request before, in front of this one, would be refused like this.
      if (this.uses > 1 && (head.status === 400 || head.status === 408)) this.#desync('refusal-after-reuse', 0)
    }
    this.#user!.onResponseHead(head)
  }

  onBody(bytes: Uint8Array, start: number, end: number): void {
    this.#user?.onResponseBody(bytes, start, end)
  }

  onTrailers(trailers: TrailerSection): void {
    this.#user?.onResponseTrailers(trailers)
  }

  onMessageComplete(): void {
    this.#responseComplete = true
    this.#environment.wheel.disarm(this.#readDeadline)
    this.#user?.onResponseComplete()
  }

  #readPersistence(head: ResponseHead): void {
    const { connection } = head
    // RFC 9112 section 9.3.
    this.#isPersistent = head.bodyKind !== BodyKind.CLOSE && !connection.close && (head.minorVersion === 1 || connection.keepAlive)
    if (!head.has(FieldKind.KEEP_ALIVE)) return
    const hintMs = keepAliveHintMs(head.valueOf(FieldKind.KEEP_ALIVE))
    // A second before the server would close: a request sent at the same moment as its FIN is lost.
    if (hintMs >= 0) this.#keepAliveMs = Math.min(hintMs - keepAliveMarginMs, keepAliveMsMax)
  }

  #onResponseBytes(bytes: Buffer, start: number, end: number): void {
    const user = this.#user!
    this.responseBegun = true
    let taken: number
    try {
      taken = this.#parser.execute(bytes, start, end)
    } catch (error) {
      if (!(error instanceof ParseError)) throw error
      // Bytes of the response before that came late: the parser's verdict is about the first octets of a response.
      if (this.uses > 1 && (error.rule === 'H1-STATUS-LINE' || error.rule === 'H1-EMPTY-LINE'))
        this.#desync('nonsense-after-reuse', end - start)
      // What came before the fault in the same read is valid and may already have been relayed; what follows it is not looked at.
      return this.#lose({ code: 'ERR_EPROXY_RESPONSE_REFUSED', fault: error, cause: undefined })
    }
    if (this.#user !== user) return
    if (start + taken < end) {
      if (this.#parser.state === ParserState.TUNNEL) {
        user.onUpstreamTurnEnd(bytes)
        if (this.#user === user) user.onTunnelData(bytes, start + taken, end)
        return
      }
      this.#desync(classifyStray(bytes, start + taken, end, false), end - start - taken)
    }
    if (!this.#responseComplete && this.#state === ConnectionState.BUSY) this.#armBody()
    user.onUpstreamTurnEnd(bytes)
  }

  #armBody(): void {
    const { wheel } = this.#environment
    switch (this.#parser.state) {
      case ParserState.LENGTH:
      case ParserState.CHUNKED:
      case ParserState.CLOSE:
        wheel.arm(this.#readDeadline, 'responseBodyIdle', this.#timeouts.responseBodyIdle)
        return
      case ParserState.IDLE:
        // An interim response has come: the server is at work.
        if (this.#readDeadline.isArmed) wheel.arm(this.#readDeadline, 'responseHead', this.#timeouts.responseHead)
    }
  }

  #onResponseEnd(): void {
    if (this.#responseComplete) return void (this.#isDirty = true)
    const user = this.#user!
    try {
      this.#parser.finish()
    } catch (error) {
      if (!(error instanceof ParseError)) throw error
      return this.#lose({ code: 'ERR_EPROXY_RESPONSE_INCOMPLETE', fault: error, cause: undefined })
    }
    if (!this.#responseComplete) {
      return this.#lose({
        code: this.responseBegun ? 'ERR_EPROXY_RESPONSE_INCOMPLETE' : 'ERR_EPROXY_UPSTREAM_CLOSED',
        fault: undefined,
        cause: undefined,
      })
    }
    user.onUpstreamTurnEnd(noBytes)
  }

  #desync(kind: DesyncKind, bytes: number): void {
    this.#isDirty = true
    this.#keeper.onDesync(this, kind, bytes)
  }

  #failConnect(code: ExchangeErrorCode, cause: Error | undefined): void {
    this.terminate()
    this.#environment.counters.countConnection('upstream', code === 'ERR_EPROXY_CONNECT_TIMEOUT' ? 'timeout' : 'failed')
    this.#keeper.onConnectFailed(this, code, cause)
  }

  #lose(loss: UpstreamLoss): void {
    const user = this.#user
    this.terminate()
    user?.onUpstreamLost(loss)
  }
}

const noBytes = Buffer.alloc(0)

/** An error for those who wait for a connection. */
export function connectError(code: ExchangeErrorCode, server: string, cause: Error | undefined): ProxyError {
  return new ProxyError(code, `upstream ${server}: ${cause?.message ?? code}`, cause)
}

/**
 * One request and its response: two halves that run against each other, and one fold (`settle`) that says what becomes of the
 * connections. LIFECYCLE.md draws it. The exchange owns neither socket: it borrows the client's connection for its own length, and
 * an upstream connection from a pool. An object serves one exchange after another, of whatever client.
 */
import { BodyKind, encodeTrailers, FieldKind, lastChunk, ParseError } from '../../native-free-parser/index.ts'
import type { FieldEdits, RequestHead, ResponseContext, ResponseHead, RuleId, TrailerSection } from '../../native-free-parser/index.ts'
import { contradiction } from '../core/assert.ts'
import { errorTable, type ExchangeErrorCode, type ProxyError } from '../core/errors.ts'
import type { ProxyConfig } from '../core/options.ts'
import { Deadline, type DeadlineOwner } from '../core/timers.ts'
import type { RequestLimits } from '../limit/request-limits.ts'
import { HoldReason } from '../net/hold.ts'
import { noRoute, type Counters } from '../observe/counters.ts'
import type { ExchangeSummary } from '../observe/exchange-summary.ts'
import { rawFieldValue } from '../observe/raw-field.ts'
import { readClient, type ClientFacts } from '../policy/client.ts'
import { ClientMemo, editLocalHead, type HeadChanges, type HeadPolicy } from '../policy/head-policy.ts'
import { encodeLocalResponse, prefersProblem, type LocalResponse } from '../policy/local-response.ts'
import type { RetryPolicy } from '../policy/retry.ts'
import type { Route } from '../policy/route.ts'
import type { ConnectionUser, UpstreamConnection, UpstreamLoss } from '../upstream/connection.ts'
import type { UpstreamGroup } from '../upstream/group.ts'
import { Waiter } from '../upstream/pool.ts'
import type { RetryReason } from '../upstream/retry-budget.ts'
import type { Server } from '../upstream/server.ts'
import { nobody, type AfterExchange, type ClientSide } from './client-side.ts'
import type { ExchangeEnvironment } from './environment.ts'
import { forwardRequest, isIdempotent, readMaxForwards, readUpgrade, refuseLoop, withTarget } from './forward-request.ts'
import { forwardFinal, forwardInterim, responseFraming, type ResponseFraming } from './forward-response.ts'
import { settle, type RequestHalf, type ResponseHalf } from './settle.ts'
import { Tunnel } from './tunnel.ts'

/** States in life order. */
export const ExchangeState = {
  /** No request. */
  NONE: 'none',
  /** The request's first byte has come, its head is not complete. */
  HEAD: 'head',
  /** There is no upstream connection yet: name, connection, or a place in the pool is waited for. */
  WAITING: 'waiting',
  /** Both halves run. */
  RUNNING: 'running',
  /** The response is over; the rest of the request body is thrown away. */
  DISCARDING: 'discarding',
  /** Both connections carry another protocol. */
  TUNNEL: 'tunnel',
} as const
export type ExchangeState = (typeof ExchangeState)[keyof typeof ExchangeState]

function isLegalMove(from: ExchangeState, to: ExchangeState): boolean {
  switch (from) {
    case ExchangeState.NONE:
      return to === ExchangeState.HEAD
    case ExchangeState.HEAD:
      return to === ExchangeState.RUNNING || to === ExchangeState.WAITING || to === ExchangeState.NONE
    case ExchangeState.WAITING:
      return to === ExchangeState.RUNNING || to === ExchangeState.NONE
    case ExchangeState.RUNNING:
      return to !== ExchangeState.HEAD && to !== ExchangeState.RUNNING
    case ExchangeState.DISCARDING:
    case ExchangeState.TUNNEL:
      return to === ExchangeState.NONE
  }
}

const noTries: readonly Server[] = Object.freeze([])
const noNominations: ReadonlySet<string> = new Set()
const noRules: ReadonlySet<RuleId> = new Set()
const noNames: readonly string[] = Object.freeze([])
const answerToOther: ResponseContext = Object.freeze({ toHead: false, offered: noNames })
const answerToHead: ResponseContext = Object.freeze({ toHead: true, offered: noNames })
let exchangeNumber = 0
/** The request id of an exchange: unique within the process, and with `instance` beyond it. */
export function formatExchangeId(instance: string, number: number): string {
  return instance + number.toString(36)
}

function responseContext(toHead: boolean, offered: readonly string[]): ResponseContext {
  if (offered.length === 0) return toHead ? answerToHead : answerToOther
  return { toHead, offered: offered.map((protocol) => protocol.toLowerCase()) }
}

/** The server says itself that it, or what is behind it, cannot serve: RFC 9110 sections 15.6.3 to 15.6.5. */
function isGatewayFailure(status: number): boolean {
  return status === 502 || status === 503 || status === 504
}

/** A pooled connection that ends between two requests is daily life, and a proxy that stops is nobody's fault but its own. */
function isServersFault(connection: UpstreamConnection, code: ExchangeErrorCode): boolean {
  if (code === 'ERR_EPROXY_UPSTREAM_CLOSED') return connection.uses === 1
  return code !== 'ERR_EPROXY_DRAINED' && code !== 'ERR_EPROXY_INTERNAL'
}

export class Exchange extends Waiter implements ConnectionUser, DeadlineOwner {
  #client: ClientSide = nobody
  readonly #environment: ExchangeEnvironment
  /** Of the listener until the head is known, then of the route: what it was when the exchange began, whatever is configured meanwhile. */
  #config: ProxyConfig
  #group: UpstreamGroup | undefined
  /** `queue`, then `linger` or nothing. */
  readonly #deadline: Deadline = new Deadline(this)
  /** The exchange as a whole, when that is limited. */
  readonly #totalDeadline: Deadline = new Deadline(this)

  #state: ExchangeState = ExchangeState.NONE
  #request: RequestHalf = 'open'
  #response: ResponseHalf = 'open'

  /** Of the current exchange, or the last one. */
  exchangeNumber = 0

  // Facts of the request.
  #id = ''
  #method = ''
  /** The head as it came; the target is taken from it for the summary only. */
  #rawHead = ''
  #targetStart = 0
  #targetEnd = 0
  #minorVersion = 1
  #isChunked = false
  /** A server that reads a message to another end than we do has something left of it, or says something more. */
  #mayLeaveRest = false
  #persists = false
  /** The client has said that this is its last request. */
  #isLast = false
  #context = answerToOther
  #nominated: ReadonlySet<string> = noNominations
  #awaitsContinue = false
  /** Whom the client is believed to be; '' for the peer. */
  #clientAddress = ''
  /** Of the body, 0 for no limit, and how many came. */
  #bodyBytesMax = 0
  #bodyBytes = 0
  #isTooLarge = false
  #tolerated = noRules
  // What the route changes in heads.
  #requestEdits: FieldEdits | null = null
  #responseEdits: FieldEdits | null = null
  #responseAdded = ''

  // The way to the upstream.
  #server: Server | undefined
  /** By which the group chooses, '' where it does not. */
  #serverKey = ''
  /** The server was picked after another one, or a connection, had failed. */
  #isRetry = false
  #upstream: UpstreamConnection | undefined
  #tried = noTries
  #retry: RetryPolicy | undefined
  /** The one attempt after a pooled connection that was closed already has been made. */
  #hasMetStale = false
  /** The group's budget has admitted it, which holds for whatever it tries yet. */
  #isAdmitted = false
  /** Where the request goes next: the response that is coming in is thrown away. */
  #next: Server | undefined
  /** Encoded and not yet given to a connection. */
  readonly #pending: (string | Buffer)[] = []
  #requestHead = ''
  #requestTail = ''
  /** What was sent, for a retry, while `#canReplay`: the first piece, which is mostly the only one, and the others. */
  #replayFirst: string | Buffer = ''
  readonly #replayRest: (string | Buffer)[] = []
  #replayBytes = 0
  #canReplay = false
  #discardedBytes = 0
  /** What is sent, and where a copy of it goes: `#copy` is undefined when there is none. */
  #mirror: Route['mirror']
  #copy: (string | Buffer)[] | undefined
  #copyBytes = 0

  // The way back.
  /** An interim response was relayed, or is about to be. */
  #hasInterim = false
  /** The final head has been handed to the client's connection. */
  #responseBegun = false
  #responseHead = ''
  #responseTail = ''
  #framing: ResponseFraming = 'same'
  /** Decided while the client's bytes are being worked through; given when that is done. */
  #answer: LocalResponse | undefined
  #answerCloses = false
  #inClientTurn = false
  #tunnel: Tunnel | undefined
  #switches = false

  // For the summary.
  #routeName = ''
  #startedAt = 0
  #headAt = -1
  #connectedAt = -1
  #responseAt = -1
  #status = 0
  #retries = 0
  #upstreamName = ''
  #upstreamId = 0
  #reused = false
  #error: ExchangeErrorCode | '' = ''
  #rule: RuleId | '' = ''
  #termination = '--'
  bytesIn = 0
  bytesOut = 0

  constructor(environment: ExchangeEnvironment) {
    super()
    this.#environment = environment
    this.#config = environment.policy.config
  }

  /** '' until somebody has asked for it, or the request has one that is told to others. */
  get exchangeId(): string {
    return this.#id
  }

  get state(): ExchangeState {
    return this.#state
  }

  get isActive(): boolean {
    return this.#state !== ExchangeState.NONE
  }

  override get client(): ClientSide {
    return this.#client
  }

  /** IP address of the client as far as it can be believed: of the peer, or of whom a trusted proxy names. `unix` or `unknown` where there is none. */
  get clientAddress(): string {
    return this.#clientAddress === '' ? this.#client.socket.remoteAddress : this.#clientAddress
  }

  get hasBegunResponse(): boolean {
    return this.#responseBegun
  }

  /** The client waits for a 100 before it sends its body, and has got none. */
  get awaitsContinue(): boolean {
    return this.#awaitsContinue
  }

  get isRequestComplete(): boolean {
    return this.#request === 'complete'
  }

  /** The first byte of a request has come. */
  begin(client: ClientSide): void {
    const { wheel, policy } = this.#environment
    const { config } = policy
    this.#config = config
    this.#group = undefined
    this.#to(ExchangeState.HEAD)
    this.#client = client
    this.#startedAt = wheel.clock.now()
    this.#request = 'open'
    this.#response = 'open'
    this.#id = ''
    this.exchangeNumber = ++exchangeNumber
    this.#method = ''
    this.#rawHead = ''
    this.#routeName = ''
    this.#targetStart = 0
    this.#targetEnd = 0
    this.#minorVersion = -1
    this.#awaitsContinue = false
    this.#isChunked = false
    this.#persists = false
    this.#isLast = false
    this.#clientAddress = ''
    this.#bodyBytesMax = 0
    this.#bodyBytes = 0
    this.#isTooLarge = false
    this.#requestEdits = null
    this.#responseEdits = null
    this.#responseAdded = ''
    this.#tried = noTries
    this.#serverKey = ''
    this.#hasMetStale = false
    this.#isAdmitted = false
    this.#hasInterim = false
    this.#requestHead = ''
    this.#requestTail = ''
    this.#replayBytes = 0
    this.#canReplay = false
    this.#discardedBytes = 0
    this.#responseBegun = false
    this.#responseHead = ''
    this.#responseTail = ''
    this.#framing = 'same'
    this.#answer = undefined
    this.#inClientTurn = true
    this.#switches = false
    this.#headAt = -1
    this.#connectedAt = -1
    this.#responseAt = -1
    this.#status = 0
    this.#retries = 0
    this.#upstreamName = ''
    this.#upstreamId = 0
    this.#reused = false
    this.#error = ''
    this.#rule = ''
    this.#termination = '--'
    this.bytesIn = 0
    this.bytesOut = 0
    if (config.timeouts.request > 0) wheel.arm(this.#totalDeadline, 'request', config.timeouts.request)
  }

  // From the client, while its bytes are worked through; `onClientTurnEnd` closes each read.

  /** Throws ParseError for what only a proxy can see is wrong. */
  onRequestHead(head: RequestHead): void {
    const { policy, wheel } = this.#environment
    this.#inClientTurn = true
    this.#headAt = wheel.clock.now()
    this.#method = head.method
    this.#rawHead = head.raw
    this.#targetStart = head.targetStart
    this.#targetEnd = head.targetEnd
    this.#minorVersion = head.minorVersion
    this.#isChunked = head.bodyKind === BodyKind.CHUNKED
    const client = policy.readsClient ? readClient(head, this.#client.socket, policy.config.forwarded, policy.trusted) : null
    if (client !== null && client.address !== client.peer) this.#clientAddress = client.address
    const route = policy.routeFor(head)
    const { config, heads, tolerated } = route
    this.#config = config
    this.#routeName = route.name
    this.#tolerated = tolerated
    const changes = heads === null ? null : this.#changeHeads(heads, head, client!)
    for (let i = 0; i < head.faults.length; i++) this.#judge(head.faults[i]!)
    this.#mayLeaveRest = config.reuseAfterBody === 'same-client' && (head.bodyKind !== BodyKind.NONE || head.method === 'HEAD')
    // RFC 9112 section 9.3.
    this.#persists = !head.connection.close && (head.minorVersion === 1 || head.connection.keepAlive)
    this.#isLast = !this.#persists
    this.#nominated = head.connection.nominated
    this.#awaitsContinue = head.expectsContinue
    const { access, limits, rewrite } = route
    if (access !== null && !access.admits(this.clientAddress)) return this.#fail('ERR_EPROXY_ACCESS_DENIED')
    if (limits !== null) {
      if (!limits.take(this.clientAddress, head, wheel.clock.now())) return this.#answerLimited(limits)
      this.#responseAdded += limits.fields
    }
    refuseLoop(head, config.via)
    const maxForwards = this.#readMaxForwards(head)
    if (maxForwards === 0) return this.#answerLast()
    const { group } = route
    if (group === undefined) {
      if (route.answer === undefined) return this.#fail('ERR_EPROXY_NO_ROUTE')
      return this.#answerWith(route.answer(head), false)
    }
    this.#group = group
    this.#bodyBytesMax = route.requestBodyBytes
    if (this.#bodyBytesMax > 0 && head.contentLength > this.#bodyBytesMax) {
      this.#isTooLarge = true
      return
    }
    this.#retry = route.retry
    const offered = readUpgrade(head)
    this.#requestHead = forwardRequest(head, config.via, group.name, offered, maxForwards, changes)
    if (rewrite !== null) this.#requestHead = withTarget(this.#requestHead, head.method, rewrite.apply(head))
    this.#context = responseContext(head.method === 'HEAD', offered)
    this.#canReplay = isIdempotent(head.method)
    this.#serverKey = group.keyOf(head, this)
    // What may become another protocol has no copy: nobody could go on with it.
    if (route.mirror !== undefined && offered.length === 0 && route.mirror.group.mirror.takes(route.mirror.share)) {
      this.#mirror = route.mirror
      this.#copy = []
      this.#copyBytes = 0
    }
    this.#acquire()
  }

  onRequestBody(start: number, end: number): void {
    if (this.#awaitsContinue) {
      // The client does not wait any longer.
      this.#awaitsContinue = false
      this.#upstream?.awaitRequest()
    }
    this.#bodyBytes += end - start
    if (this.#bodyBytesMax > 0 && this.#bodyBytes > this.#bodyBytesMax) this.#isTooLarge = true
    if (this.#state === ExchangeState.DISCARDING) this.#discardedBytes += end - start
    else if (this.#answer === undefined) this.#environment.requestBatch.add(start, end)
  }

  onRequestTrailers(trailers: TrailerSection): void {
    if (trailers.fault !== undefined) this.#judge(trailers.fault)
    this.#requestTail = encodeTrailers(trailers, this.#nominated, this.#requestEdits)
  }

  onRequestComplete(): void {
    this.#request = 'complete'
    if (this.#isChunked && this.#requestTail === '') this.#requestTail = lastChunk
  }

  /** A read of the client has been worked through: what came of it is sent. `bytes` is still valid. */
  onClientTurnEnd(bytes: Buffer): void {
    this.#inClientTurn = false
    const batch = this.#environment.requestBatch
    // Nothing of what came with this read goes on: the server must not take what it has for a whole request.
    if (this.#isTooLarge && this.#state !== ExchangeState.DISCARDING) return this.#fail('ERR_EPROXY_REQUEST_BODY_SIZE')
    switch (this.#state) {
      case ExchangeState.RUNNING:
      case ExchangeState.WAITING: {
        const tail = this.#request === 'complete' ? this.#requestTail : ''
        // What waits for a connection, or may have to be sent again, is a copy.
        const isKept = this.#upstream === undefined || this.#canReplay || this.#copy !== undefined
        const place = isKept ? 'kept' : this.#client.socket.owns(bytes) ? 'here' : 'lent'
        const data = batch.encode(this.#requestHead, bytes, this.#isChunked, tail, place)
        this.#requestHead = ''
        if (this.#request === 'complete') this.#requestTail = ''
        if (data.length === 0) return
        if (this.#upstream !== undefined) this.#send(data)
        else {
          this.#pending.push(data)
          // A client whose request is complete is read on: that is how its leaving is noticed.
          if (this.#request === 'open') this.#client.hold.hold(HoldReason.NO_SINK)
        }
        if (this.#copy !== undefined) this.#addToCopy(data)
        return
      }
      case ExchangeState.DISCARDING:
        batch.clear()
        if (this.#request === 'complete') return this.#end('next')
        if (this.#discardedBytes > this.#config.limits.lingerBytes) this.#end('close')
        return
      case ExchangeState.HEAD:
        batch.clear()
        if (this.#answer !== undefined) this.#giveAnswer(this.#answer)
    }
  }

  /** The client's request broke a rule. `upstream` has not seen the end of it, and will not. */
  refuse(error: ParseError): void {
    this.#rule = error.rule
    this.#tell('reject', error)
    this.#fail('ERR_EPROXY_REQUEST_REFUSED', error.status, error.message)
  }

  /** The client did not keep to a deadline. */
  onClientTimeout(code: ExchangeErrorCode): void {
    this.#environment.onSlowClient({ id: this.#requestId(), client: this.#client.socket.remote, code })
    this.#fail(code)
  }

  onClientDrain(): void {
    if (this.#tunnel !== undefined) return this.#tunnel.onClientDrain()
    this.#upstream?.hold.free(HoldReason.SINK_FULL)
  }

  /** The client's connection is gone. */
  onClientGone(error: Error | undefined): void {
    if (this.#tunnel !== undefined) return this.#tunnel.onClientClose(error)
    if (this.#state === ExchangeState.NONE) return
    this.#note('ERR_EPROXY_CLIENT_ABORTED')
    this.#termination = 'C' + this.#phaseLetter()
    this.#dropUpstream()
    this.#end('reset')
  }

  onClientTunnelData(bytes: Buffer, start: number, end: number): void {
    this.bytesIn += end - start
    this.#tunnel!.onClientData(bytes, start, end)
  }

  onClientTunnelEnd(): void {
    this.#tunnel!.onClientEnd()
  }

  /** The proxy is stopping, and does not wait any longer. */
  onShutdown(): void {
    if (this.#state !== ExchangeState.NONE) this.#fail('ERR_EPROXY_DRAINED')
  }

  /** A fault of our own: what was being gathered belongs to no one any more. */
  onInternalFault(): void {
    this.#inClientTurn = false
    if (this.#state !== ExchangeState.NONE) this.#fail('ERR_EPROXY_INTERNAL')
  }

  // From the pool

  override onConnectionReady(connection: UpstreamConnection): void {
    this.#environment.wheel.disarm(this.#deadline)
    this.#attach(connection)
    const pending = this.#pending.splice(0)
    for (const data of pending) this.#send(data)
    this.#client.hold.free(HoldReason.NO_SINK)
  }

  override onConnectionFailed(error: ProxyError): void {
    this.#group!.onFailure(this.#server!)
    const next = this.#retry!.onConnect ? this.#findAnother() : undefined
    if (next === undefined) return this.#fail(error.code as ExchangeErrorCode)
    this.#acquireFrom(next, false, 'connect')
  }

  // From the upstream connection

  onResponseHead(head: ResponseHead): void {
    if (head.isInterim) {
      this.#hasInterim = true
      // RFC 9110 section 15.2: a 1.0 client knows no interim responses.
      if (this.#minorVersion === 1) this.#responseHead += forwardInterim(head)
      if (head.status === 100) this.#goOn()
      return
    }
    if (isGatewayFailure(head.status)) this.#group!.onFailure(this.#server!)
    if (this.#retry!.statuses !== undefined && this.#retry!.statuses.has(head.status) && this.#mayRepeat()) {
      this.#next = this.#findAnother()
      if (this.#next !== undefined) return
    }
    const { wheel } = this.#environment
    const config = this.#config
    // Answered without a 100, the client may send its body or not (RFC 9110 section 10.1.1): what it sends next could be either.
    const isBodyInDoubt = this.#awaitsContinue && this.#request === 'open'
    this.#goOn()
    this.#responseAt = wheel.clock.now()
    this.#status = head.status
    this.#canReplay = false
    this.#forgetReplay()
    if (head.status === 101) {
      // RFC 9110 section 7.8: a server switches only after it has had the whole request.
      if (this.#request !== 'complete') throw new ParseError('H1-SWITCH-UNASKED', 0)
      this.#switches = true
      this.#responseHead += forwardFinal(
        head,
        'same',
        'Upgrade',
        config.via,
        this.#environment.httpDate(),
        this.#responseEdits,
        this.#responseAdded,
      )
      return
    }
    this.#framing = responseFraming(head.bodyKind, this.#minorVersion)
    // An error before the end of the request says that the rest is not wanted: do not make the client send it all.
    if (
      this.#framing === 'close' ||
      this.#environment.isDraining ||
      this.#client.isRetired ||
      isBodyInDoubt ||
      (this.#request === 'open' && head.status >= 400)
    )
      this.#persists = false
    const connection = this.#persists ? (this.#minorVersion === 0 ? 'keep-alive' : '') : 'close'
    const date = head.has(FieldKind.DATE) ? '' : this.#environment.httpDate()
    const added = this.#responseAdded + this.#group!.cookieFor(this.#server!, this.#serverKey)
    this.#responseHead += forwardFinal(head, this.#framing, connection, config.via, date, this.#responseEdits, added)
  }

  onResponseBody(_bytes: Uint8Array, start: number, end: number): void {
    this.#environment.responseBatch.add(start, end)
  }

  onResponseTrailers(trailers: TrailerSection): void {
    if (this.#framing === 'chunked') this.#responseTail = encodeTrailers(trailers, noNominations, this.#responseEdits)
  }

  onResponseComplete(): void {
    this.#response = 'complete'
    if (this.#framing === 'chunked' && this.#responseTail === '') this.#responseTail = lastChunk
  }

  onUpstreamTurnEnd(bytes: Buffer): void {
    const upstream = this.#upstream!
    if (this.#next !== undefined) {
      this.#upstream = undefined
      upstream.hold.free(HoldReason.SINK_FULL)
      // One that is over with this read leaves its connection in order; for the rest of another nobody waits.
      if (this.#response === 'complete' && this.#request === 'complete') this.#server!.pool.release(upstream)
      else upstream.terminate()
      return this.#repeat(this.#next, false, 'status')
    }
    const batch = this.#environment.responseBatch
    const data = batch.encode(
      this.#responseHead,
      bytes,
      this.#framing === 'chunked',
      this.#response === 'complete' ? this.#responseTail : '',
      upstream.socket.owns(bytes) ? 'here' : 'lent',
    )
    this.#responseHead = ''
    if (this.#status !== 0) this.#responseBegun = true
    if (data.length > 0) {
      const flushed = this.#client.write(data)
      batch.onWritten(flushed)
      if (!flushed) {
        upstream.socket.partWith(data)
        upstream.hold.hold(HoldReason.SINK_FULL)
      }
    }
    if (this.#switches) return this.#startTunnel()
    if (this.#response === 'complete') this.#settle()
  }

  onUpstreamDrain(): void {
    if (this.#tunnel !== undefined) return this.#tunnel.onUpstreamDrain()
    this.#client.hold.free(HoldReason.SINK_FULL)
  }

  onUpstreamLost({ code, fault, cause }: UpstreamLoss): void {
    const connection = this.#upstream!
    this.#upstream = undefined
    if (isServersFault(connection, code)) this.#group!.onFailure(this.#server!)
    this.#environment.responseBatch.clear()
    this.#responseHead = ''
    if (fault !== undefined && code === 'ERR_EPROXY_RESPONSE_REFUSED') {
      this.#rule = fault.rule
      this.#environment.onRefusal({
        id: this.#requestId(),
        action: 'reject',
        side: 'upstream',
        peer: connection.server,
        rule: fault.rule,
        section: fault.section,
        offset: fault.offset,
      })
    }
    if (this.#repeatAfterLoss(connection, code)) return
    this.#fail(code, undefined, fault?.message ?? cause?.message)
  }

  onTunnelData(bytes: Buffer, start: number, end: number): void {
    this.#tunnel!.onUpstreamData(bytes, start, end)
  }

  onTunnelEnd(): void {
    this.#tunnel!.onUpstreamEnd()
  }

  onTunnelClose(error: Error | undefined): void {
    this.#tunnel!.onUpstreamClose(error)
  }

  // DeadlineOwner

  onDeadline(deadline: Deadline): void {
    switch (deadline.phase) {
      case 'queue':
        // A connection that is being made is waited for as long as its own deadlines allow.
        if (this.#server!.pool.isConnectingForAll) return this.#environment.wheel.arm(deadline, 'queue', this.#config.timeouts.queue)
        return this.#fail('ERR_EPROXY_QUEUE_TIMEOUT')
      case 'request':
        return this.#fail('ERR_EPROXY_REQUEST_TIMEOUT')
      case 'linger':
        if (this.#state === ExchangeState.DISCARDING) this.#end('close')
    }
  }

  #to(next: ExchangeState): void {
    if (!isLegalMove(this.#state, next)) contradiction(`exchange ${this.#state} -> ${next}`)
    this.#state = next
  }

  /** What the route asks for in both heads. Valid until the next request of anybody. */
  #changeHeads(heads: HeadPolicy, head: RequestHead, client: ClientFacts): HeadChanges {
    this.#id = heads.requestIdOf(head, client)
    this.#client.memo ??= new ClientMemo()
    const changes = heads.changesFor(head, client, heads.usesId ? this.#requestId() : '', this.#client.memo)
    this.#requestEdits = changes.edits
    this.#responseEdits = changes.responseEdits
    this.#responseAdded = changes.responseAdded
    return changes
  }

  /** The request breaks a rule of which the parser only tells. Throws it where the route does not tolerate that. */
  #judge(fault: ParseError): void {
    if (!this.#tolerated.has(fault.rule)) throw fault
    this.#tell('warn', fault)
  }

  #readMaxForwards(head: RequestHead): number {
    if (!this.#tolerated.has('H1-MAX-FORWARDS')) return readMaxForwards(head)
    try {
      return readMaxForwards(head)
    } catch (error) {
      if (!(error instanceof ParseError)) throw error
      this.#judge(error)
      return -1
    }
  }

  /** The client's request has broken a rule. */
  #tell(action: 'reject' | 'warn', { rule, section, offset }: ParseError): void {
    this.#environment.onRefusal({ id: this.#requestId(), action, side: 'client', peer: this.#client.socket.remote, rule, section, offset })
  }

  #requestId(): string {
    if (this.#id === '') this.#id = formatExchangeId(this.#environment.instance, this.exchangeNumber)
    return this.#id
  }

  /** Asks the server whose turn it is. */
  #acquire(): void {
    const server = this.#group!.pick(noTries, this.#serverKey, false)
    if (server === undefined) return this.#fail(this.#group!.refusal)
    this.#acquireFrom(server, false, undefined)
  }

  /** Takes a connection to that server, or waits for one. */
  #acquireFrom(server: Server, fresh: boolean, reason: RetryReason | undefined): void {
    const { wheel } = this.#environment
    this.#leaveServer()
    this.#server = server
    this.#isRetry = reason !== undefined
    if (reason !== undefined) {
      this.#retries++
      this.#group!.retries.count(reason)
    }
    const { pool } = server
    this.#upstreamName = server.name
    let connection: UpstreamConnection | undefined
    try {
      connection = pool.acquire(this, fresh)
    } catch (error) {
      const { code } = error as ProxyError
      if (code !== 'ERR_EPROXY_QUEUE_FULL') throw error
      return this.#fail(code)
    }
    if (connection !== undefined) {
      // After a failed attempt the request is already waiting to be sent.
      if (this.#state === ExchangeState.WAITING) return this.onConnectionReady(connection)
      return this.#attach(connection)
    }
    if (this.#state !== ExchangeState.WAITING) this.#to(ExchangeState.WAITING)
    if (!this.#deadline.isArmed) wheel.arm(this.#deadline, 'queue', this.#config.timeouts.queue)
  }

  #leaveServer(): void {
    if (this.#server === undefined) return
    this.#group!.leave(this.#server, this.#isRetry)
    this.#server = undefined
  }

  #attach(connection: UpstreamConnection): void {
    this.#to(ExchangeState.RUNNING)
    this.#upstream = connection
    connection.assign(this, this.#config.timeouts)
    connection.expect(this.#context)
    if (this.#mayLeaveRest) {
      connection.reservedFor = this.#client
      this.#client.hasReserved = true
    }
    this.#connectedAt = this.#environment.wheel.clock.now()
    this.#upstreamId = connection.id
    this.#reused = connection.uses > 1
  }

  #send(data: string | Buffer): void {
    if (this.#canReplay) this.#remember(data)
    const flushed = this.#upstream!.write(data)
    this.#environment.requestBatch.onWritten(flushed)
    if (!flushed) {
      this.#client.socket.partWith(data)
      this.#client.hold.hold(HoldReason.SINK_FULL)
    }
    // With both sides waiting, the server for the body and the client for a 100, it is the server's turn.
    if (this.#request === 'complete' || this.#awaitsContinue) this.#upstream!.awaitResponse()
  }

  /** Keeps what is sent, as far as there is room, where it may have to be sent again: at least while the connection may turn out to be closed already. */
  #remember(data: string | Buffer): void {
    this.#replayBytes += data.length
    this.#canReplay = (this.#reused || this.#retry!.keepsRequest) && this.#replayBytes <= this.#config.limits.replayBytes
    if (!this.#canReplay) this.#forgetReplay()
    else if (this.#replayFirst === '') this.#replayFirst = data
    else this.#replayRest.push(data)
  }

  #forgetReplay(): void {
    this.#replayFirst = ''
    if (this.#replayRest.length > 0) this.#replayRest.length = 0
  }

  /** RFC 9110 section 9.2.2: an idempotent request, all of which is still at hand; and nobody has seen anything of an answer. */
  #mayRepeat(): boolean {
    return this.#canReplay && !this.#hasInterim
  }

  /** Gives up the server of this attempt. Another one, when the route, the group and its budget have one left. */
  #findAnother(): Server | undefined {
    const { servers, share, minimum } = this.#retry!
    const group = this.#group!
    this.#tried = [...this.#tried, this.#server!]
    if (this.#tried.length >= servers) return undefined
    const next = group.pick(this.#tried, this.#serverKey, true)
    if (next === undefined || this.#isAdmitted) return next
    // It counts once among the active, and not yet among those that retry.
    this.#isAdmitted = group.retries.admit(group.active - 1, group.retrying - (this.#isRetry ? 2 : 1), share, minimum)
    if (this.#isAdmitted) return next
    group.leave(next, true)
    return undefined
  }

  /** Sends the request again where that is safe, and there is somewhere to send it. */
  #repeatAfterLoss(connection: UpstreamConnection, code: ExchangeErrorCode): boolean {
    if (this.#next !== undefined) {
      // The response that was to be thrown away ended early: it need not be.
      this.#repeat(this.#next, false, 'status')
      return true
    }
    if (!this.#mayRepeat()) return false
    if (code === 'ERR_EPROXY_UPSTREAM_CLOSED' && !this.#hasMetStale && connection.uses > 1) {
      // RFC 9112 section 9.3.1: the server has closed a pooled connection at the same moment, which says nothing about the server.
      this.#hasMetStale = true
      const server = this.#group!.pick(this.#tried, this.#serverKey, true)
      if (server === undefined) return false
      this.#repeat(server, true, 'stale')
      return true
    }
    const reason = this.#lossReason(code)
    const next = reason === undefined ? undefined : this.#findAnother()
    if (next === undefined) return false
    this.#repeat(next, false, reason!)
    return true
  }

  #lossReason(code: ExchangeErrorCode): RetryReason | undefined {
    switch (code) {
      case 'ERR_EPROXY_UPSTREAM_CLOSED':
      case 'ERR_EPROXY_RESPONSE_INCOMPLETE':
        return this.#retry!.onClosed ? 'closed' : undefined
      case 'ERR_EPROXY_RESPONSE_HEAD_TIMEOUT':
        return this.#retry!.onTimeout ? 'timeout' : undefined
      default:
        return undefined
    }
  }

  #repeat(server: Server, fresh: boolean, reason: RetryReason): void {
    this.#next = undefined
    this.#response = 'open'
    this.#rule = ''
    this.#environment.responseBatch.clear()
    this.#pending.push(this.#replayFirst, ...this.#replayRest)
    this.#forgetReplay()
    this.#replayBytes = 0
    this.#to(ExchangeState.WAITING)
    this.#client.hold.free(HoldReason.SINK_FULL)
    if (this.#request === 'open') this.#client.hold.hold(HoldReason.NO_SINK)
    this.#acquireFrom(server, fresh, reason)
  }

  #addToCopy(data: string | Buffer): void {
    const { mirror } = this.#mirror!.group
    const copy = this.#copy!
    this.#copyBytes += data.length
    if (this.#copyBytes > this.#config.limits.replayBytes) {
      this.#copy = undefined
      return mirror.drop('too-large')
    }
    copy.push(data)
    if (this.#request === 'open') return
    this.#copy = undefined
    mirror.send(copy, this.#context)
  }

  #settle(): void {
    if (!isGatewayFailure(this.#status)) this.#group!.onSuccess(this.#server!)
    const ends = settle(this.#request, this.#response, this.#persists)
    const upstream = this.#upstream!
    this.#upstream = undefined
    // It was held for this client; the next one has nothing to do with that.
    upstream.hold.free(HoldReason.SINK_FULL)
    if (ends.upstream === 'release') this.#server!.pool.release(upstream)
    else {
      upstream.answeredEarly()
      upstream.terminate()
    }
    switch (ends.client) {
      case 'next':
        return this.#end('next')
      case 'close':
        return this.#end(this.#isLast && this.#request === 'complete' ? 'done' : 'close')
      case 'discard': {
        const { wheel } = this.#environment
        this.#to(ExchangeState.DISCARDING)
        this.#client.hold.free(HoldReason.SINK_FULL)
        wheel.arm(this.#deadline, 'linger', this.#config.timeouts.linger)
      }
    }
  }

  /** The client has been told whether to send its body: from now on it is expected to. */
  #goOn(): void {
    if (!this.#awaitsContinue) return
    this.#awaitsContinue = false
    if (this.#request === 'open') this.#upstream!.awaitRequest()
    this.#client.awaitBody()
  }

  #startTunnel(): void {
    this.#to(ExchangeState.TUNNEL)
    this.#group!.onSuccess(this.#server!)
    this.#environment.wheel.disarm(this.#totalDeadline)
    const upstream = this.#upstream!
    const ahead = this.#client.becomeTunnel()
    upstream.becomeTunnel()
    this.#tunnel = new Tunnel(this.#client, upstream, this.#environment.wheel, this.#config, {
      onBytesOut: (bytes) => (this.bytesOut += bytes),
      onTunnelOver: (code, side) => {
        this.#tunnel = undefined
        this.#upstream = undefined
        if (code !== undefined) this.#note(code)
        if (side === 'client') this.#termination = 'CD'
        this.#end(code === undefined ? 'close' : 'reset')
      },
    })
    if (ahead !== undefined) this.onClientTunnelData(ahead, 0, ahead.length)
    if (this.#client.hasEnded) this.#tunnel.onClientEnd()
  }

  /** The exchange cannot go on: tells the client as well as it still can be told, and lets go of the upstream. */
  #fail(code: ExchangeErrorCode, ruleStatus?: number, details = ''): void {
    const row = errorTable[code]
    this.#note(code)
    this.#dropUpstream()
    if (this.#tunnel !== undefined) return this.#tunnel.terminate(code)
    if (this.#state === ExchangeState.DISCARDING) return this.#end('close')
    // What is half sent must not look whole: the connection is cut.
    if (this.#responseBegun) return this.#end('reset')
    const status = ruleStatus ?? row.status
    // A client that never said anything gets no answer and no reset: it may be a probe, or a browser that connected ahead.
    if (status === 0) return this.#end(code === 'ERR_EPROXY_FIRST_BYTE_TIMEOUT' ? 'close' : 'reset')
    const fields = status === 503 ? 'Retry-After: 1\r\n' : ''
    this.#answerWith(
      { status, error: row.proxyStatus, details: row.side === 'client' || this.#rule !== '' ? details || row.doc : row.doc, fields },
      row.side === 'client' || code === 'ERR_EPROXY_INTERNAL',
    )
  }

  /** The client may go on with its connection: closing it would cost both sides more than the next refusal. */
  #answerLimited(limits: RequestLimits): void {
    const { code, fields } = limits.describeRefusal()
    const { status, proxyStatus, doc } = errorTable[code]
    this.#note(code)
    this.#answerWith({ status, error: proxyStatus, details: doc, fields }, false)
  }

  /** RFC 9110 section 7.6.2: Max-Forwards has run out, this proxy is the final recipient. */
  #answerLast(): void {
    if (this.#method === 'OPTIONS') return this.#answerWith({ status: 204, error: '', details: '', fields: '' }, false)
    this.#answerWith(
      {
        status: 405,
        error: '',
        details: 'TRACE is not answered by this proxy',
        fields: 'Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n',
      },
      false,
    )
  }

  #answerWith(answer: LocalResponse, closes: boolean): void {
    this.#answerCloses = closes
    // While the client's bytes are worked through it is not known yet whether the request is complete: wait for the end of the read.
    if (this.#state === ExchangeState.HEAD && this.#inClientTurn && !closes) this.#answer = answer
    else this.#giveAnswer(answer)
  }

  #giveAnswer(answer: LocalResponse): void {
    this.#status = answer.status
    this.#responseBegun = true
    const closes =
      this.#answerCloses || !this.#persists || this.#request === 'open' || this.#client.isRetired || this.#environment.isDraining
    // A 1.0 client takes a connection for closed that it is not told to keep.
    const fields = !closes && this.#minorVersion === 0 ? answer.fields + 'Connection: keep-alive\r\n' : answer.fields
    const asProblem = answer.status >= 400 && answer.content === undefined && prefersProblem(this.#rawHead)
    const date = this.#environment.httpDate()
    const text = encodeLocalResponse({ ...answer, fields }, date, closes, this.#method === 'HEAD', asProblem)
    const isPlain = this.#responseEdits === null && this.#responseAdded === ''
    this.#client.write(isPlain ? text : editLocalHead(text, this.#responseEdits, this.#responseAdded))
    this.#end(closes ? 'close' : 'next')
  }

  #dropUpstream(): void {
    if (this.waitsIn !== undefined) this.waitsIn.cancel(this)
    const upstream = this.#upstream
    if (this.#tunnel !== undefined || upstream === undefined) return
    this.#upstream = undefined
    upstream.terminate()
  }

  #note(code: ExchangeErrorCode): void {
    if (this.#error !== '') return
    this.#error = code
    const row = errorTable[code]
    this.#termination = row.termination
    // The row's second letter is for the usual moment; a response that was cut under way ended in its data phase.
    if (this.#responseBegun && row.side !== 'client') this.#termination = row.termination[0]! + 'D'
  }

  /** The second letter for an end that can come at any moment. */
  #phaseLetter(): string {
    switch (this.#state) {
      case ExchangeState.HEAD:
        return 'R'
      case ExchangeState.WAITING:
        return 'Q'
      case ExchangeState.TUNNEL:
        return 'T'
      default:
        return this.#responseBegun || this.#request === 'open' ? 'D' : 'H'
    }
  }

  /** The one way in which an exchange ends. */
  #end(then: AfterExchange): void {
    const { wheel } = this.#environment
    this.#to(ExchangeState.NONE)
    wheel.remove(this.#deadline)
    wheel.remove(this.#totalDeadline)
    this.#environment.requestBatch.clear()
    this.#environment.responseBatch.clear()
    if (this.#pending.length > 0) this.#pending.length = 0
    this.#forgetReplay()
    if (this.#next !== undefined) this.#group!.leave(this.#next, true)
    this.#next = undefined
    if (this.#copy !== undefined) {
      this.#copy = undefined
      this.#mirror!.group.mirror.drop('incomplete')
    }
    this.#leaveServer()
    this.#environment.onExchangeEnd(this)
    const client = this.#client
    this.#client = nobody
    client.onExchangeEnd(then)
  }

  get hasFailed(): boolean {
    return this.#termination !== '--'
  }

  /** The same as the summary, for who needs no text. */
  countInto(counters: Counters): void {
    counters.countExchange(
      counters.route(this.#headAt < 0 ? noRoute : this.#routeName),
      this.#status,
      this.#termination,
      this.#error,
      this.bytesIn,
      this.bytesOut,
      this.#headAt < 0 ? -1 : this.#headAt - this.#startedAt,
      this.#connectedAt < 0 ? -1 : this.#connectedAt - this.#headAt,
      this.#responseAt < 0 ? -1 : this.#responseAt - this.#connectedAt,
      this.#environment.wheel.clock.now() - this.#startedAt,
    )
  }

  /** What is known of the exchange that has just ended. */
  summarize(withFields = false): ExchangeSummary {
    const { clock } = this.#environment.wheel
    const totalMs = clock.now() - this.#startedAt
    const summary: ExchangeSummary = {
      id: this.#requestId(),
      startedAt: clock.wallNow() - totalMs,
      client: this.#clientAddress === '' ? this.#client.socket.remote : this.#clientAddress,
      method: this.#method,
      target: this.#rawHead.substring(this.#targetStart, this.#targetEnd),
      version: this.#minorVersion < 0 ? '' : this.#minorVersion === 1 ? '1.1' : '1.0',
      status: this.#status,
      bytesIn: this.bytesIn,
      bytesOut: this.bytesOut,
      upstream: this.#upstreamName,
      upstreamConnection: this.#upstreamId,
      reused: this.#reused,
      retries: this.#retries,
      headMs: this.#headAt < 0 ? -1 : this.#headAt - this.#startedAt,
      upstreamMs: this.#connectedAt < 0 ? -1 : this.#connectedAt - this.#headAt,
      responseMs: this.#responseAt < 0 ? -1 : this.#responseAt - this.#connectedAt,
      totalMs,
      termination: this.#termination,
      error: this.#error,
      rule: this.#rule,
      tunnel: this.#switches,
      route: this.#routeName,
      listener: this.#environment.policy.listener?.address ?? '',
    }
    if (!withFields) return summary
    return { ...summary, referer: rawFieldValue(this.#rawHead, 'referer'), userAgent: rawFieldValue(this.#rawHead, 'user-agent') }
  }
}

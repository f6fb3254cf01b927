/**
 * One request and its response: two halves that run against each other, and one fold (`settle`) that says what becomes of the
 * connections. LIFECYCLE.md draws it. The exchange owns neither socket: it borrows the client's connection for its own length, and
 * an upstream connection from a pool. An object serves one exchange after another, of whatever client.
 */
import { BodyKind, FieldKind, ParseError } from '../../native-free-parser/index.ts'
import type { RequestHead, ResponseHead, RuleId, TrailerSection } from '../../native-free-parser/index.ts'
import { contradiction } from '../core/assert.ts'
import { errorTable, type ExchangeErrorCode, type ProxyError } from '../core/errors.ts'
import type { ProxyConfig } from '../core/options.ts'
import { Deadline, type DeadlineOwner } from '../core/timers.ts'
import type { RequestLimits } from '../limit/request-limits.ts'
import { HoldReason } from '../net/hold.ts'
import { readClient, type ClientFacts } from '../policy/client.ts'
import { ClientMemo, type HeadChanges, type HeadPolicy } from '../policy/head-policy.ts'
import type { LocalResponse } from '../policy/local-response.ts'
import type { ConnectionUser, UpstreamConnection, UpstreamLoss } from '../upstream/connection.ts'
import { Waiter } from '../upstream/pool.ts'
import { nobody, type AfterExchange, type ClientSide } from './client-side.ts'
import type { ExchangeEnvironment } from './environment.ts'
import { ExchangeFacts } from './facts.ts'
import { forwardRequest, isIdempotent, readMaxForwards, readUpgrade, refuseLoop, withTarget } from './forward-request.ts'
import { answerToOther, responseContext, responseFraming } from './forward-response.ts'
import { answerError, answerLast, answerLimited } from './local-answer.ts'
import { OutgoingRequest } from './outgoing-request.ts'
import { OutgoingResponse } from './outgoing-response.ts'
import { RequestCopy } from './request-copy.ts'
import { ServerChoice } from './server-choice.ts'
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

const noRules: ReadonlySet<RuleId> = new Set()

export class Exchange extends Waiter implements ConnectionUser, DeadlineOwner {
  #client: ClientSide = nobody
  readonly #environment: ExchangeEnvironment
  /** Of the current exchange, or the last one. */
  readonly facts: ExchangeFacts
  /** Of the listener until the head is known, then of the route: what it was when the exchange began, whatever is configured meanwhile. */
  #config: ProxyConfig
  /** `queue`, then `linger` or nothing. */
  readonly #deadline: Deadline = new Deadline(this)
  /** The exchange as a whole, when that is limited. */
  readonly #totalDeadline: Deadline = new Deadline(this)

  #state: ExchangeState = ExchangeState.NONE
  #request: RequestHalf = 'open'
  #response: ResponseHalf = 'open'

  // Facts of the request.
  /** A server that reads a message to another end than we do has something left of it, or says something more. */
  #mayLeaveRest = false
  #persists = false
  /** The client has said that this is its last request. */
  #isLast = false
  #context = answerToOther
  #awaitsContinue = false
  /** Of the body, 0 for no limit, and how many came. */
  #bodyBytesMax = 0
  #bodyBytes = 0
  #isTooLarge = false
  #tolerated = noRules

  // The way to the upstream.
  readonly #servers: ServerChoice = new ServerChoice()
  #upstream: UpstreamConnection | undefined
  readonly #requestOut: OutgoingRequest = new OutgoingRequest()
  readonly #copy: RequestCopy = new RequestCopy()
  #discardedBytes = 0

  // The way back.
  readonly #responseOut: OutgoingResponse = new OutgoingResponse()
  /** Decided while the client's bytes are being worked through; given when that is done. */
  #answer: LocalResponse | undefined
  #answerCloses = false
  #inClientTurn = false
  #tunnel: Tunnel | undefined

  constructor(environment: ExchangeEnvironment) {
    super()
    this.#environment = environment
    this.facts = new ExchangeFacts(environment)
    this.#config = environment.policy.config
  }

  get exchangeNumber(): number {
    return this.facts.number
  }

  get exchangeId(): string {
    return this.facts.knownId
  }

  get state(): ExchangeState {
    return this.#state
  }

  override get client(): ClientSide {
    return this.#client
  }

  /** IP address of the client as far as it can be believed: of the peer, or of whom a trusted proxy names. `unix` or `unknown` where there is none. */
  get clientAddress(): string {
    const { clientAddress } = this.facts
    return clientAddress === '' ? this.#client.socket.remoteAddress : clientAddress
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
    this.#to(ExchangeState.HEAD)
    this.#client = client
    this.facts.begin(client.socket.remote)
    this.#request = 'open'
    this.#response = 'open'
    this.#awaitsContinue = false
    this.#persists = false
    this.#isLast = false
    this.#bodyBytesMax = 0
    this.#bodyBytes = 0
    this.#isTooLarge = false
    this.#discardedBytes = 0
    this.#responseOut.begin()
    this.#answer = undefined
    this.#inClientTurn = true
    if (config.timeouts.request > 0) wheel.arm(this.#totalDeadline, 'request', config.timeouts.request)
  }

  // From the client, while its bytes are worked through; `onClientTurnEnd` closes each read.

  /** Throws ParseError for what only a proxy can see is wrong. */
  onRequestHead(head: RequestHead): void {
    const { policy, wheel } = this.#environment
    const { facts } = this
    this.#inClientTurn = true
    facts.noteHead(head)
    const client = policy.readsClient ? readClient(head, this.#client.socket, policy.config.forwarded, policy.trusted) : null
    if (client !== null && client.address !== client.peer) facts.clientAddress = client.address
    const route = policy.routeFor(head)
    const { config, heads, tolerated } = route
    this.#config = config
    facts.route = route.name
    this.#tolerated = tolerated
    const changes = heads === null ? null : this.#changeHeads(heads, head, client!)
    for (let i = 0; i < head.faults.length; i++) this.#judge(head.faults[i]!)
    this.#mayLeaveRest = config.reuseAfterBody === 'same-client' && (head.bodyKind !== BodyKind.NONE || head.method === 'HEAD')
    // RFC 9112 section 9.3.
    this.#persists = !head.connection.close && (head.minorVersion === 1 || head.connection.keepAlive)
    this.#isLast = !this.#persists
    this.#awaitsContinue = head.expectsContinue
    const { access, limits, rewrite } = route
    if (access !== null && !access.admits(this.clientAddress)) return this.#fail('ERR_EPROXY_ACCESS_DENIED')
    if (limits !== null) {
      if (!limits.take(this.clientAddress, head, wheel.clock.now())) return this.#answerLimited(limits)
      this.#responseOut.addFields(limits.fields)
    }
    refuseLoop(head, config.via)
    const maxForwards = this.#readMaxForwards(head)
    if (maxForwards === 0) return this.#answerWith(answerLast(head.method), false)
    const { group } = route
    if (group === undefined) {
      if (route.answer === undefined) return this.#fail('ERR_EPROXY_NO_ROUTE')
      return this.#answerWith(route.answer(head), false)
    }
    this.#bodyBytesMax = route.requestBodyBytes
    if (this.#bodyBytesMax > 0 && head.contentLength > this.#bodyBytesMax) {
      this.#isTooLarge = true
      return
    }
    const offered = readUpgrade(head)
    const forwarded = forwardRequest(head, config.via, group.name, offered, maxForwards, changes)
    this.#requestOut.begin(
      rewrite === null ? forwarded : withTarget(forwarded, head.method, rewrite.apply(head)),
      head.bodyKind === BodyKind.CHUNKED,
      head.connection.nominated,
      changes === null ? null : changes.edits,
      isIdempotent(head.method),
    )
    this.#context = responseContext(head.method === 'HEAD', offered)
    this.#servers.begin(group, route.retry, group.keyOf(head, this))
    // What may become another protocol has no copy: nobody could go on with it.
    if (route.mirror !== undefined && offered.length === 0) {
      const { mirror } = route.mirror.group
      if (mirror.takes(route.mirror.share)) this.#copy.begin(mirror)
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
    this.#requestOut.addTrailers(trailers)
  }

  onRequestComplete(): void {
    this.#request = 'complete'
    this.#requestOut.complete()
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
        const requestOut = this.#requestOut
        const isComplete = this.#request === 'complete'
        // What waits for a connection, or may have to be sent again, is a copy.
        const isKept = this.#upstream === undefined || requestOut.canRepeat || this.#copy.isWanted
        const data = requestOut.encode(batch, bytes, isComplete, isKept ? 'kept' : this.#client.socket.owns(bytes) ? 'here' : 'lent')
        if (data.length === 0) return
        if (this.#upstream !== undefined) this.#send(data)
        else {
          requestOut.wait(data)
          // A client whose request is complete is read on: that is how its leaving is noticed.
          if (!isComplete) this.#client.hold.hold(HoldReason.NO_SINK)
        }
        if (this.#copy.isWanted) this.#copy.add(data, isComplete, this.#config.limits.replayBytes, this.#context)
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
    this.facts.rule = error.rule
    this.#tell('reject', error)
    this.#fail('ERR_EPROXY_REQUEST_REFUSED', error.status, error.message)
  }

  /** The client did not keep to a deadline. */
  onClientTimeout(code: ExchangeErrorCode): void {
    this.#environment.onSlowClient({ id: this.facts.id, client: this.#client.socket.remote, code })
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
    this.facts.noteError('ERR_EPROXY_CLIENT_ABORTED', this.#responseOut.hasBegun)
    this.facts.termination = 'C' + this.#phaseLetter()
    this.#dropUpstream()
    this.#end('reset')
  }

  onClientTunnelData(bytes: Buffer, start: number, end: number): void {
    this.facts.bytesIn += end - start
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
    for (const data of this.#requestOut.takeWaiting()) this.#send(data)
    this.#client.hold.free(HoldReason.NO_SINK)
  }

  override onConnectionFailed(error: ProxyError): void {
    this.#servers.onConnectFailed()
    if (!this.#servers.findAfterConnectFailure()) return this.#fail(error.code as ExchangeErrorCode)
    this.#acquireNext()
  }

  // From the upstream connection

  onResponseHead(head: ResponseHead): void {
    if (head.isInterim) {
      this.#responseOut.addInterim(head, this.facts.minorVersion)
      if (head.status === 100) this.#goOn()
      return
    }
    const servers = this.#servers
    servers.onResponse(head.status)
    // The response is thrown away, when there is somewhere else to ask.
    if (servers.retriesStatus(head.status) && this.#mayRepeat() && servers.findAfterStatus()) return
    const config = this.#config
    // Answered without a 100, the client may send its body or not (RFC 9110 section 10.1.1): what it sends next could be either.
    const isBodyInDoubt = this.#awaitsContinue && this.#request === 'open'
    this.#goOn()
    this.facts.noteResponse(head.status)
    this.#requestOut.stopKeeping()
    if (head.status === 101) {
      // RFC 9110 section 7.8: a server switches only after it has had the whole request.
      if (this.#request !== 'complete') throw new ParseError('H1-SWITCH-UNASKED', 0)
      this.facts.tunnel = true
      this.#responseOut.addFinal(head, 'same', 'Upgrade', config.via, this.#environment.httpDate(), '')
      return
    }
    const framing = responseFraming(head.bodyKind, this.facts.minorVersion)
    // An error before the end of the request says that the rest is not wanted: do not make the client send it all.
    if (
      framing === 'close' ||
      this.#environment.isDraining ||
      this.#client.isRetired ||
      isBodyInDoubt ||
      (this.#request === 'open' && head.status >= 400)
    )
      this.#persists = false
    const connection = this.#persists ? (this.facts.minorVersion === 0 ? 'keep-alive' : '') : 'close'
    const date = head.has(FieldKind.DATE) ? '' : this.#environment.httpDate()
    this.#responseOut.addFinal(head, framing, connection, config.via, date, servers.cookie)
  }

  onResponseBody(_bytes: Uint8Array, start: number, end: number): void {
    this.#environment.responseBatch.add(start, end)
  }

  onResponseTrailers(trailers: TrailerSection): void {
    this.#responseOut.addTrailers(trailers)
  }

  onResponseComplete(): void {
    this.#response = 'complete'
    this.#responseOut.complete()
  }

  onUpstreamTurnEnd(bytes: Buffer): void {
    const upstream = this.#upstream!
    if (this.#servers.hasNext) {
      this.#upstream = undefined
      upstream.hold.free(HoldReason.SINK_FULL)
      // One that is over with this read leaves its connection in order; for the rest of another nobody waits.
      if (this.#response === 'complete' && this.#request === 'complete') this.#servers.server.pool.release(upstream)
      else upstream.terminate()
      return this.#repeat()
    }
    const batch = this.#environment.responseBatch
    const place = upstream.socket.owns(bytes) ? 'here' : 'lent'
    const data = this.#responseOut.encode(batch, bytes, this.#response === 'complete', place)
    if (this.facts.status !== 0) this.#responseOut.hasBegun = true
    if (data.length > 0) {
      const flushed = this.#client.write(data)
      batch.onWritten(flushed)
      if (!flushed) {
        upstream.socket.partWith(data)
        upstream.hold.hold(HoldReason.SINK_FULL)
      }
    }
    if (this.facts.tunnel) return this.#startTunnel()
    if (this.#response === 'complete') this.#settle()
  }

  onUpstreamDrain(): void {
    if (this.#tunnel !== undefined) return this.#tunnel.onUpstreamDrain()
    this.#client.hold.free(HoldReason.SINK_FULL)
  }

  onUpstreamLost({ code, fault, cause }: UpstreamLoss): void {
    const connection = this.#upstream!
    this.#upstream = undefined
    this.#servers.onLost(connection, code)
    this.#environment.responseBatch.clear()
    this.#responseOut.dropUnwritten()
    if (fault !== undefined && code === 'ERR_EPROXY_RESPONSE_REFUSED') {
      this.facts.rule = fault.rule
      this.#environment.onRefusal({
        id: this.facts.id,
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
        if (this.#servers.server.pool.isConnectingForAll) return this.#environment.wheel.arm(deadline, 'queue', this.#config.timeouts.queue)
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
    this.facts.knownId = heads.requestIdOf(head, client)
    this.#client.memo ??= new ClientMemo()
    const changes = heads.changesFor(head, client, heads.usesId ? this.facts.id : '', this.#client.memo)
    this.#responseOut.changeFields(changes.responseEdits, changes.responseAdded)
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
    this.#environment.onRefusal({
      id: this.facts.id,
      action,
      side: 'client',
      peer: this.#client.socket.remote,
      rule,
      section,
      offset,
    })
  }

  /** Asks the server whose turn it is. */
  #acquire(): void {
    if (!this.#servers.findFirst()) return this.#fail(this.#servers.refusal)
    this.#acquireNext()
  }

  /** Takes a connection to the next server, or waits for one. */
  #acquireNext(): void {
    const { wheel } = this.#environment
    const server = this.#servers.moveOn()
    if (this.#servers.isRetry) this.facts.retries++
    this.facts.upstream = server.name
    let connection: UpstreamConnection | undefined
    try {
      connection = server.pool.acquire(this, this.#servers.wantsFresh)
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

  #attach(connection: UpstreamConnection): void {
    this.#to(ExchangeState.RUNNING)
    this.#upstream = connection
    connection.assign(this, this.#config.timeouts)
    connection.expect(this.#context)
    if (this.#mayLeaveRest) {
      connection.reservedFor = this.#client
      this.#client.hasReserved = true
    }
    this.facts.noteConnection(connection)
  }

  #send(data: string | Buffer): void {
    if (this.#requestOut.canRepeat) this.#requestOut.keep(data, this.#keptBytesMax())
    const flushed = this.#upstream!.write(data)
    this.#environment.requestBatch.onWritten(flushed)
    if (!flushed) {
      this.#client.socket.partWith(data)
      this.#client.hold.hold(HoldReason.SINK_FULL)
    }
    // With both sides waiting, the server for the body and the client for a 100, it is the server's turn.
    if (this.#request === 'complete' || this.#awaitsContinue) this.#upstream!.awaitResponse()
  }

  /** What is sent is kept where it may have to be sent again: at least while the connection may turn out to be closed already. */
  #keptBytesMax(): number {
    return this.facts.reused || this.#servers.keepsRequest ? this.#config.limits.replayBytes : 0
  }

  /** It can be sent again, and nobody has seen anything of an answer. */
  #mayRepeat(): boolean {
    return this.#requestOut.canRepeat && !this.#responseOut.hasInterim
  }

  /** Sends the request again where that is safe, and there is somewhere to send it. */
  #repeatAfterLoss(connection: UpstreamConnection, code: ExchangeErrorCode): boolean {
    const servers = this.#servers
    // With a next one already, the response that was to be thrown away ended early: it need not be.
    if (!servers.hasNext && !(this.#mayRepeat() && servers.findAfterLoss(connection, code))) return false
    this.#repeat()
    return true
  }

  #repeat(): void {
    this.#response = 'open'
    this.facts.rule = ''
    this.#environment.responseBatch.clear()
    this.#requestOut.repeat()
    this.#to(ExchangeState.WAITING)
    this.#client.hold.free(HoldReason.SINK_FULL)
    if (this.#request === 'open') this.#client.hold.hold(HoldReason.NO_SINK)
    this.#acquireNext()
  }

  #settle(): void {
    this.#servers.onResponseComplete(this.facts.status)
    const ends = settle(this.#request, this.#response, this.#persists)
    const upstream = this.#upstream!
    this.#upstream = undefined
    // It was held for this client; the next one has nothing to do with that.
    upstream.hold.free(HoldReason.SINK_FULL)
    if (ends.upstream === 'release') this.#servers.server.pool.release(upstream)
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
    this.#servers.onResponseComplete(this.facts.status)
    this.#environment.wheel.disarm(this.#totalDeadline)
    const upstream = this.#upstream!
    const ahead = this.#client.becomeTunnel()
    upstream.becomeTunnel()
    this.#tunnel = new Tunnel(this.#client, upstream, this.#environment.wheel, this.#config, {
      onBytesOut: (bytes) => (this.facts.bytesOut += bytes),
      onTunnelOver: (code, side) => {
        this.#tunnel = undefined
        this.#upstream = undefined
        if (code !== undefined) this.facts.noteError(code, this.#responseOut.hasBegun)
        if (side === 'client') this.facts.termination = 'CD'
        this.#end(code === undefined ? 'close' : 'reset')
      },
    })
    if (ahead !== undefined) this.onClientTunnelData(ahead, 0, ahead.length)
    if (this.#client.hasEnded) this.#tunnel.onClientEnd()
  }

  /** The exchange cannot go on: tells the client as well as it still can be told, and lets go of the upstream. */
  #fail(code: ExchangeErrorCode, ruleStatus?: number, details = ''): void {
    const row = errorTable[code]
    this.facts.noteError(code, this.#responseOut.hasBegun)
    this.#dropUpstream()
    if (this.#tunnel !== undefined) return this.#tunnel.terminate(code)
    if (this.#state === ExchangeState.DISCARDING) return this.#end('close')
    // What is half sent must not look whole: the connection is cut.
    if (this.#responseOut.hasBegun) return this.#end('reset')
    const status = ruleStatus ?? row.status
    // A client that never said anything gets no answer and no reset: it may be a probe, or a browser that connected ahead.
    if (status === 0) return this.#end(code === 'ERR_EPROXY_FIRST_BYTE_TIMEOUT' ? 'close' : 'reset')
    // What went wrong with a server is the client's business as far as it is a rule that was broken.
    const isTold = row.side === 'client' || this.facts.rule !== ''
    this.#answerWith(answerError(code, status, isTold ? details : ''), row.side === 'client' || code === 'ERR_EPROXY_INTERNAL')
  }

  /** The client may go on with its connection: closing it would cost both sides more than the next refusal. */
  #answerLimited(limits: RequestLimits): void {
    const refusal = limits.describeRefusal()
    this.facts.noteError(refusal.code, this.#responseOut.hasBegun)
    this.#answerWith(answerLimited(refusal), false)
  }

  #answerWith(answer: LocalResponse, closes: boolean): void {
    this.#answerCloses = closes
    // While the client's bytes are worked through it is not known yet whether the request is complete: wait for the end of the read.
    if (this.#state === ExchangeState.HEAD && this.#inClientTurn && !closes) this.#answer = answer
    else this.#giveAnswer(answer)
  }

  #giveAnswer(answer: LocalResponse): void {
    this.facts.status = answer.status
    const closes =
      this.#answerCloses || !this.#persists || this.#request === 'open' || this.#client.isRetired || this.#environment.isDraining
    this.#client.write(this.#responseOut.encodeAnswer(answer, this.facts, closes, this.#environment.httpDate()))
    this.#end(closes ? 'close' : 'next')
  }

  #dropUpstream(): void {
    if (this.waitsIn !== undefined) this.waitsIn.cancel(this)
    const upstream = this.#upstream
    if (this.#tunnel !== undefined || upstream === undefined) return
    this.#upstream = undefined
    upstream.terminate()
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
        return this.#responseOut.hasBegun || this.#request === 'open' ? 'D' : 'H'
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
    this.#requestOut.end()
    this.#copy.end()
    this.#servers.leave()
    this.facts.noteEnd()
    this.#environment.onExchangeEnd(this.facts)
    const client = this.#client
    this.#client = nobody
    client.onExchangeEnd(then)
  }
}

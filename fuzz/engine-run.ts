/**
 * Client connections through the whole engine, between simulated sockets and on a clock that stands still unless nothing else can happen.
 * A client is a byte string; what stands behind an upstream connection is the target's business. Which socket says something next, and how
 * much of it, is chance. Nothing is judged here but that the run comes to an end and leaves nothing behind; what was seen from outside is
 * kept for those who judge.
 */
import type { Buffer } from 'node:buffer'
import type { ParserEngine } from '../native-free-parser/index.ts'
import { resolveOptions, type ProxyConfig, type ProxyOptions } from '../lib/core/options.ts'
import { TimerWheel } from '../lib/core/timers.ts'
import { DownstreamConnection } from '../lib/downstream/connection.ts'
import type { DownstreamEnvironment } from '../lib/downstream/environment.ts'
import { makePlainPolicy } from '../lib/policy/policy.ts'
import type { ByteSocket, SocketHandler } from '../lib/net/byte-socket.ts'
import { Counters } from '../lib/observe/counters.ts'
import type { ExchangeSummary } from '../lib/observe/exchange-summary.ts'
import { plainServers, UpstreamGroup } from '../lib/upstream/group.ts'
import { SharedReadBuffer, SimulatedSocket } from '../test/sim/simulated-socket.ts'
import { surroundDownstream, surroundUpstream } from '../test/sim/surroundings.ts'
import { VirtualClock } from '../test/sim/virtual-clock.ts'
import { ReferenceFault, ReferenceReader, type ReferenceMessage } from '../test/support/reference-parser.ts'
import type { SeededRandom } from '../test/support/seeded-random.ts'
import { toText } from './octets.ts'
import { expect } from './target.ts'

/** The far end of one upstream connection. It is told what arrives through `peer.onBytes` of its socket. */
export interface OriginEnd {
  readonly canAct: boolean
  act(): void
}

/** The parts of a run that a canary replaces. */
export interface RunParts {
  makeClientSocket(remote: string, windowBytes: number, buffer: SharedReadBuffer): SimulatedSocket
  makeUpstreamSocket(remote: string, windowBytes: number, buffer: SharedReadBuffer): SimulatedSocket
  makeConnection(
    socket: SimulatedSocket,
    environment: DownstreamEnvironment,
    connect: (handler: SocketHandler) => SimulatedSocket,
  ): SocketHandler
}

export const realParts: RunParts = {
  makeClientSocket: (remote, windowBytes, buffer) => new SimulatedSocket(remote, windowBytes, buffer, true),
  makeUpstreamSocket: (remote, windowBytes, buffer) => new SimulatedSocket(remote, windowBytes, buffer, false),
  makeConnection: (socket, environment) => new DownstreamConnection(socket, environment),
}

export interface ClientPlan {
  readonly bytes: Uint8Array
  /** What the client does behind its last octet: it waits for the proxy to close, ends at once, or resets. */
  readonly ending: 'waits' | 'ends' | 'resets'
}

export interface RunPlan {
  readonly options: ProxyOptions
  readonly clients: readonly ClientPlan[]
  makeOrigin(upstream: UpstreamRecord): OriginEnd
  /** Whose request this is, when there are several clients. */
  clientOf?(request: ReferenceMessage): number
  /** The head of a request has been written to an upstream. May throw. */
  onArrival?(upstream: UpstreamRecord): void
}

/** One client connection as it was seen from outside. */
export interface ClientRecord {
  readonly socket: SimulatedSocket
  readonly plan: ClientPlan
  /** All that reached the client. */
  received: string
  readonly summaries: ExchangeSummary[]
}

/** A request on its way to an upstream, at the moment at which its head is written. */
export interface Arrival {
  /** Counts all arrivals of the run. */
  readonly number: number
  readonly message: ReferenceMessage
  readonly client: ClientRecord
  /** How many exchanges of that client were over. */
  readonly exchange: number
  /** How much had come over the connection. */
  readonly deliveredBytes: number
  /** The origin had sent, or was about to send, what was not read yet: its next octets may be taken for the answer to this request. */
  isDoubtful: boolean
}

/** One upstream connection as it was seen from outside. */
export interface UpstreamRecord {
  readonly index: number
  readonly socket: SimulatedSocket
  /** All that the proxy wrote. */
  written: string
  /** How much of it was written before the proxy was told of a switch of protocols; undefined without one. */
  httpBytes: number | undefined
  readonly arrivals: Arrival[]
  /** The reference reader gave up: what was written from there on is in no arrival. */
  hasUnreadArrivals: boolean
  /** All that the origin sent and that was read. */
  delivered: string
  endDelivered: boolean
}

/** Short, because time is only moved when nobody does anything. */
const timeouts = {
  firstByte: 1_000,
  requestHead: 1_000,
  keepAlive: 1_000,
  requestBodyIdle: 1_000,
  clientWriteIdle: 1_000,
  queue: 1_000,
  connect: 1_000,
  responseHead: 1_000,
  responseBodyIdle: 1_000,
  upstreamWriteIdle: 1_000,
  upstreamKeepAlive: 4_000,
  tunnelIdle: 1_000,
  halfClose: 1_000,
  linger: 500,
}

/** Many times what a seed takes of 20 kB in pieces of one octet: each octet is several steps on its way. */
const stepsMax = 1_000_000
const silentRoundsMax = 300

export class EngineRun {
  readonly clients: readonly ClientRecord[]
  readonly upstreams: UpstreamRecord[] = []
  readonly #random: SeededRandom
  readonly #engine: ParserEngine
  readonly #plan: RunPlan
  readonly #parts: RunParts
  readonly #clock = new VirtualClock()
  readonly #wheel: TimerWheel
  readonly #counters = new Counters()
  readonly #buffer: SharedReadBuffer
  readonly #config: ProxyConfig
  readonly #group: UpstreamGroup
  readonly #origins: OriginEnd[] = []
  readonly #windowBytes: number
  readonly #pieceBytesMax: number
  /** What each client has yet to send. */
  readonly #unsent: string[]
  readonly #closed: ByteSocket[] = []
  /** Clients come one after the other: what one leaves behind in the engine, the next one finds. */
  #openNext: () => void = () => {}
  #openCount = 0
  #arrivals = 0
  #steps = 0

  constructor(plan: RunPlan, parts: RunParts, engine: ParserEngine, random: SeededRandom) {
    this.#plan = plan
    this.#parts = parts
    this.#engine = engine
    this.#random = random
    this.#buffer = new SharedReadBuffer(engine.readBuffer)
    this.#config = resolveOptions({ upstreams: ['10.0.0.1:80'], via: 'fuzz', ...plan.options, timeouts }, 'fuzz')
    this.#unsent = plan.clients.map(({ bytes }) => toText(bytes))
    // Mostly large: small windows are for the finding of lost octets, and slow.
    this.#windowBytes = random.pick([7, 500, 100_000, 100_000])
    this.#pieceBytesMax = random.pick([1, 20, 200, 65_536, 65_536])
    this.#wheel = new TimerWheel(this.#clock, {
      onLag: () => {},
      onFault: (error) => {
        throw error
      },
    })
    const upstream = surroundUpstream({
      config: this.#config,
      parserEngine: this.#engine,
      wheel: this.#wheel,
      counters: this.#counters,
      random: () => this.#random.next(),
      connect: (_address, handler) => this.#connect(handler),
    })
    this.#group = new UpstreamGroup(plainServers(this.#config.upstreams), upstream)
    this.clients = plan.clients.map((client, index) => this.#makeClient(client, index))
  }

  #makeClient(plan: ClientPlan, index: number): ClientRecord {
    const socket = this.#parts.makeClientSocket(`192.0.2.${index + 1}:1000`, this.#windowBytes, this.#buffer)
    const record: ClientRecord = { socket, plan, received: '', summaries: [] }
    socket.peer.onBytes = (text) => void (record.received += text)
    return record
  }

  /** Runs until both sides are closed. Throws what the engine throws. */
  run(): void {
    const environment = surroundDownstream({
      policy: makePlainPolicy(this.#config, this.#group, this.#engine),
      wheel: this.#wheel,
      counters: this.#counters,
      onExchangeEnd: (exchange) => {
        const summary = exchange.summarize()
        this.clients.find(({ socket }) => socket.remote === summary.client)!.summaries.push(summary)
      },
      abandon: (client) => this.#group.abandon(client),
      onConnectionClosed: ({ socket }) => void this.#closed.push(socket),
    })
    this.#openNext = () => {
      const { socket } = this.clients[this.#openCount++]!
      socket.handler = this.#parts.makeConnection(socket, environment, (one) => this.#connect(one))
    }
    this.#openNext()
    this.#playToEnd(() => this.#openCount === this.clients.length && this.clients.every(({ socket }) => socket.closed))
    this.#group.destroy()
    this.#playToEnd(() => this.upstreams.every(({ socket }) => socket.closed))
    for (const { socket } of this.clients) {
      const count = this.#closed.filter((one) => one === socket).length
      if (socket.handler instanceof DownstreamConnection)
        expect(count === 1, () => `the client connection was reported closed ${count} times`)
    }
    expect(this.#wheel.size === 0, () => `${this.#wheel.size} deadlines are left in the wheel`)
    expect(environment.requestBatch.isEmpty && environment.responseBatch.isEmpty, () => 'octets are left in a batch')
    for (const stats of Object.values(this.#group.stats)) {
      expect(stats.idle + stats.busy + stats.connecting + stats.waiting === 0, () => `the pool is not empty: ${JSON.stringify(stats)}`)
    }
    this.#wheel.stop()
  }

  #playToEnd(isOver: () => boolean): void {
    for (let round = 0; round < silentRoundsMax; round++) {
      for (let actions = this.#actions(); actions.length > 0; actions = this.#actions()) {
        expect(this.#steps++ < stepsMax, () => 'the run does not come to an end')
        this.#random.pick(actions)()
      }
      if (isOver()) return
      // Nobody has anything to say but the clock. A client that has waited this long has seen all that there is.
      if (round === 20) for (const { socket } of this.clients) socket.peer.end()
      this.#clock.advance(250)
    }
    expect(false, () => 'a connection stays open for ever')
  }

  #actions(): (() => void)[] {
    const actions: (() => void)[] = []
    const clients = this.clients.slice(0, this.#openCount)
    if (clients.length < this.clients.length) actions.push(this.#openNext)
    for (const { socket } of [...clients, ...this.upstreams]) {
      for (const event of socket.events()) actions.push(() => socket.happen(event, this.#pieceBytes()))
    }
    for (const origin of this.#origins) if (origin.canAct) actions.push(() => origin.act())
    for (const [index, client] of clients.entries()) {
      const action = this.#clientAction(client, index)
      if (action !== undefined) actions.push(action)
    }
    if (this.#clock.deferredCount > 0) actions.push(() => this.#clock.runDeferred())
    return actions
  }

  #clientAction({ socket: { peer }, plan }: ClientRecord, index: number): (() => void) | undefined {
    const unsent = this.#unsent[index]!
    if (!peer.canSend) return undefined
    if (unsent !== '') {
      return () => {
        const piece = unsent.slice(0, this.#pieceBytes())
        this.#unsent[index] = unsent.slice(piece.length)
        peer.send(piece)
      }
    }
    if (plan.ending === 'resets') return () => peer.reset()
    return plan.ending === 'ends' || peer.sawEnd ? () => peer.end() : undefined
  }

  #pieceBytes(): number {
    return this.#random.integer(1, this.#pieceBytesMax)
  }

  #connect(handler: SocketHandler): SimulatedSocket {
    const index = this.upstreams.length
    const socket = this.#parts.makeUpstreamSocket(`10.0.0.1#${index}`, this.#windowBytes, this.#buffer)
    const record: UpstreamRecord = {
      index,
      socket,
      written: '',
      httpBytes: undefined,
      arrivals: [],
      hasUnreadArrivals: false,
      delivered: '',
      endDelivered: false,
    }
    const reader = new ReferenceReader('request')
    socket.handler = handler
    socket.onWrite = (text) => this.#onUpstreamWrite(record, reader, text)
    socket.onDelivered = (text) => {
      record.delivered += text
      if (record.httpBytes === undefined && /HTTP\/1\.[01] 101/.test(record.delivered)) record.httpBytes = record.written.length
    }
    socket.onEndDelivered = () => void (record.endDelivered = true)
    this.upstreams.push(record)
    this.#origins.push(this.#plan.makeOrigin(record))
    return socket
  }

  #onUpstreamWrite(record: UpstreamRecord, reader: ReferenceReader, text: string): void {
    record.written += text
    if (record.httpBytes !== undefined || record.hasUnreadArrivals) return
    try {
      reader.push(text)
    } catch (error) {
      // Whoever judges what was written judges this too.
      if (!(error instanceof ReferenceFault)) throw error
      record.hasUnreadArrivals = true
    }
    for (const message of reader.messages.slice(record.arrivals.length)) {
      const client = this.clients[this.#plan.clientOf?.(message) ?? 0]!
      const number = this.#arrivals++
      const exchange = client.summaries.length
      record.arrivals.push({ number, message, client, exchange, deliveredBytes: record.delivered.length, isDoubtful: false })
      this.#plan.onArrival?.(record)
    }
  }
}

/** A socket whose writes are changed on their way: for canaries. */
export class TamperedSocket extends SimulatedSocket {
  readonly #tamper: (text: string) => string

  constructor(remote: string, windowBytes: number, buffer: SharedReadBuffer, connected: boolean, tamper: (text: string) => string) {
    super(remote, windowBytes, buffer, connected)
    this.#tamper = tamper
  }

  override write(data: string | Buffer): boolean {
    return super.write(this.#tamper(typeof data === 'string' ? data : data.toString('latin1')))
  }
}

/**
 * The proxy as a whole: listeners, client connections, upstream servers, one timer wheel and one parser engine. It wires the layers
 * together and ends them together; what happens to a message is decided below.
 */
import { randomBytes } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { ParserEngine, type ParserLimits } from '../native-free-parser/index.ts'
import { desyncTable, zeroDesyncCounts, type DesyncCounts, type DesyncKind } from './core/desync.ts'
import { errorTable, ProxyError } from './core/errors.ts'
import {
  formatAddress,
  mergeConfig,
  parseListenAddress,
  parseUpstreamAddress,
  resolveOptions,
  type Address,
  type ProxyConfig,
  type ProxyOptions,
} from './core/options.ts'
import type { GroupOptions, ListenerOptions } from './core/service-options.ts'
import { systemClock, TimerWheel } from './core/timers.ts'
import { Spares } from './core/spares.ts'
import { DownstreamConnection } from './downstream/connection.ts'
import type { DownstreamEnvironment } from './downstream/environment.ts'
import { Listener } from './downstream/listener.ts'
import type { Refusal, SlowClient } from './exchange/environment.ts'
import { Exchange, formatExchangeId } from './exchange/exchange.ts'
import { WriteBatch } from './exchange/write-batch.ts'
import { BulkBuffers } from './net/bulk-buffers.ts'
import { ClientConnections } from './limit/client-connections.ts'
import type { RateLimitCounts } from './limit/rate-limit.ts'
import { RateLimiter } from './limit/rate-limiter.ts'
import type { StoreState, StoreStats } from './limit/shared-store.ts'
import type { ByteSocket, ReadOptions, SocketHandler } from './net/byte-socket.ts'
import { acceptSocket, connectSocket, type Accepted } from './net/sockets.ts'
import type { BreakerEvent, ServerEvent } from './observe/server-event.ts'
import type { DesyncEvent, ExchangeIdentity, QuarantineEvent } from './observe/desync-event.ts'
import { Counters, type CounterFigures } from './observe/counters.ts'
import type { ExchangeSummary } from './observe/exchange-summary.ts'
import { HttpDate } from './observe/http-date.ts'
import { silentLogger, type Logger } from './observe/logger.ts'
import { LogBudget } from './observe/log-budget.ts'
import { EmbeddedOrigin } from './origin/embedded-origin.ts'
import { encodeLocalResponse } from './policy/local-response.ts'
import { checkPolicies, makePlainPolicy, makePolicy, parserLimits, sparesMax, type ListenerPolicy } from './policy/policy.ts'
import type { UpstreamConnection, UseOfConnection } from './upstream/connection.ts'
import type { UpstreamEnvironment } from './upstream/environment.ts'
import { Discovery, isService, needsDiscovery } from './upstream/discovery.ts'
import {
  checkBalancing,
  plainBalancing,
  plainServers,
  UpstreamGroup,
  type Balancing,
  type BalanceStats,
  type UpstreamStats,
} from './upstream/group.ts'
import { copiesMax } from './upstream/mirror.ts'
import type { AdminState, GroupServer } from './upstream/server.ts'
import { Resolver } from './upstream/resolver.ts'

export interface ProxyEvents {
  /** A socket listens: its address. */
  listening: [address: string]
  /** Once for every exchange, also after an error. */
  exchange: [summary: ExchangeSummary]
  /** The same, for those that ended other than well: their summary is made although nobody wants that of every exchange. */
  failure: [summary: ExchangeSummary]
  /** A client connection was accepted: its address. */
  connection: [client: string]
  /** An upstream connection is out of step with us, or looks like it. It is not used again. */
  desync: [event: DesyncEvent]
  /** The store of shared rate limits is used from now on, or is not. */
  rateLimitStore: [event: RateLimitStoreEvent]
  /** The connections to a server are not reused from now on, or are again. */
  quarantine: [event: QuarantineEvent]
  /** The standing of an upstream server has changed. */
  server: [event: ServerEvent]
  /** The circuit breaker of a group refuses exchanges, or has stopped doing so. */
  breaker: [event: BreakerEvent]
  /** A fault of the listener or of our own, never a peer's; the proxy goes on. Without a listener for it, it is only logged. */
  error: [error: Error]
  /** Nothing is open any more. */
  close: []
}

export interface RateLimitStoreEvent {
  readonly state: StoreState
  /** Why it is not used; '' when it is. */
  readonly reason: string
}

/** Rows of connections that are not accepted: there is no exchange that could end with them. */
type TooManyConnections = 'ERR_EPROXY_CONNECTIONS_MAX' | 'ERR_EPROXY_CLIENT_CONNECTIONS_MAX'

export interface CreateProxyOptions extends ProxyOptions {
  /** A pino logger or anything of its shape. Default: silent. */
  logger?: Logger
}

export interface ListenOptions {
  /** Abandons listening; also closes the proxy when it fires later. */
  signal?: AbortSignal
  /** An inherited socket that is bound to the address already; it is the proxy's from here on. */
  fd?: number
}

export interface CloseOptions {
  /** How long running exchanges may take. Default: timeouts.drain. */
  graceMs?: number
  /**
   * How long clients that are between two requests may send one more, which is answered with `Connection: close`. Default 0: they are
   * closed at once, and a request that is on its way at that moment is lost. For when somebody else goes on serving.
   */
  idleMs?: number
  /** Ends the grace at once. */
  signal?: AbortSignal
}

export interface ProxyStats {
  readonly connections: number
  readonly connectionsTotal: number
  readonly exchangesTotal: number
  readonly refusedTotal: number
  /** Connections beyond limits.connections or connectionsPerClient. */
  readonly connectionsRefusedTotal: number
  /** Decisions by rate limit, outcome, and whether they were made from an account of this process or one that is shared. */
  readonly rateLimits: Readonly<Record<string, RateLimitCounts>>
  /** Of shared rate limits; undefined without any. */
  readonly rateLimitStore: StoreStats | undefined
  /** Rules that were broken, and were told to warn only. */
  readonly toleratedTotal: number
  readonly faultsTotal: number
  /** Signs that upstream connections were out of step, by kind. Servers have their own counts in `upstreams`. */
  readonly desync: DesyncCounts
  /** Everything that has been counted, by name. */
  readonly counters: CounterFigures
  /** Processor time and memory of this process, whatever else runs in it. */
  readonly cpuMsTotal: number
  readonly memoryBytes: number
  /** Deadlines that hold a place in the timer wheel. */
  readonly deadlines: number
  /** Heads that are incomplete at this moment. */
  readonly parserSlots: number
  readonly parserMemoryBytes: number
  /** By the name of the server; where groups have names, by `group/server`. */
  readonly upstreams: Readonly<Record<string, UpstreamStats>>
  /** Groups of servers, by name. */
  readonly groups: Readonly<Record<string, BalanceStats>>
  readonly reloadsTotal: number
}

/** A group of servers, and what it is given. */
interface Group {
  readonly group: UpstreamGroup
  readonly environment: UpstreamEnvironment & { config: ProxyConfig; responseLimits: ParserLimits }
  /** Where DNS tells the servers. */
  discovery: Discovery | undefined
  /** What is discovered, to see whether another configuration says the same. */
  discovered: string
}

type ListenerEnvironment = DownstreamEnvironment & {
  readonly clients: ClientConnections
  readonly address: string
  policy: ListenerPolicy
  isDraining: boolean
  closesIdle: boolean
}

/** Parser slots for upstream connections beyond those of clients: spare and racing connects. */
const extraSlots = 1_024

export function createProxy(options: CreateProxyOptions = {}): Proxy {
  return new Proxy(options)
}

export class Proxy extends EventEmitter<ProxyEvents> implements AsyncDisposable {
  #config: ProxyConfig
  readonly #logger: Logger
  readonly #wheel: TimerWheel
  readonly #engine: ParserEngine
  readonly #resolver: Resolver
  readonly #bulk = new BulkBuffers()
  readonly #read: ReadOptions
  readonly #slots: number
  readonly #listeners: Listener[] = []
  readonly #connections = new Set<DownstreamConnection>()
  readonly #date: HttpDate
  readonly #refusals: LogBudget
  readonly #full: LogBudget
  readonly #limiter: RateLimiter
  readonly #failures: LogBudget
  readonly #slow: LogBudget
  readonly #desyncs: LogBudget
  readonly #hints: LogBudget
  readonly #standings: LogBudget
  /** One for each socket that listens, or did: connections that came through it have it for life. */
  readonly #environments: ListenerEnvironment[] = []
  readonly #groups = new Map<string, Group>()
  /** Groups that are not configured any more, and may have exchanges yet. */
  readonly #leaving = new Set<UpstreamGroup>()
  #isStarted = false
  readonly #requestBatch: WriteBatch
  readonly #responseBatch: WriteBatch
  #origin: EmbeddedOrigin | undefined
  #isDraining = false
  #closing: Promise<void> | undefined
  #onDrained: (() => void) | undefined
  #onEmpty: (() => void) | undefined
  #isClosed = false
  #connectionsTotal = 0
  #exchangesTotal = 0
  #refusedTotal = 0
  #connectionsRefusedTotal = 0
  #toleratedTotal = 0
  #faultsTotal = 0
  #reloadsTotal = 0
  readonly #desyncCounts = zeroDesyncCounts()
  readonly #counters = new Counters()
  /** Prefix of request ids. */
  readonly #instance = `${randomBytes(3).toString('hex')}-`
  #connectionsWatcher: ((connections: number) => void) | undefined
  #summarizesFields = false

  /** Throws ProxyError ERR_EPROXY_OPTION. */
  constructor({ logger = silentLogger, ...options }: CreateProxyOptions) {
    super()
    this.#config = resolveOptions(options, `eproxy-${randomBytes(4).toString('hex')}`)
    checkPolicies(this.#config)
    const { limits, timeouts } = this.#config
    this.#logger = logger
    this.#wheel = new TimerWheel(systemClock, { onLag: (ms) => this.#onLag(ms), onFault: (error) => this.#onFault(error) })
    this.#slots = countSlots(this.#config)
    this.#engine = new ParserEngine({ slots: this.#slots })
    this.#requestBatch = new WriteBatch(this.#bulk)
    this.#responseBatch = new WriteBatch(this.#bulk)
    this.#resolver = new Resolver({
      timeoutMs: timeouts.dns,
      ttlMinMs: timeouts.dnsTtlMin,
      ttlMaxMs: timeouts.dnsTtlMax,
      staleMs: timeouts.dnsStale,
      ...(this.#config.nameServers.length > 0 && { servers: this.#config.nameServers }),
    })
    this.#date = new HttpDate(systemClock)
    this.#refusals = new LogBudget(systemClock)
    this.#full = new LogBudget(systemClock)
    this.#failures = new LogBudget(systemClock)
    this.#slow = new LogBudget(systemClock)
    this.#limiter = new RateLimiter(systemClock, {
      onStoreState: (state, reason) => this.#onStoreState(state, reason),
      onFault: (error) => this.#onFault(error),
    })
    this.#desyncs = new LogBudget(systemClock)
    this.#hints = new LogBudget(systemClock)
    this.#standings = new LogBudget(systemClock)
    this.#read = {
      buffer: this.#engine.readBuffer,
      bulk: this.#bulk,
      turnBytes: limits.turnBytes,
      onFault: (error, handler) => {
        this.#onFault(error)
        this.#giveUp(handler)
      },
    }
  }

  /** The effective configuration, frozen. */
  get config(): ProxyConfig {
    return this.#config
  }

  get stats(): ProxyStats {
    const cpu = process.cpuUsage()
    return Object.freeze({
      connections: this.#connections.size,
      connectionsTotal: this.#connectionsTotal,
      exchangesTotal: this.#exchangesTotal,
      refusedTotal: this.#refusedTotal,
      connectionsRefusedTotal: this.#connectionsRefusedTotal,
      toleratedTotal: this.#toleratedTotal,
      faultsTotal: this.#faultsTotal,
      desync: { ...this.#desyncCounts },
      counters: this.#counters.figures,
      cpuMsTotal: (cpu.user + cpu.system) / 1_000,
      memoryBytes: process.memoryUsage.rss(),
      deadlines: this.#wheel.size,
      parserSlots: this.#engine.slotsInUse,
      parserMemoryBytes: this.#engine.memoryBytes,
      rateLimits: this.#limiter.stats.limits,
      rateLimitStore: this.#limiter.stats.store,
      upstreams: Object.fromEntries([...this.#groups].flatMap(([name, { group }]) => prefixNames(name, group.stats))),
      groups: Object.fromEntries([...this.#groups].map(([name, { group }]) => [name, group.balanceStats])),
      reloadsTotal: this.#reloadsTotal,
    })
  }

  /**
   * Listens on `host:port`, `[v6]:port`, `:port` or `unix:path`; port 0 chooses one. May be called again for more sockets. Resolves with
   * the address as it can be connected to. Rejects with ProxyError ERR_EPROXY_OPTION, ERR_EPROXY_LISTEN (cause: the system's error) or
   * ERR_EPROXY_STATE.
   */
  async listen(address: string, { signal, fd }: ListenOptions = {}): Promise<{ readonly address: string }> {
    const wanted = parseListenAddress(address)
    if (this.#isDraining) throw new ProxyError('ERR_EPROXY_STATE', 'the proxy is closing')
    await this.#startUpstreams()
    // Names that are a list of servers are asked for by all groups at once; here is waited for the slowest.
    for (const { discovery } of this.#groups.values()) await discovery?.ready
    const environment = this.#makeEnvironment(address)
    const listener = new Listener(
      address,
      this.#config.socketAccess === 'handles',
      (accepted) => this.#onConnection(accepted, environment),
      (error) => this.#onListenerError(error),
    )
    await listener.listen(wanted, signal, fd)
    if (this.#isDraining) {
      listener.close()
      throw new ProxyError('ERR_EPROXY_STATE', 'the proxy was closed while it began to listen')
    }
    this.#listeners.push(listener)
    this.#environments.push(environment)
    signal?.addEventListener('abort', () => void this.close(), { once: true })
    this.emit('listening', listener.address)
    return { address: listener.address }
  }

  /**
   * Leaves new connections to other processes that listen on the same sockets, until `freeAccept`. False, and nothing is held, where that
   * cannot be done: on a socket of our own.
   */
  holdAccept(): boolean {
    if (this.#listeners.every((listener) => listener.hold())) return true
    this.freeAccept()
    return false
  }

  freeAccept(): void {
    for (const listener of this.#listeners) listener.free()
  }

  /** Tells how many client connections there are, after each that comes or goes. One watcher at a time. */
  watchConnections(watcher: (connections: number) => void): void {
    this.#connectionsWatcher = watcher
  }

  /** From now on summaries have `referer` and `userAgent`, which cost a search in the head. */
  summarizeFields(): void {
    this.#summarizesFields = true
  }

  /**
   * Takes another configuration, for exchanges that begin from now on: connections, tunnels and running exchanges stay, and so does
   * what is known of servers that are in both. Sockets are for the caller to add (`listen`) and take away (`unlisten`). Throws ProxyError
   * ERR_EPROXY_OPTION, and changes nothing then, when the options are wrong or need a new process.
   */
  reload({ logger: _logger, ...options }: CreateProxyOptions): void {
    if (this.#isDraining) throw new ProxyError('ERR_EPROXY_STATE', 'the proxy is closing')
    const config = resolveOptions(options, this.#config.via)
    const isPlain = (candidate: ProxyConfig): boolean => candidate.service === undefined
    if (isPlain(config) !== isPlain(this.#config) || (isPlain(config) && config.upstreams.length === 0) !== (this.#origin !== undefined))
      throw new ProxyError(
        'ERR_EPROXY_OPTION',
        'a proxy with routes cannot become one without, nor one with an embedded origin: it takes a restart',
      )
    if (config.socketAccess !== this.#config.socketAccess)
      throw new ProxyError('ERR_EPROXY_OPTION', 'socketAccess takes a restart to change')
    const needed = leastSlots(config)
    if (needed > this.#slots)
      throw new ProxyError(
        'ERR_EPROXY_OPTION',
        `limits.connections and the pools need ${needed} parsers, of which this process has ${this.#slots}: it takes a restart`,
      )
    const groups = planGroups(config, config.upstreams)
    checkPolicies(config)
    this.#config = config
    if (this.#isStarted && this.#origin === undefined) this.#updateGroups(groups)
    if (this.#isStarted && config.service !== undefined) this.#limiter.configure(config.service)
    for (const environment of this.#environments) environment.policy = this.#makePolicy(environment.address)
    this.#reloadsTotal++
  }

  /**
   * Takes a server out of the choice, or back in: 'draining' gives it no new exchanges but those of clients that stick to it, 'disabled' none at
   * all. It holds until it is changed again, over every `reload` that keeps the server. `group` is '' for a proxy without named groups; `server` is
   * an address as `stats` has it. False when there is no such server.
   */
  setServerState(group: string, server: string, state: AdminState): boolean {
    return this.#groups.get(group)?.group.setServerState(server, state) ?? false
  }

  /** Stops listening on an address that `listen` was given. Connections that came through it stay. False when there was none. */
  unlisten(address: string): boolean {
    const listener = this.#listeners.find(({ wanted }) => wanted === address)
    if (listener === undefined) return false
    this.#listeners.splice(this.#listeners.indexOf(listener), 1)
    listener.close()
    return true
  }

  /** Accepts no more, lets running exchanges finish for `graceMs`, then ends what is left. Resolves when nothing is open. */
  close({ graceMs = this.#config.timeouts.drain, idleMs = 0, signal }: CloseOptions = {}): Promise<void> {
    return (this.#closing ??= this.#drain(graceMs, idleMs, signal))
  }

  /** Ends everything at once; running exchanges are cut. */
  destroy(error?: Error): void {
    if (this.#isClosed) return
    if (error !== undefined) this.#onFault(error)
    this.#stopAccepting()
    for (const connection of [...this.#connections]) connection.shutdown()
    this.#finish()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #drain(graceMs: number, idleMs: number, signal: AbortSignal | undefined): Promise<void> {
    let cancelIdle = (): void => {}
    if (!this.#isClosed) {
      this.#stopAccepting()
      if (idleMs === 0) this.#closeIdle()
      else cancelIdle = systemClock.schedule(idleMs, () => this.#closeIdle())
    }
    if (!this.#isClosed && this.#connections.size > 0 && graceMs > 0 && signal?.aborted !== true) {
      await new Promise<void>((resolve) => {
        const cancel = systemClock.schedule(graceMs, resolve)
        signal?.addEventListener('abort', () => resolve(), { once: true })
        this.#onDrained = () => {
          cancel()
          resolve()
        }
      })
    }
    cancelIdle()
    this.destroy()
    // A socket that was destroyed closes in a later turn of the loop.
    if (this.#connections.size > 0) await new Promise<void>((resolve) => (this.#onEmpty = resolve))
  }

  #stopAccepting(): void {
    this.#isDraining = true
    for (const environment of this.#environments) environment.isDraining = true
    for (const listener of this.#listeners) listener.close()
  }

  /** From here on every connection ends with the exchange that is on. */
  #closeIdle(): void {
    if (this.#isClosed) return
    for (const environment of this.#environments) environment.closesIdle = true
    for (const { group } of this.#groups.values()) group.close()
    for (const connection of [...this.#connections]) connection.closeIfIdle()
  }

  #finish(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#onDrained?.()
    for (const { group, discovery } of this.#groups.values()) {
      discovery?.close()
      group.destroy()
    }
    for (const group of this.#leaving) group.destroy()
    this.#origin?.destroy()
    this.#limiter.close()
    this.#resolver.close()
    this.#wheel.stop()
    if (this.#connections.size === 0) this.emit('close')
  }

  /** With no upstream named, the embedded origin is one: reached over a real socket, like any other. */
  async #startUpstreams(): Promise<void> {
    if (this.#isStarted) return
    const { service, upstreams } = this.#config
    if (service !== undefined || upstreams.length > 0) {
      this.#isStarted = true
      if (service !== undefined) this.#limiter.configure(service)
      return this.#updateGroups(planGroups(this.#config, upstreams))
    }
    const origin = (this.#origin ??= new EmbeddedOrigin())
    const address = await origin.listen()
    if (this.#isDraining) return origin.destroy()
    // Two calls of listen() may come here together; the first one to arrive makes the group.
    if (this.#isStarted) return
    this.#isStarted = true
    this.#updateGroups(planGroups(this.#config, [address]))
  }

  /** Makes the groups of the configuration, or changes those that there are: what they know of their servers stays. */
  #updateGroups(wanted: GroupPlans): void {
    for (const [name, plan] of wanted) {
      const { config, servers, balancing } = plan
      const present = this.#groups.get(name)
      if (present === undefined) {
        const environment = this.#makeUpstreamEnvironment(config)
        const group = { environment, group: new UpstreamGroup(servers, environment, name, balancing), discovery: undefined, discovered: '' }
        this.#groups.set(name, group)
        this.#discover(name, group, plan)
        continue
      }
      present.environment.config = config
      present.environment.responseLimits = parserLimits(config.limits, 'response')
      // Until DNS has told which servers it is to be, a group goes on with those that it has.
      if (this.#discover(name, present, plan)) present.group.update(present.group.rows, balancing)
      else present.group.update(servers, balancing)
    }
    for (const group of this.#leaving) if (group.isEmpty) this.#leaving.delete(group)
    for (const [name, { group, discovery }] of this.#groups) {
      if (wanted.has(name)) continue
      discovery?.close()
      this.#groups.delete(name)
      // Exchanges that run in it may end in it.
      group.close()
      this.#leaving.add(group)
    }
  }

  /** Has DNS tell the servers of a group, where that is wanted; until it has, the group keeps those that it has. Returns whether it does. */
  #discover(name: string, group: Group, { config, discovered }: GroupPlan): boolean {
    const key = discovered === undefined ? '' : JSON.stringify(discovered)
    if (key === group.discovered) return key !== ''
    group.discovery?.close()
    group.discovery = undefined
    group.discovered = key
    if (discovered === undefined) return false
    const { servers, resolveAll } = discovered
    group.discovery = new Discovery(servers, resolveAll, {
      clock: systemClock,
      resolver: this.#resolver,
      absentMs: config.timeouts.dnsStale,
      onServers: (found) => {
        group.group.update(found)
        this.#logger.info({ group: name, servers: found.map(({ address }) => formatAddress(address)) }, 'servers of a group')
      },
      onFailure: (host, error, kept) =>
        this.#logger.warn({ group: name, host, kept, err: error }, 'servers of a group are not to be had from DNS'),
      onFault: (error) => this.#onFault(error),
    })
    return true
  }

  #makeUpstreamEnvironment(config: ProxyConfig): Group['environment'] {
    return {
      config,
      parserEngine: this.#engine,
      responseLimits: parserLimits(config.limits, 'response'),
      wheel: this.#wheel,
      counters: this.#counters,
      resolver: this.#resolver,
      random: Math.random,
      connect: (address, handler) => connectSocket(address, this.#config.socketAccess === 'handles', this.#read, () => handler),
      onDesync: (connection, kind, bytes) => this.#onDesync(connection, kind, bytes),
      onQuarantine: (server, isQuarantined) => this.#onQuarantine(server, isQuarantined),
      onServer: (event) => this.#onServer(event),
      onBreaker: (event) => this.#onBreaker(event),
      onFault: (error) => this.#onFault(error),
    }
  }

  #makePolicy(address: string): ListenerPolicy {
    const { service } = this.#config
    if (service === undefined) return makePlainPolicy(this.#config, this.#groups.get('')!.group, this.#engine)
    const listener = service.listeners.find((row) => row.address === address)
    const groups = new Map([...this.#groups].map(([name, { group }]) => [name, group]))
    return makePolicy(this.#config, service, listener, groups, this.#engine, this.#limiter)
  }

  #makeEnvironment(address: string): ListenerEnvironment {
    const environment: ListenerEnvironment = {
      address,
      policy: this.#makePolicy(address),
      wheel: this.#wheel,
      counters: this.#counters,
      exchanges: new Spares(() => new Exchange(environment), sparesMax),
      requestBatch: this.#requestBatch,
      responseBatch: this.#responseBatch,
      clients: new ClientConnections(),
      instance: this.#instance,
      // A plain field, not a getter: V8 keeps an object literal with an accessor as a hash table, and this one is read all the time.
      isDraining: false,
      closesIdle: false,
      httpDate: () => this.#date.now(),
      onExchangeEnd: (exchange) => {
        this.#exchangesTotal++
        exchange.countInto(this.#counters)
        if (exchange.hasFailed && this.listenerCount('failure') > 0) this.#tell(() => this.emit('failure', exchange.summarize()))
        if (this.listenerCount('exchange') > 0) this.#tell(() => this.emit('exchange', exchange.summarize(this.#summarizesFields)))
      },
      onRefusal: (refusal) => this.#onRefusal(refusal),
      onSlowClient: (slow) => this.#onSlowClient(slow),
      abandon: (client) => {
        for (const { group } of this.#groups.values()) group.abandon(client)
        for (const group of this.#leaving) group.abandon(client)
      },
      onConnectionClosed: (connection) => {
        environment.clients.remove(connection)
        this.#onConnectionClosed(connection)
      },
      guard: (connection, work) => {
        try {
          work()
        } catch (error) {
          this.#onFault(error)
          this.#giveUp(connection)
        }
      },
    }
    return environment
  }

  #onConnection(accepted: Accepted, environment: ListenerEnvironment): void {
    systemClock.refresh()
    const { listener, trusted } = environment.policy
    if (this.#connections.size >= this.#config.limits.connections)
      return this.#refuseConnection(accepted, 'ERR_EPROXY_CONNECTIONS_MAX', listener)
    const perClient = listener?.connectionsPerClient ?? 0
    let connection: DownstreamConnection | undefined
    // A proxy that is trusted speaks for many.
    let isCounted = perClient > 0
    const socket = acceptSocket(accepted, this.#read, (opened) => {
      if (isCounted && trusted !== null) isCounted = !trusted.has(opened.remoteAddress)
      if (isCounted && !environment.clients.mayConnect(opened.remoteAddress, perClient)) return silentHandler
      return (connection = new DownstreamConnection(opened, environment))
    })
    if (connection === undefined) return this.#turnAway(socket, 'ERR_EPROXY_CLIENT_CONNECTIONS_MAX', listener)
    this.#connectionsTotal++
    this.#counters.countConnection('client', 'accepted')
    if (isCounted) environment.clients.add(connection, socket.remoteAddress)
    this.#connections.add(connection)
    this.#connectionsWatcher?.(this.#connections.size)
    if (this.listenerCount('connection') > 0) this.#tell(() => this.emit('connection', socket.remote))
  }

  #refuseConnection(accepted: Accepted, code: TooManyConnections, listener: ListenerOptions | undefined): void {
    this.#turnAway(
      acceptSocket(accepted, this.#read, () => silentHandler),
      code,
      listener,
    )
  }

  /** One too many: told so, in one write, unless that is not wanted, and closed. */
  #turnAway(socket: ByteSocket, code: TooManyConnections, listener: ListenerOptions | undefined): void {
    this.#connectionsRefusedTotal++
    this.#counters.countConnection('client', 'refused')
    const client = socket.remote
    if (listener?.overload !== 'close') {
      const { status, proxyStatus, doc } = errorTable[code]
      const details = code === 'ERR_EPROXY_CONNECTIONS_MAX' ? 'too many connections' : doc
      socket.write(
        encodeLocalResponse({ status, error: proxyStatus, details, fields: 'Retry-After: 1\r\n' }, this.#date.now(), true, false),
      )
    }
    socket.destroy()
    const budget = this.#full
    if (!budget.take()) return
    const { untold } = budget
    if (code === 'ERR_EPROXY_CONNECTIONS_MAX')
      this.#logger.warn({ connections: this.#connections.size, untold }, 'connection limit reached')
    else this.#logger.info({ client, limit: listener?.connectionsPerClient, untold }, 'too many connections of one client')
  }

  #onSlowClient({ id, client, code }: SlowClient): void {
    if (!this.#slow.take()) return
    const { untold } = this.#slow
    this.#logger.info({ id, client, code, ...(untold > 0 && { untold }) }, 'slow client')
  }

  #onStoreState(state: StoreState, reason: string): void {
    const { onError } = this.#config.service?.rateLimitStore ?? { onError: 'local' }
    if (state === 'ready') this.#logger.info({ state }, 'rate limits are shared')
    else this.#logger.warn({ state, reason, meanwhile: onError }, 'the store of shared rate limits is not used')
    if (this.listenerCount('rateLimitStore') > 0) this.#tell(() => this.emit('rateLimitStore', { state, reason }))
  }

  #onConnectionClosed(connection: DownstreamConnection): void {
    this.#connections.delete(connection)
    this.#connectionsWatcher?.(this.#connections.size)
    if (this.#connections.size > 0) return
    this.#onDrained?.()
    if (!this.#isClosed) return
    this.emit('close')
    this.#onEmpty?.()
  }

  #onListenerError(error: Error): void {
    // EMFILE and its like: the connection is lost, the listener goes on.
    if (this.#failures.take()) this.#logger.error({ err: error, untold: this.#failures.untold }, 'a connection could not be accepted')
    if (this.listenerCount('error') > 0) this.emit('error', error)
  }

  #onRefusal({ id, action, side, peer, rule, section, offset }: Refusal): void {
    if (action === 'reject') this.#refusedTotal++
    else this.#toleratedTotal++
    this.#counters.countViolation(rule, side, action)
    if (this.#refusals.take()) {
      const { untold } = this.#refusals
      this.#logger.info(
        { id, action, side, peer, rule, section, offset, ...(untold > 0 && { untold }) },
        action === 'warn' ? 'request tolerated' : side === 'client' ? 'request refused' : 'response refused',
      )
    }
  }

  #onDesync(connection: UpstreamConnection, kind: DesyncKind, bytes: number): void {
    this.#desyncCounts[kind]++
    const { isEvidence, rule, doc } = desyncTable[kind]
    // Hints are daily life on a busy proxy: they have a lower level, and a budget of their own, so that they cannot hide proofs.
    const budget = isEvidence ? this.#desyncs : this.#hints
    const isLogged = budget.take()
    if (!isLogged && this.listenerCount('desync') === 0) return
    const event: DesyncEvent = {
      kind,
      isEvidence,
      rule,
      upstream: connection.server,
      address: connection.socket.remote,
      connection: connection.id,
      uses: connection.uses,
      exchange: this.#identify(connection.lastUse),
      previous: this.#identify(connection.previousUse),
      status: connection.status,
      bytes,
    }
    if (isLogged) {
      const fields = { ...event, ...(budget.untold > 0 && { untold: budget.untold }) }
      if (isEvidence) this.#logger.warn(fields, `upstream out of step: ${doc}`)
      else this.#logger.debug(fields, `upstream perhaps out of step: ${doc}`)
    }
    if (this.listenerCount('desync') > 0) this.#tell(() => this.emit('desync', event))
  }

  #onQuarantine(upstream: string, isQuarantined: boolean): void {
    const { quarantine } = this.#config.desync
    if (isQuarantined) this.#logger.warn({ upstream, forMs: quarantine }, 'quarantine begins: connections to this server are not reused')
    else this.#logger.warn({ upstream }, 'quarantine ends: connections to this server are reused again')
    if (this.listenerCount('quarantine') > 0)
      this.#tell(() => this.emit('quarantine', { upstream, state: isQuarantined ? 'begins' : 'ends' }))
  }

  #onServer(event: ServerEvent): void {
    if (this.#standings.take()) {
      const { group, server, change, reason } = event
      const fields = {
        ...(group !== '' && { group }),
        server,
        reason,
        ...(this.#standings.untold > 0 && { untold: this.#standings.untold }),
      }
      if (change === 'down' || change === 'ejected') this.#logger.warn(fields, `upstream server ${change}`)
      else this.#logger.info(fields, `upstream server ${change}`)
    }
    if (this.listenerCount('server') > 0) this.#tell(() => this.emit('server', event))
  }

  #onBreaker(event: BreakerEvent): void {
    const { group, limit, state } = event
    if (this.#standings.take()) this.#logger.warn({ group, limit }, `circuit breaker ${state}`)
    if (this.listenerCount('breaker') > 0) this.#tell(() => this.emit('breaker', event))
  }

  #identify(use: UseOfConnection | undefined): ExchangeIdentity | undefined {
    return use && { id: use.exchangeId || formatExchangeId(this.#instance, use.exchangeNumber), client: use.client.socket.remote }
  }

  #onLag(ms: number): void {
    this.#counters.loopLag.count(ms)
    if (ms >= this.#config.timeouts.loopLag) this.#logger.warn({ lagMs: Math.round(ms) }, 'the event loop was late')
  }

  /** A fault of our own. It is logged with its stack; the connection that it belongs to is given up by the caller. */
  #onFault(error: unknown): void {
    this.#faultsTotal++
    const fault = error instanceof Error ? error : new Error(String(error))
    this.#logger.error({ err: fault }, 'internal fault')
    if (this.listenerCount('error') === 0) return
    try {
      this.emit('error', fault)
    } catch (thrown) {
      // A listener for faults that has one itself is not told of it.
      this.#logger.error({ err: thrown }, 'a listener for errors threw')
    }
  }

  /** A listener that throws is a fault, and nothing of our own work is left undone for it. */
  #tell(emit: () => void): void {
    try {
      emit()
    } catch (error) {
      this.#onFault(error)
    }
  }

  #giveUp(handler: SocketHandler): void {
    try {
      handler.onFault()
    } catch (error) {
      this.#onFault(error)
      if (handler instanceof DownstreamConnection) handler.socket.destroy()
    }
  }
}

/** Of a connection that is closed as soon as it is accepted. */
const silentHandler: SocketHandler = {
  onConnect: () => {},
  onData: () => {},
  onEnd: () => {},
  onDrain: () => {},
  onClose: () => {},
  onFault: () => {},
}

interface GroupPlan {
  readonly config: ProxyConfig
  /** Those that are known at once. */
  readonly servers: readonly GroupServer[]
  readonly balancing: Balancing
  /** What DNS tells. */
  readonly discovered: Pick<GroupOptions, 'servers' | 'resolveAll'> | undefined
}

/** What the groups of a configuration are to be, before any of them is touched. By name; '' is the name of the one that has none. */
type GroupPlans = ReadonlyMap<string, GroupPlan>

/** Throws ProxyError ERR_EPROXY_OPTION. `addresses`: the servers of a configuration without named groups. */
function planGroups(config: ProxyConfig, addresses: readonly Address[]): GroupPlans {
  if (config.service === undefined)
    return new Map([['', { config, servers: plainServers(addresses), balancing: plainBalancing, discovered: undefined }]])
  return new Map(Object.entries(config.service.groups).map(([name, options]) => [name, planGroup(mergeConfig(config, options), options)]))
}

function planGroup(config: ProxyConfig, options: GroupOptions): GroupPlan {
  checkBalancing(options)
  const { servers, resolveAll } = options
  return {
    config,
    servers: servers
      .filter(({ address }) => !isService(address))
      .map((server) => ({ ...server, address: parseUpstreamAddress(server.address) })),
    balancing: options,
    discovered: needsDiscovery(servers, resolveAll) ? { servers, resolveAll } : undefined,
  }
}

function countSlots({ limits, pool, service, upstreams }: ProxyConfig): number {
  if (service === undefined) return limits.connections + Math.max(1, upstreams.length) * pool.connections + extraSlots
  const groups = Object.values(service.groups)
  // Servers come and go when the configuration is read again.
  const servers = groups.reduce((sum, group) => sum + group.servers.length * (group.pool?.connections ?? pool.connections), 0)
  // However many DNS tells of: a response is read for a client, or for a copy of its request.
  const discovered = groups.some((group) => needsDiscovery(group.servers, group.resolveAll))
    ? limits.connections + groups.length * copiesMax
    : 0
  return limits.connections + 2 * servers + discovered + extraSlots
}

/** Without what `countSlots` has in reserve for servers that come when the configuration is read again: they are what it is for. */
function leastSlots(config: ProxyConfig): number {
  const { limits, pool, service } = config
  if (service === undefined) return countSlots(config)
  const groups = Object.values(service.groups)
  const servers = groups.reduce((sum, group) => sum + group.servers.length * (group.pool?.connections ?? pool.connections), 0)
  const answers = limits.connections + groups.length * copiesMax
  const isDiscovered = groups.some((group) => needsDiscovery(group.servers, group.resolveAll))
  return limits.connections + (isDiscovered ? answers : Math.min(servers, answers))
}

function prefixNames<T>(group: string, servers: Readonly<Record<string, T>>): readonly (readonly [string, T])[] {
  return Object.entries(servers).map(([name, stats]) => [group === '' ? name : `${group}/${name}`, stats])
}

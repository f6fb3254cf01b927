/**
 * The proxy as a whole: listeners, client connections, upstream servers, one timer wheel and one parser engine. It wires the layers
 * together and ends them together; what happens to a message is decided below.
 */
import { randomBytes } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { ParserEngine } from '../native-free-parser/index.ts'
import { ProxyError } from './core/errors.ts'
import { parseListenAddress, resolveOptions, type ProxyConfig } from './core/options.ts'
import { systemClock, TimerWheel } from './core/timers.ts'
import { Spares } from './core/spares.ts'
import { DownstreamConnection } from './downstream/connection.ts'
import type { DownstreamEnvironment } from './downstream/environment.ts'
import { Listener } from './downstream/listener.ts'
import { Exchange } from './exchange/exchange.ts'
import { WriteBatch } from './exchange/write-batch.ts'
import { BulkBuffers } from './net/bulk-buffers.ts'
import { ClientConnections } from './limit/client-connections.ts'
import { RateLimiter } from './limit/rate-limiter.ts'
import type { ReadOptions, SocketHandler } from './net/byte-socket.ts'
import { acceptSocket, connectSocket, type Accepted } from './net/sockets.ts'
import { Counters } from './observe/counters.ts'
import { HttpDate } from './observe/http-date.ts'
import { silentLogger } from './observe/logger.ts'
import { EmbeddedOrigin } from './origin/embedded-origin.ts'
import { checkPolicies, makePlainPolicy, makePolicy, parserLimits, sparesMax, type ListenerPolicy } from './policy/policy.ts'
import type { ProxyEvents } from './proxy/events.ts'
import { planGroups } from './proxy/group-plan.ts'
import type { CloseOptions, CreateProxyOptions, ListenOptions } from './proxy/options.ts'
import { countSlots, leastSlots } from './proxy/parser-slots.ts'
import type { ExchangeLog } from './observe/exchange-summary.ts'
import { Reporter } from './proxy/reporter.ts'
import type { ProxyStats } from './proxy/stats.ts'
import { silentHandler, turnAway } from './proxy/turn-away.ts'
import { UpstreamGroups, type GroupEnvironment } from './proxy/upstream-groups.ts'
import { Resolver, type ResolverOptions } from './upstream/resolver.ts'
import type { AdminState } from './upstream/server.ts'

type ListenerEnvironment = DownstreamEnvironment & {
  readonly clients: ClientConnections
  readonly address: string
  policy: ListenerPolicy
  isDraining: boolean
  closesIdle: boolean
}

export function createProxy(options: CreateProxyOptions = {}): Proxy {
  return new Proxy(options)
}

export class Proxy extends EventEmitter<ProxyEvents> implements AsyncDisposable {
  #config: ProxyConfig
  readonly #wheel: TimerWheel
  readonly #engine: ParserEngine
  readonly #resolver: Resolver
  readonly #bulk = new BulkBuffers()
  readonly #read: ReadOptions & { turnBytes: number }
  readonly #slots: number
  readonly #listeners: Listener[] = []
  readonly #connections = new Set<DownstreamConnection>()
  readonly #date: HttpDate
  readonly #limiter: RateLimiter
  readonly #reporter: Reporter
  /** One for each socket that listens, or did: connections that came through it have it for life. */
  readonly #environments: ListenerEnvironment[] = []
  readonly #groups: UpstreamGroups
  #isStarted = false
  readonly #requestBatch: WriteBatch
  readonly #responseBatch: WriteBatch
  #origin: EmbeddedOrigin | undefined
  #isDraining = false
  #closing: Promise<void> | undefined
  #onDrained: (() => void) | undefined
  #onEmpty: (() => void) | undefined
  #isClosed = false
  #reloadsTotal = 0
  readonly #counters = new Counters()
  /** Prefix of request ids. */
  readonly #instance = `${randomBytes(3).toString('hex')}-`
  #connectionsWatcher: ((connections: number) => void) | undefined

  /** Throws ProxyError ERR_EPROXY_OPTION. */
  constructor({ logger = silentLogger, ...options }: CreateProxyOptions) {
    super()
    this.#config = resolveOptions(options, `eproxy-${randomBytes(4).toString('hex')}`)
    checkPolicies(this.#config)
    const { limits } = this.#config
    this.#reporter = new Reporter({
      logger,
      emitter: this,
      counters: this.#counters,
      instance: this.#instance,
      config: () => this.#config,
    })
    this.#wheel = new TimerWheel(systemClock, {
      onLag: (ms) => this.#reporter.onLag(ms),
      onFault: (error) => this.#reporter.onFault(error),
    })
    this.#slots = countSlots(this.#config)
    this.#engine = new ParserEngine({ slots: this.#slots })
    this.#requestBatch = new WriteBatch(this.#bulk)
    this.#responseBatch = new WriteBatch(this.#bulk)
    this.#resolver = new Resolver(resolverOptions(this.#config))
    this.#groups = new UpstreamGroups(this.#resolver, this.#reporter, (config) => this.#makeUpstreamEnvironment(config))
    this.#date = new HttpDate(systemClock)
    this.#limiter = new RateLimiter(systemClock, {
      onStoreState: (state, reason) => this.#reporter.onStoreState(state, reason),
      onStoreUse: (isUsed, state, reason) => this.#reporter.onStoreUse(isUsed, state, reason),
      onFault: (error) => this.#reporter.onFault(error),
    })
    this.#read = {
      buffer: this.#engine.readBuffer,
      bulk: this.#bulk,
      turnBytes: limits.turnBytes,
      onFault: (error, handler) => {
        this.#reporter.onFault(error)
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
      isListening: this.#listeners.length > 0,
      connections: this.#connections.size,
      connectionsTotal: this.#reporter.connectionsTotal,
      exchangesTotal: this.#reporter.exchangesTotal,
      refusedTotal: this.#reporter.refusedTotal,
      connectionsRefusedTotal: this.#reporter.connectionsRefusedTotal,
      toleratedTotal: this.#reporter.toleratedTotal,
      faultsTotal: this.#reporter.faultsTotal,
      desync: { ...this.#reporter.desyncCounts },
      counters: this.#counters.figures,
      cpuMsTotal: (cpu.user + cpu.system) / 1_000,
      memoryBytes: process.memoryUsage.rss(),
      deadlines: this.#wheel.size,
      parserSlots: this.#engine.slotsInUse,
      parserMemoryBytes: this.#engine.memoryBytes,
      rateLimits: this.#limiter.stats.limits,
      rateLimitStore: this.#limiter.stats.store,
      upstreams: this.#groups.serverStats,
      groups: this.#groups.balanceStats,
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
    await this.#groups.discovered()
    const environment = this.#makeEnvironment(address)
    const listener = new Listener(
      address,
      this.#config.socketAccess === 'handles',
      (accepted) => this.#onConnection(accepted, environment),
      (error) => this.#reporter.onListenerError(error),
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

  /**
   * Every exchange is written to this log when it has ended; undefined: to none. The summary that the log is given, with `referer` and `userAgent`, is
   * good until `write` returns: listeners of `exchange` get copies that they may keep, which every request pays for.
   */
  logTo(log: ExchangeLog | undefined): void {
    this.#reporter.log = log
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
    this.#resolver.configure(resolverOptions(config))
    this.#config = config
    this.#read.turnBytes = config.limits.turnBytes
    if (this.#isStarted && this.#origin === undefined) this.#groups.update(groups)
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
    return this.#groups.setServerState(group, server, state)
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
    if (error !== undefined) this.#reporter.onFault(error)
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
    this.#groups.close()
    for (const connection of [...this.#connections]) connection.closeIfIdle()
  }

  #finish(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#onDrained?.()
    this.#groups.destroy()
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
      return this.#groups.update(planGroups(this.#config, upstreams))
    }
    const origin = (this.#origin ??= new EmbeddedOrigin())
    const address = await origin.listen()
    if (this.#isDraining) return origin.destroy()
    // Two calls of listen() may come here together; the first one to arrive makes the group.
    if (this.#isStarted) return
    this.#isStarted = true
    this.#groups.update(planGroups(this.#config, [address]))
  }

  #makeUpstreamEnvironment(config: ProxyConfig): GroupEnvironment {
    return {
      config,
      parserEngine: this.#engine,
      responseLimits: parserLimits(config.limits, 'response'),
      wheel: this.#wheel,
      counters: this.#counters,
      resolver: this.#resolver,
      random: Math.random,
      connect: (address, handler) => connectSocket(address, this.#config.socketAccess === 'handles', this.#read, () => handler),
      onDesync: (connection, kind, bytes) => this.#reporter.onDesync(connection, kind, bytes),
      onQuarantine: (server, isQuarantined) => this.#reporter.onQuarantine(server, isQuarantined),
      onServer: (event) => this.#reporter.onServer(event),
      onBreaker: (event) => this.#reporter.onBreaker(event),
      onFault: (error) => this.#reporter.onFault(error),
    }
  }

  #makePolicy(address: string): ListenerPolicy {
    const { service } = this.#config
    const groups = this.#groups.byName
    if (service === undefined) return makePlainPolicy(this.#config, groups.get('')!, this.#engine)
    const listener = service.listeners.find((row) => row.address === address)
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
      onExchangeEnd: (exchange) => this.#reporter.onExchangeEnd(exchange),
      onRefusal: (refusal) => this.#reporter.onRefusal(refusal),
      onSlowClient: (slow) => this.#reporter.onSlowClient(slow),
      abandon: (client) => this.#groups.abandon(client),
      onConnectionClosed: (connection) => {
        environment.clients.remove(connection)
        this.#onConnectionClosed(connection)
      },
      guard: (connection, work) => {
        try {
          work()
        } catch (error) {
          this.#reporter.onFault(error)
          this.#giveUp(connection)
        }
      },
    }
    return environment
  }

  #onConnection(accepted: Accepted, environment: ListenerEnvironment): void {
    systemClock.refresh()
    const { policy } = environment
    const { listener, trusted } = policy
    if (this.#connections.size >= this.#config.limits.connections) return this.#refuseConnection(accepted, policy)
    const perClient = listener?.connectionsPerClient ?? 0
    let connection: DownstreamConnection | undefined
    // A proxy that is trusted speaks for many.
    let isCounted = perClient > 0
    const socket = acceptSocket(accepted, this.#read, (opened) => {
      if (isCounted && trusted !== null) isCounted = !trusted.has(opened.remoteAddress)
      if (isCounted && !environment.clients.mayConnect(opened.remoteAddress, perClient)) return silentHandler
      return (connection = new DownstreamConnection(opened, environment))
    })
    if (connection === undefined) {
      const client = socket.remote
      turnAway(socket, 'ERR_EPROXY_CLIENT_CONNECTIONS_MAX', policy, this.#date.now())
      return this.#reporter.onClientConnectionsMax(client, perClient)
    }
    if (isCounted) environment.clients.add(connection, socket.remoteAddress)
    this.#connections.add(connection)
    this.#connectionsWatcher?.(this.#connections.size)
    this.#reporter.onConnection(socket.remote)
  }

  #refuseConnection(accepted: Accepted, policy: ListenerPolicy): void {
    const socket = acceptSocket(accepted, this.#read, () => silentHandler)
    turnAway(socket, 'ERR_EPROXY_CONNECTIONS_MAX', policy, this.#date.now())
    this.#reporter.onConnectionsMax(this.#connections.size)
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

  #giveUp(handler: SocketHandler): void {
    try {
      handler.onFault()
    } catch (error) {
      this.#reporter.onFault(error)
      if (handler instanceof DownstreamConnection) handler.socket.destroy()
    }
  }
}

function resolverOptions({ timeouts, nameServers }: ProxyConfig): ResolverOptions {
  return {
    timeoutMs: timeouts.dns,
    ttlMinMs: timeouts.dnsTtlMin,
    ttlMaxMs: timeouts.dnsTtlMax,
    staleMs: timeouts.dnsStale,
    ...(nameServers.length > 0 && { servers: nameServers }),
  }
}

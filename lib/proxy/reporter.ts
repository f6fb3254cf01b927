/**
 * What happens in the engine, told outside: counted, written to the log as far as a budget goes, and emitted where somebody listens. Nothing
 * here changes what the engine does.
 */
import type { EventEmitter } from 'node:events'
import { desyncTable, zeroDesyncCounts, type DesyncKind } from '../core/desync.ts'
import type { ProxyError } from '../core/errors.ts'
import { formatAddress, type ProxyConfig } from '../core/options.ts'
import { systemClock } from '../core/timers.ts'
import type { EndedExchange, Refusal, SlowClient } from '../exchange/environment.ts'
import { formatExchangeId } from '../exchange/facts.ts'
import type { StoreState } from '../limit/shared-store.ts'
import type { Counters } from '../observe/counters.ts'
import type { ExchangeLog } from '../observe/exchange-summary.ts'
import type { DesyncEvent, ExchangeIdentity } from '../observe/desync-event.ts'
import { LogBudget } from '../observe/log-budget.ts'
import type { Logger } from '../observe/logger.ts'
import type { BreakerEvent, ServerEvent } from '../observe/server-event.ts'
import type { UpstreamConnection, UseOfConnection } from '../upstream/connection.ts'
import type { GroupServer } from '../upstream/server.ts'
import type { ProxyEvents } from './events.ts'

export interface ReporterOptions {
  readonly logger: Logger
  /** Whose listeners are told. */
  readonly emitter: EventEmitter<ProxyEvents>
  readonly counters: Counters
  /** Prefix of request ids. */
  readonly instance: string
  /** The configuration of this moment. */
  readonly config: () => ProxyConfig
}

export class Reporter {
  connectionsTotal = 0
  connectionsRefusedTotal = 0
  exchangesTotal = 0
  refusedTotal = 0
  toleratedTotal = 0
  faultsTotal = 0
  readonly desyncCounts = zeroDesyncCounts()
  log: ExchangeLog | undefined
  readonly #logger: Logger
  readonly #emitter: EventEmitter<ProxyEvents>
  readonly #counters: Counters
  readonly #instance: string
  readonly #config: () => ProxyConfig
  readonly #refusals = new LogBudget(systemClock)
  readonly #full = new LogBudget(systemClock)
  readonly #failures = new LogBudget(systemClock)
  readonly #slow = new LogBudget(systemClock)
  readonly #desyncs = new LogBudget(systemClock)
  readonly #hints = new LogBudget(systemClock)
  readonly #standings = new LogBudget(systemClock)

  constructor({ logger, emitter, counters, instance, config }: ReporterOptions) {
    this.#logger = logger
    this.#emitter = emitter
    this.#counters = counters
    this.#instance = instance
    this.#config = config
  }

  onConnection(client: string): void {
    this.connectionsTotal++
    this.#counters.countConnection('client', 'accepted')
    if (this.#emitter.listenerCount('connection') > 0) this.#tell(() => this.#emitter.emit('connection', client))
  }

  /** A connection beyond limits.connections, of which there are `connections`. */
  onConnectionsMax(connections: number): void {
    this.#countRefusedConnection()
    if (this.#full.take()) this.#logger.warn({ connections, untold: this.#full.untold }, 'connection limit reached')
  }

  /** A connection beyond what one client may have. */
  onClientConnectionsMax(client: string, limit: number): void {
    this.#countRefusedConnection()
    if (this.#full.take()) this.#logger.info({ client, limit, untold: this.#full.untold }, 'too many connections of one client')
  }

  onListenerError(error: Error): void {
    // EMFILE and its like: the connection is lost, the listener goes on.
    if (this.#failures.take()) this.#logger.error({ err: error, untold: this.#failures.untold }, 'a connection could not be accepted')
    if (this.#emitter.listenerCount('error') > 0) this.#emitter.emit('error', error)
  }

  onExchangeEnd(exchange: EndedExchange): void {
    this.exchangesTotal++
    exchange.countInto(this.#counters)
    const emitter = this.#emitter
    if (this.log !== undefined) this.#writeTo(this.log, exchange)
    if (exchange.hasFailed && emitter.listenerCount('failure') > 0) this.#tell(() => emitter.emit('failure', exchange.summarize()))
    if (emitter.listenerCount('exchange') > 0) this.#tell(() => emitter.emit('exchange', exchange.summarize()))
  }

  onRefusal({ id, action, side, peer, rule, section, offset }: Refusal): void {
    if (action === 'reject') this.refusedTotal++
    else this.toleratedTotal++
    this.#counters.countViolation(rule, side, action)
    if (this.#refusals.take()) {
      const { untold } = this.#refusals
      this.#logger.info(
        { id, action, side, peer, rule, section, offset, ...(untold > 0 && { untold }) },
        action === 'warn' ? 'request tolerated' : side === 'client' ? 'request refused' : 'response refused',
      )
    }
  }

  onSlowClient({ id, client, code }: SlowClient): void {
    if (!this.#slow.take()) return
    const { untold } = this.#slow
    this.#logger.info({ id, client, code, ...(untold > 0 && { untold }) }, 'slow client')
  }

  onStoreState(state: StoreState, reason: string): void {
    const { onError } = this.#config().service?.rateLimitStore ?? { onError: 'local' }
    if (state === 'ready') this.#logger.info({ state }, 'rate limits are shared')
    else this.#logger.warn({ state, reason, meanwhile: onError }, 'the store of shared rate limits is not used')
    if (this.#emitter.listenerCount('rateLimitStore') > 0) this.#tell(() => this.#emitter.emit('rateLimitStore', { state, reason }))
  }

  onDesync(connection: UpstreamConnection, kind: DesyncKind, bytes: number): void {
    this.desyncCounts[kind]++
    const { isEvidence, rule, doc } = desyncTable[kind]
    // Hints are daily life on a busy proxy: they have a lower level, and a budget of their own, so that they cannot hide proofs.
    const budget = isEvidence ? this.#desyncs : this.#hints
    const isLogged = budget.take()
    if (!isLogged && this.#emitter.listenerCount('desync') === 0) return
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
    if (this.#emitter.listenerCount('desync') > 0) this.#tell(() => this.#emitter.emit('desync', event))
  }

  onQuarantine(upstream: string, isQuarantined: boolean): void {
    const { quarantine } = this.#config().desync
    if (isQuarantined) this.#logger.warn({ upstream, forMs: quarantine }, 'quarantine begins: connections to this server are not reused')
    else this.#logger.warn({ upstream }, 'quarantine ends: connections to this server are reused again')
    if (this.#emitter.listenerCount('quarantine') > 0)
      this.#tell(() => this.#emitter.emit('quarantine', { upstream, state: isQuarantined ? 'begins' : 'ends' }))
  }

  onServer(event: ServerEvent): void {
    if (this.#standings.take()) {
      const { group, server, change, reason } = event
      const { untold } = this.#standings
      const fields = { ...(group !== '' && { group }), server, reason, ...(untold > 0 && { untold }) }
      if (change === 'down' || change === 'ejected') this.#logger.warn(fields, `upstream server ${change}`)
      else this.#logger.info(fields, `upstream server ${change}`)
    }
    if (this.#emitter.listenerCount('server') > 0) this.#tell(() => this.#emitter.emit('server', event))
  }

  onBreaker(event: BreakerEvent): void {
    const { group, limit, state } = event
    if (this.#standings.take()) this.#logger.warn({ group, limit }, `circuit breaker ${state}`)
    if (this.#emitter.listenerCount('breaker') > 0) this.#tell(() => this.#emitter.emit('breaker', event))
  }

  /** DNS has told the servers of a group. */
  onServersFound(group: string, servers: readonly GroupServer[]): void {
    this.#logger.info({ group, servers: servers.map(({ address }) => formatAddress(address)) }, 'servers of a group')
  }

  onDiscoveryFailure(group: string, host: string, error: ProxyError, kept: number): void {
    this.#logger.warn({ group, host, kept, err: error }, 'servers of a group are not to be had from DNS')
  }

  onLag(ms: number): void {
    this.#counters.loopLag.count(ms)
    if (ms >= this.#config().timeouts.loopLag) this.#logger.warn({ lagMs: Math.round(ms) }, 'the event loop was late')
  }

  /** A fault of our own. It is logged with its stack; the connection that it belongs to is given up by the caller. */
  onFault(error: unknown): void {
    this.faultsTotal++
    const fault = error instanceof Error ? error : new Error(String(error))
    this.#logger.error({ err: fault }, 'internal fault')
    if (this.#emitter.listenerCount('error') === 0) return
    try {
      this.#emitter.emit('error', fault)
    } catch (thrown) {
      // A listener for faults that has one itself is not told of it.
      this.#logger.error({ err: thrown }, 'a listener for errors threw')
    }
  }

  #countRefusedConnection(): void {
    this.connectionsRefusedTotal++
    this.#counters.countConnection('client', 'refused')
  }

  #identify(use: UseOfConnection | undefined): ExchangeIdentity | undefined {
    return use && { id: use.exchangeId || formatExchangeId(this.#instance, use.exchangeNumber), client: use.client.socket.remote }
  }

  #writeTo(log: ExchangeLog, exchange: EndedExchange): void {
    try {
      log.write(exchange)
    } catch (error) {
      this.onFault(error)
    }
  }

  /** A listener that throws is a fault, and nothing of our own work is left undone for it. */
  #tell(emit: () => void): void {
    try {
      emit()
    } catch (error) {
      this.onFault(error)
    }
  }
}

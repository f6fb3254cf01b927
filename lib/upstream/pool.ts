/**
 * The connections to one upstream server: a bounded number, reused last in first out, so that those not needed grow old and close.
 * Requests for which there is no connection wait in a bounded queue, first in first out. The pool owns its connections while they connect
 * and idle; while one is busy it belongs to its exchange, and comes back through `release` or its own end.
 */
import { assert } from '../core/assert.ts'
import { desyncTable, type DesyncCounts, type DesyncKind } from '../core/desync.ts'
import { ProxyError, type ExchangeErrorCode } from '../core/errors.ts'
import { formatAddress, type Address } from '../core/options.ts'
import { connectError, ConnectionState, UpstreamConnection, type ConnectionKeeper, type RequestingClient } from './connection.ts'
import type { UpstreamEnvironment } from './environment.ts'
import { Sentinel } from './sentinel.ts'

/** A request that waits for a connection. One call answers it, later than `acquire` returned, unless it is cancelled. */
export abstract class Waiter {
  // Links of the queue.
  waitsIn: Pool | undefined = undefined
  previousWaiter: Waiter | undefined = undefined
  nextWaiter: Waiter | undefined = undefined
  /** Finds the connections that are reserved for it. */
  abstract get client(): RequestingClient
  /** The connection is the waiter's now; it calls `assign`. */
  abstract onConnectionReady(connection: UpstreamConnection): void
  abstract onConnectionFailed(error: ProxyError): void
}

export interface PoolStats {
  readonly idle: number
  readonly busy: number
  readonly connecting: number
  readonly waiting: number
}

/** What one server's connections have shown. */
export interface DesyncStats {
  readonly isQuarantined: boolean
  /** Signs that a connection is out of step, by kind. */
  readonly desync: DesyncCounts
}

/** Who wants to know whether the server can be reached. */
export interface PoolWatcher {
  /** An attempt to connect failed; it is down for a while. */
  onRefused(reason: string): void
  /** An attempt succeeded, perhaps the first after one that did not. */
  onConnected(): void
}

/** Keeps the numbers of connections unique within the process. */
let connectionId = 0

export class Pool implements ConnectionKeeper {
  readonly #address: Address
  readonly #name: string
  readonly #environment: UpstreamEnvironment
  readonly #idle: UpstreamConnection[] = []
  readonly #open = new Set<UpstreamConnection>()
  /** Attempts under way, name resolution included. */
  #connecting = 0
  /** Attempts that have no connection yet, because the name is being resolved. */
  #resolving = 0
  /** Other addresses of the same name, for attempts under way. */
  readonly #alternatives = new WeakMap<UpstreamConnection, readonly Address[]>()
  #firstWaiter: Waiter | undefined
  #lastWaiter: Waiter | undefined
  #waiting = 0
  #downUntil = Number.NEGATIVE_INFINITY
  #nextAddress = 0
  #closed = false
  readonly #sentinel: Sentinel
  readonly #watcher: PoolWatcher | undefined

  constructor(address: Address, environment: UpstreamEnvironment, watcher?: PoolWatcher) {
    this.#address = address
    this.#name = formatAddress(address)
    this.#environment = environment
    this.#watcher = watcher
    this.#sentinel = new Sentinel(environment.config.desync, environment.wheel, () => environment.onQuarantine(this.#name, false))
  }

  get name(): string {
    return this.#name
  }

  /** It refused a connection less than `timeouts.serverDown` ago. */
  get isDown(): boolean {
    return this.#environment.wheel.clock.now() < this.#downUntil
  }

  /** When it may be tried again; in the past for a server that is not down. */
  get downUntil(): number {
    return this.#downUntil
  }

  /** One more request would have to wait for others to finish. */
  get isFull(): boolean {
    return this.#idle.length === 0 && this.#size >= this.#environment.config.pool.connections
  }

  /** Requests that wait and have no attempt of their own under way. */
  get queued(): number {
    return Math.max(0, this.#waiting - this.#connecting)
  }

  /** Every waiter has an attempt of its own under way: nobody waits for others to finish. */
  get isConnectingForAll(): boolean {
    return this.#connecting >= this.#waiting
  }

  /** No connection is open, and none is waited for. */
  get isEmpty(): boolean {
    return this.#size === 0 && this.#waiting === 0
  }

  get stats(): PoolStats {
    return {
      idle: this.#idle.length,
      busy: this.#size - this.#idle.length - this.#connecting,
      connecting: this.#connecting,
      waiting: this.#waiting,
    }
  }

  get desyncStats(): DesyncStats {
    return { isQuarantined: this.#sentinel.isQuarantined, desync: this.#sentinel.counts }
  }

  /** An idle connection, or undefined: then the waiter is told later. `fresh` asks for one that was never used. Throws ProxyError ERR_EPROXY_QUEUE_FULL. */
  acquire(waiter: Waiter, fresh: boolean): UpstreamConnection | undefined {
    const idle = this.#takeIdle(waiter, fresh || this.#sentinel.isQuarantined)
    if (idle !== undefined) return idle
    const { pool } = this.#environment.config
    // What is left is of no use to this request, and must not keep it waiting: the one that is idle longest makes room.
    if (this.#idle.length > 0 && this.#size >= pool.connections) this.#idle[0]!.terminate()
    // A request with an attempt of its own under way does not wait for others.
    if (this.#size >= pool.connections && this.#waiting - this.#connecting >= pool.waiting)
      throw new ProxyError('ERR_EPROXY_QUEUE_FULL', `upstream ${this.#name}: ${this.#waiting} requests wait already`)
    this.#enqueue(waiter)
    this.#connectForWaiters()
    return undefined
  }

  /** The waiter does not wait any more. A connection that is being made for it is kept for others. */
  cancel(waiter: Waiter): void {
    if (waiter.waitsIn === this) this.#dequeue(waiter)
  }

  /** The exchange is done with the connection. */
  release(connection: UpstreamConnection): void {
    if (this.#closed || this.#sentinel.isQuarantined || !connection.isReusable) return connection.terminate()
    this.#serve(connection)
  }

  /** The server takes connections: whatever failed before does not count any more. */
  forgetFailure(): void {
    this.#downUntil = Number.NEGATIVE_INFINITY
    this.#watcher?.onConnected()
  }

  /** The client is gone: nobody else may use what is reserved for it. */
  abandon(client: RequestingClient): void {
    for (const connection of [...this.#idle]) if (connection.reservedFor === client) connection.terminate()
  }

  /** Closes what is idle and lets no more connections be kept. Busy ones end with their exchange. */
  close(): void {
    this.#closed = true
    this.#sentinel.dispose()
    for (const connection of [...this.#idle]) connection.terminate()
  }

  /** Closes everything. */
  destroy(): void {
    this.close()
    for (let waiter = this.#firstWaiter; waiter !== undefined; waiter = this.#firstWaiter) {
      this.#dequeue(waiter)
      waiter.onConnectionFailed(connectError('ERR_EPROXY_DRAINED', this.#name, undefined))
    }
    for (const connection of [...this.#open]) {
      // Its end is not reported: nobody had it yet.
      if (connection.state === ConnectionState.CONNECTING) this.#connecting--
      connection.shutdown()
    }
    this.#open.clear()
  }

  // ConnectionKeeper

  onConnected(connection: UpstreamConnection): void {
    this.#connecting--
    this.forgetFailure()
    if (this.#closed && this.#firstWaiter === undefined) {
      connection.idle()
      return connection.terminate()
    }
    this.#serve(connection)
  }

  onConnectFailed(connection: UpstreamConnection, code: ExchangeErrorCode, cause: Error | undefined): void {
    this.#open.delete(connection)
    const [next, ...others] = this.#alternatives.get(connection) ?? []
    if (next !== undefined) return this.#connectTo(next, others)
    this.#fail(connectError(code, this.#name, cause))
  }

  onClosed(connection: UpstreamConnection, wasIdle: boolean): void {
    this.#open.delete(connection)
    if (wasIdle) {
      const index = this.#idle.lastIndexOf(connection)
      if (index >= 0) this.#idle.splice(index, 1)
    }
    this.#connectForWaiters()
  }

  onDesync(connection: UpstreamConnection, kind: DesyncKind, bytes: number): void {
    this.#environment.onDesync(connection, kind, bytes)
    if (desyncTable[kind].isEvidence) {
      // Nonsense comes before an answer could: it was there before the request was.
      const suspect = kind === 'nonsense-after-reuse' ? connection.previousUse : connection.lastUse
      suspect?.client.retire()
    }
    if (!this.#sentinel.record(kind)) return
    this.#environment.onQuarantine(this.#name, true)
    for (const idle of [...this.#idle]) if (idle.uses > 0) idle.terminate()
  }

  /** The newest idle connection that this request may use. */
  #takeIdle(waiter: Waiter, fresh: boolean): UpstreamConnection | undefined {
    const idle = this.#idle
    for (let index = idle.length - 1; index >= 0; index--) {
      const connection = idle[index]!
      if (fresh ? connection.uses > 0 : !isFor(connection, waiter)) continue
      if (index === idle.length - 1) idle.pop()
      else idle.splice(index, 1)
      if (!connection.isExpired && !connection.socket.isEnding) return connection
      connection.terminate()
    }
    return undefined
  }

  /** Connections that exist or are about to. */
  get #size(): number {
    return this.#open.size + this.#resolving
  }

  #serve(connection: UpstreamConnection): void {
    const waiter = this.#firstWaiter
    if (waiter === undefined || !isFor(connection, waiter)) {
      // The client that it is reserved for does not wait: it has only just had it. Whoever does needs the room.
      if (this.#waiting > this.#connecting) return connection.terminate()
      connection.idle()
      this.#idle.push(connection)
      return
    }
    this.#dequeue(waiter)
    // A released connection is still marked busy: it changes hands through idle.
    connection.idle()
    waiter.onConnectionReady(connection)
  }

  /** One attempt for each waiter, as far as the limit allows. */
  #connectForWaiters(): void {
    const { connections } = this.#environment.config.pool
    while (this.#waiting > this.#connecting && this.#size < connections) this.#startConnect()
  }

  #startConnect(): void {
    this.#connecting++
    const address = this.#address
    if (address.kind === 'unix') return this.#connectTo(address)
    const known = this.#environment.resolver.lookupCached(address.host)
    if (known !== undefined) return this.#connectToOneOf(known, address.port)
    this.#resolving++
    this.#environment.resolver
      .resolve(address.host)
      .then(
        (found) => {
          this.#resolving--
          this.#connectToOneOf(found, address.port)
        },
        (error: unknown) => {
          this.#resolving--
          this.#fail(
            error instanceof ProxyError
              ? error
              : connectError('ERR_EPROXY_DNS_FAILED', this.#name, error instanceof Error ? error : undefined),
          )
        },
      )
      .catch((error: unknown) => this.#environment.onFault(error))
  }

  /** The addresses of a name take turns; one that cannot be reached is followed by the next, up to pool.attempts. */
  #connectToOneOf(addresses: readonly { readonly address: string }[], port: number): void {
    assert(addresses.length > 0, 'the resolver gave an empty answer')
    const first = this.#nextAddress++ % addresses.length
    const inTurn = [...addresses.slice(first), ...addresses.slice(0, first)].map(({ address: host }): Address => ({
      kind: 'tcp',
      host,
      port,
    }))
    this.#connectTo(inTurn[0]!, inTurn.slice(1, this.#environment.config.pool.attempts))
  }

  #connectTo(address: Address, alternatives: readonly Address[] = []): void {
    // The name was resolved too late: nobody waits any more.
    if (this.#closed && this.#firstWaiter === undefined) return void this.#connecting--
    connectionId++
    const connection = new UpstreamConnection(connectionId, this.#name, this.#environment, this, (handler) =>
      this.#environment.connect(address, handler),
    )
    this.#open.add(connection)
    if (alternatives.length > 0) this.#alternatives.set(connection, alternatives)
  }

  /** An attempt failed. The waiter that it would have served is told, unless others are still on their way for all. */
  #fail(error: ProxyError): void {
    this.#connecting--
    this.#downUntil = this.#environment.wheel.clock.now() + this.#environment.config.timeouts.serverDown
    this.#watcher?.onRefused(error.message)
    const waiter = this.#firstWaiter
    if (waiter !== undefined && this.#waiting > this.#connecting) {
      this.#dequeue(waiter)
      waiter.onConnectionFailed(error)
    }
    this.#connectForWaiters()
  }

  #enqueue(waiter: Waiter): void {
    assert(waiter.waitsIn === undefined, 'a request waits twice')
    waiter.waitsIn = this
    waiter.previousWaiter = this.#lastWaiter
    if (this.#lastWaiter === undefined) this.#firstWaiter = waiter
    else this.#lastWaiter.nextWaiter = waiter
    this.#lastWaiter = waiter
    this.#waiting++
  }

  #dequeue(waiter: Waiter): void {
    const { previousWaiter, nextWaiter } = waiter
    if (previousWaiter === undefined) this.#firstWaiter = nextWaiter
    else previousWaiter.nextWaiter = nextWaiter
    if (nextWaiter === undefined) this.#lastWaiter = previousWaiter
    else nextWaiter.previousWaiter = previousWaiter
    waiter.waitsIn = undefined
    waiter.previousWaiter = undefined
    waiter.nextWaiter = undefined
    this.#waiting--
  }
}

function isFor(connection: UpstreamConnection, waiter: Waiter): boolean {
  return connection.reservedFor === undefined || connection.reservedFor === waiter.client
}

/** The servers that share the load of one proxy. */
import { formatAddress, type Address } from '../core/options.ts'
import { pickRoundRobin } from '../route/round-robin.ts'
import type { RequestingClient } from './connection.ts'
import type { UpstreamEnvironment } from './environment.ts'
import { Pool, type DesyncStats, type PoolStats } from './pool.ts'

export interface UpstreamStats extends PoolStats, DesyncStats {}

export class UpstreamGroup {
  #pools: readonly Pool[] = []
  #name = ''
  #next = 0
  /** Its `config` is that of this group. */
  readonly #environment: UpstreamEnvironment
  #isClosed = false
  /** Servers that are not configured any more, and may have exchanges yet. */
  readonly #leaving = new Set<Pool>()

  constructor(addresses: readonly Address[], environment: UpstreamEnvironment) {
    this.#environment = environment
    this.update(addresses)
  }

  /** Takes other servers, or the same in another order. One that stays keeps its connections; one that is gone closes with its last exchange. */
  update(addresses: readonly Address[]): void {
    const [first] = addresses
    // A path is no host, and nobody's business.
    this.#name = first === undefined || first.kind === 'unix' ? 'localhost' : formatAddress(first)
    const old = new Map(this.#pools.map((pool) => [pool.name, pool]))
    this.#pools = addresses.map((address) => old.get(formatAddress(address)) ?? new Pool(address, this.#environment))
    this.#next = 0
    for (const pool of this.#pools) old.delete(pool.name)
    for (const pool of this.#leaving) if (pool.isEmpty) this.#leaving.delete(pool)
    for (const pool of old.values()) {
      pool.close()
      this.#leaving.add(pool)
    }
    if (this.#isClosed) this.close()
  }

  get pools(): readonly Pool[] {
    return this.#pools
  }

  /** No connection is open, and none is waited for. */
  get isEmpty(): boolean {
    return [...this.#pools, ...this.#leaving].every((pool) => pool.isEmpty)
  }

  /** Stands in Host when a 1.0 client sends none. */
  get name(): string {
    return this.#name
  }

  get stats(): Readonly<Record<string, UpstreamStats>> {
    return Object.fromEntries([...this.#leaving, ...this.#pools].map((pool) => [pool.name, { ...pool.stats, ...pool.desyncStats }]))
  }

  /** The pool whose turn it is, of those not in `tried`; undefined when all were tried. */
  pick(tried: readonly Pool[]): Pool | undefined {
    const pools = this.#pools
    // One server is the usual case and needs no choice.
    if (pools.length === 1) return tried.length === 0 ? pools[0] : undefined
    const index = pickRoundRobin(
      pools.map((pool) => ({ isDown: pool.isDown, isTried: tried.includes(pool) })),
      this.#next,
    )
    if (index < 0) return undefined
    this.#next = (index + 1) % pools.length
    return pools[index]
  }

  /** The client is gone: nobody else may use what is reserved for it. */
  abandon(client: RequestingClient): void {
    for (const pool of this.#pools) pool.abandon(client)
    for (const pool of this.#leaving) pool.abandon(client)
  }

  close(): void {
    this.#isClosed = true
    for (const pool of this.#pools) pool.close()
  }

  destroy(): void {
    for (const pool of this.#pools) pool.destroy()
    for (const pool of this.#leaving) pool.destroy()
  }
}

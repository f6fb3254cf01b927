/** The servers that share the load of one proxy. */
import { formatAddress, type Address } from '../core/options.ts'
import { pickRoundRobin } from '../route/round-robin.ts'
import type { RequestingClient } from './connection.ts'
import type { UpstreamEnvironment } from './environment.ts'
import { Pool, type DesyncStats, type PoolStats } from './pool.ts'

export interface UpstreamStats extends PoolStats, DesyncStats {}

export class UpstreamGroup {
  readonly pools: readonly Pool[]
  readonly #name: string
  #next = 0

  constructor(addresses: readonly Address[], environment: UpstreamEnvironment) {
    const [first] = addresses
    // A path is no host, and nobody's business.
    this.#name = first === undefined || first.kind === 'unix' ? 'localhost' : formatAddress(first)
    this.pools = addresses.map((address) => new Pool(address, environment))
  }

  /** Stands in Host when a 1.0 client sends none. */
  get name(): string {
    return this.#name
  }

  get stats(): Readonly<Record<string, UpstreamStats>> {
    return Object.fromEntries(this.pools.map((pool) => [pool.name, { ...pool.stats, ...pool.desyncStats }]))
  }

  /** The pool whose turn it is, of those not in `tried`; undefined when all were tried. */
  pick(tried: readonly Pool[]): Pool | undefined {
    const { pools } = this
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
    for (const pool of this.pools) pool.abandon(client)
  }

  close(): void {
    for (const pool of this.pools) pool.close()
  }

  destroy(): void {
    for (const pool of this.pools) pool.destroy()
  }
}

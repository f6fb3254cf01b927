/** The figures of a proxy, as `stats` has them at one moment. */
import type { DesyncCounts } from '../core/desync.ts'
import type { RateLimitCounts } from '../limit/rate-limit.ts'
import type { StoreStats } from '../limit/shared-store.ts'
import type { CounterFigures } from '../observe/counters.ts'
import type { BalanceStats, UpstreamStats } from '../upstream/group.ts'

export interface ProxyStats {
  /** On one address at least. */
  readonly isListening: boolean
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

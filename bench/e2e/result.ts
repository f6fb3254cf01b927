/**
 * Everything that a run found out, as plain data: what --json writes, and what reports, charts and the list of targets are made from, now or
 * later.
 */
import { readFileSync } from 'node:fs'
import type { WorkloadRuns } from './closed-loop.ts'
import type { ConfiguredRuns } from './configured.ts'
import type { DripRuns } from './drip.ts'
import type { IdleSample } from './idle.ts'
import type { Passing } from './large-bodies.ts'
import type { OpenLoopRuns } from './open-loop.ts'
import type { PeerKind } from './peers.ts'
import type { PeerRun } from './run.ts'

export interface BenchResult {
  readonly format: typeof resultFormat
  readonly at: string
  readonly machine: string
  readonly node: string
  /** What a reader has to know of this run: cores that are shared, proxies that were not there, limits that were lowered. */
  readonly notes: readonly string[]
  readonly proxies: readonly { readonly name: string; readonly kind: PeerKind; readonly version: string }[]
  readonly settings: { readonly rounds: number; readonly seconds: number; readonly warmupSeconds: number; readonly accessLog: string }
  readonly workloads: WorkloadRuns[]
  accessLog: WorkloadRuns | null
  configured: ConfiguredRuns | null
  openLoop: OpenLoopRuns | null
  drips: readonly DripRuns[]
  idle: readonly PeerRun<IdleSample>[]
  startUps: readonly PeerRun<number>[]
  largeBodies: readonly Passing[]
}

/** Changes when a file of before cannot be read any more. */
export const resultFormat = 'eproxy-bench-1'

export function readResult(path: string): BenchResult {
  // A part that was not there yet was not measured.
  const result = { configured: null, ...(JSON.parse(readFileSync(path, 'utf8')) as Omit<BenchResult, 'configured'> & Partial<BenchResult>) }
  if (result.configured !== null) result.configured = { ...result.configured, atSameRate: result.configured.atSameRate ?? [] }
  if (result.format !== resultFormat) throw new Error(`${path} is not a result of this bench`)
  return result
}

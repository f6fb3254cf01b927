/**
 * A group of so many workers during the bench, with its figures: CPU time of its processes, and how it shared the work. The bench itself is
 * the primary. It owns the group and ends it.
 */
import { execFileSync } from 'node:child_process'
import { createProxyGroup, type ProxyGroup } from '../../lib/index.ts'
import { cpuTimeBetween, cpuTimeOfTree, type CpuTime } from '../process-figures.ts'

export interface Reading {
  readonly cpu: readonly ReadonlyMap<number, CpuTime>[]
  readonly exchanges: readonly number[]
  readonly connections: readonly number[]
}

export interface Difference {
  readonly cpuMicros: number
  /** By worker. */
  readonly exchanges: readonly number[]
  readonly connections: readonly number[]
}

export class Contestant implements AsyncDisposable {
  readonly workers: number
  readonly address: string
  readonly startMs: number
  readonly group: ProxyGroup

  static async start(workers: number, upstreams: readonly string[], cores: readonly number[] | null): Promise<Contestant> {
    const group = createProxyGroup({ workers, upstreams })
    const startedAt = performance.now()
    const { addresses } = await group.listen('127.0.0.1:0')
    const contestant = new Contestant(group, addresses[0]!, performance.now() - startedAt)
    if (cores !== null) {
      for (const { number, pid } of (await group.stats()).workers)
        execFileSync('taskset', ['-a', '-c', '-p', String(cores[number - 1]), String(pid)], { stdio: 'ignore' })
    }
    return contestant
  }

  private constructor(group: ProxyGroup, address: string, startMs: number) {
    this.group = group
    this.workers = group.workers
    this.address = address
    this.startMs = startMs
  }

  async read(): Promise<Reading> {
    const { workers } = await this.group.stats()
    return {
      cpu: workers.map(({ pid }) => cpuTimeOfTree(pid)),
      exchanges: workers.map(({ stats }) => stats?.exchangesTotal ?? 0),
      connections: workers.map(({ stats }) => stats?.connectionsTotal ?? 0),
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.group.close({ graceMs: 0 })
  }
}

export function differenceOf(before: Reading, after: Reading): Difference {
  const less = (values: readonly number[], from: readonly number[]): number[] => values.map((value, index) => value - (from[index] ?? 0))
  const cpu = after.cpu.map((map, index) => cpuTimeBetween(before.cpu[index] ?? new Map<number, CpuTime>(), map))
  return {
    cpuMicros: cpu.reduce((sum, { userMicros, systemMicros }) => sum + userMicros + systemMicros, 0),
    exchanges: less(after.exchanges, before.exchanges),
    connections: less(after.connections, before.connections),
  }
}

/** How far the busiest or the idlest is from the mean: 0 is even, 0.1 is 10 %. */
export function unevenness(shares: readonly number[]): number {
  const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length
  return mean === 0 ? 0 : Math.max(...shares.map((share) => Math.abs(share - mean))) / mean
}

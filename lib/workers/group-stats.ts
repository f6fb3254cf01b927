/** The figures of several workers as those of one proxy. Pure. */
import { zeroDesyncCounts } from '../core/desync.ts'
import { noFigures } from '../observe/counters.ts'
import type { ProxyStats } from '../proxy/stats.ts'
import type { LastCheck } from '../upstream/health-monitor.ts'
import type { WorkerState } from './worker-process.ts'

export interface WorkerStats {
  readonly number: number
  readonly pid: number
  readonly state: WorkerState
  /** Undefined before its first word. */
  readonly stats: ProxyStats | undefined
  /** How old they are: 0 for a worker that has answered, more for one that has not in time. */
  readonly ageMs: number
}

export interface GroupStats {
  /**
   * The sum. Counters (`…Total`, `desync`, `counters`) include workers that have ended; of one that ended without a word the last second is
   * missing.
   */
  readonly total: ProxyStats
  /** Each worker that lives, those that are being replaced included. */
  readonly workers: readonly WorkerStats[]
  /** Workers that ended without being asked to. */
  readonly crashesTotal: number
  readonly reloadsTotal: number
}

export const noStats: ProxyStats = Object.freeze({
  isListening: false,
  connections: 0,
  connectionsTotal: 0,
  exchangesTotal: 0,
  refusedTotal: 0,
  connectionsRefusedTotal: 0,
  toleratedTotal: 0,
  faultsTotal: 0,
  desync: Object.freeze(zeroDesyncCounts()),
  counters: noFigures,
  cpuMsTotal: 0,
  memoryBytes: 0,
  deadlines: 0,
  parserSlots: 0,
  parserMemoryBytes: 0,
  rateLimits: Object.freeze({}),
  rateLimitStore: undefined,
  upstreams: Object.freeze({}),
  groups: Object.freeze({}),
  reloadsTotal: 0,
})

export function sumStats(parts: readonly ProxyStats[]): ProxyStats {
  return parts.reduce((sum, part) => addFigures(sum, part) as unknown as ProxyStats, noStats)
}

/** The sum of workers that live and of what those have counted that have ended. Servers and groups that no worker has are left out. */
export function sumWith(departed: ProxyStats, parts: readonly ProxyStats[]): ProxyStats {
  const living = sumStats(parts)
  return sumStats([
    { ...departed, upstreams: pick(departed.upstreams, living.upstreams), groups: pick(departed.groups, living.groups) },
    ...parts,
  ])
}

/** Counters that are not told by their names. */
const countersBeside: ReadonlySet<string> = new Set(['desync', 'counters', 'rateLimits'])
/** Embedded origins have a new name in each process. */
const namesMax = 1_000

/** Of a worker that has ended only what it has counted remains. */
export function addCounters(sum: ProxyStats, ended: ProxyStats): ProxyStats {
  const counters = Object.entries(ended).filter(([name]) => name.endsWith('Total') || countersBeside.has(name))
  const upstreams = totalsOf(ended.upstreams, sum.upstreams)
  return addFigures(sum, {
    ...Object.fromEntries(counters),
    upstreams,
    groups: totalsOf(ended.groups, sum.groups),
  }) as unknown as ProxyStats
}

function totalsOf(rows: Readonly<Record<string, object>>, known: object): object {
  const isFull = Object.keys(known).length >= namesMax
  return Object.fromEntries(
    Object.entries(rows)
      .filter(([name]) => !isFull || Object.hasOwn(known, name))
      .map(([name, row]) => [name, Object.fromEntries(Object.entries(row).filter(([member]) => member.endsWith('Total')))]),
  )
}

function pick<T>(rows: Readonly<Record<string, T>>, wanted: object): Readonly<Record<string, T>> {
  return Object.fromEntries(Object.entries(rows).filter(([name]) => Object.hasOwn(wanted, name)))
}

/** Adds numbers name by name, at every depth; what is true of one part is true of the sum, and words that differ are all said. */
function addFigures(sum: object, part: object): Record<string, unknown> {
  const result: Record<string, unknown> = { ...sum }
  for (const [name, value] of Object.entries(part) as [string, unknown][]) {
    const before = result[name]
    if (name === 'lastCheck') result[name] = laterCheck(before as LastCheck | undefined, value as LastCheck | undefined)
    // Each worker has the same, by configuration.
    else if (name === 'weight') result[name] = value
    else if (typeof value === 'string') result[name] = typeof before === 'string' ? joinWords(before, value) : value
    else if (typeof value === 'number') result[name] = (typeof before === 'number' ? before : 0) + value
    else if (typeof value === 'boolean') result[name] = before === true || value
    else if (typeof value === 'object' && value !== null) result[name] = addFigures(typeof before === 'object' ? (before ?? {}) : {}, value)
  }
  return result
}

function laterCheck(one: LastCheck | undefined, other: LastCheck | undefined): LastCheck | undefined {
  if (one === undefined || other === undefined) return one ?? other
  return one.at > other.at ? one : other
}

const separator = ' | '

function joinWords(one: string, other: string): string {
  const words = one.split(separator)
  return words.includes(other) ? one : [...words, other].filter((word) => word !== '').join(separator)
}

/**
 * Limits that hold for the group as a whole become limits of one worker: each gets an equal part, rounded up, so that none gets nothing.
 * Which limits these are is said by the rows of the option tables. Pure.
 */
import { limitTable, poolTable, type NumberRow, type ProxyOptions } from '../core/options.ts'
import type { GroupOptions, RateLimitOptions, ServiceOptions } from '../core/service-options.ts'

/** The options of one of `workers` workers. `options` are valid. */
export function shareLimits(options: ProxyOptions, workers: number): ProxyOptions {
  return {
    ...options,
    limits: { ...options.limits, ...divide(limitTable, options.limits, workers) },
    pool: { ...options.pool, ...divide(poolTable, options.pool, workers) },
    ...(options.service !== undefined && { service: shareService(options.service, workers) }),
  }
}

/** What a listener or a group of servers has of its own is divided; what it has not is that of all, which is divided already. */
function shareService(service: ServiceOptions, workers: number): ServiceOptions {
  return {
    ...service,
    listeners: service.listeners.map((row) =>
      row.limits === undefined ? row : { ...row, limits: shareGiven(limitTable, row.limits, workers) },
    ),
    groups: mapValues(service.groups, (row) => shareGroup(row, workers)),
    rateLimits: mapValues(service.rateLimits, (row) => shareRateLimit(row, workers)),
  }
}

function shareGroup(group: GroupOptions, workers: number): GroupOptions {
  const { pool, breaker } = group
  return {
    ...group,
    ...(pool !== undefined && { pool: shareGiven(poolTable, pool, workers) }),
    ...(breaker !== undefined && {
      breaker: {
        exchanges: Math.ceil(breaker.exchanges / workers),
        waiting: Math.ceil(breaker.waiting / workers),
        retries: Math.ceil(breaker.retries / workers),
      },
    }),
  }
}

/**
 * What counts requests of many clients is spread over the workers as the connections are: each has its part. One client may have a single
 * connection, and that is with one worker: a part of its limit would refuse it what it may have. So by client or field each worker allows the
 * whole, and who wants it exact shares it in a store, which also holds between workers.
 */
function shareRateLimit(options: RateLimitOptions, workers: number): RateLimitOptions {
  const { kind } = options.key
  if (options.shared || kind === 'client' || kind === 'header') return options
  return { ...options, perMs: options.perMs * workers, burst: Math.ceil(options.burst / workers) }
}

function shareGiven<N extends object>(table: DividedRows, given: N, workers: number): N {
  const names = Object.keys(given)
  return {
    ...given,
    ...Object.fromEntries(
      Object.entries(divide(table, given as Readonly<Record<string, number>>, workers)).filter(([name]) => names.includes(name)),
    ),
  }
}

function mapValues<V>(record: Readonly<Record<string, V>>, change: (value: V) => V): Record<string, V> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, change(value)]))
}

type DividedRows = Readonly<Record<string, Pick<NumberRow, 'default' | 'divided'>>>

function divide(table: DividedRows, given: Readonly<Record<string, number>> | undefined, workers: number): Record<string, number> {
  const rows = Object.entries(table).filter(([, row]) => row.divided === true)
  return Object.fromEntries(rows.map(([name, row]) => [name, Math.ceil((given?.[name] ?? row.default) / workers)]))
}

/**
 * Limits that hold for the group as a whole become limits of one worker: each gets an equal part, rounded up, so that none gets nothing.
 * Which limits these are is said by the rows of the option tables. Pure.
 */
import { limitTable, poolTable, type NumberRow, type ProxyOptions } from '../core/options.ts'
import type { GroupOptions, ServiceOptions } from '../core/service-options.ts'

/** The options of one of `workers` workers. `options` are valid. */
export function shareLimits(options: ProxyOptions, workers: number): ProxyOptions {
  return {
    ...options,
    limits: { ...options.limits, ...divide(limitTable, options.limits, workers) },
    pool: { ...options.pool, ...divide(poolTable, options.pool, workers) },
    ...(options.service !== undefined && { service: shareService(options.service, workers) }),
  }
}

/** What a group of servers has of its own, and its circuit breaker. */
function shareService(service: ServiceOptions, workers: number): ServiceOptions {
  const groups = Object.entries(service.groups).map(([name, group]): [string, GroupOptions] => {
    const { pool, breaker } = group
    const given = pool && Object.fromEntries(Object.entries(divide(poolTable, pool, workers)).filter(([key]) => Object.hasOwn(pool, key)))
    return [
      name,
      {
        ...group,
        ...(pool !== undefined && { pool: { ...pool, ...given } }),
        ...(breaker !== undefined && {
          breaker: {
            exchanges: Math.ceil(breaker.exchanges / workers),
            waiting: Math.ceil(breaker.waiting / workers),
            retries: Math.ceil(breaker.retries / workers),
          },
        }),
      },
    ]
  })
  return { ...service, groups: Object.fromEntries(groups) }
}

function divide(
  table: Readonly<Record<string, Pick<NumberRow, 'default' | 'divided'>>>,
  given: Readonly<Record<string, number>> | undefined,
  workers: number,
): Record<string, number> {
  const rows = Object.entries(table).filter(([, row]) => row.divided === true)
  return Object.fromEntries(rows.map(([name, row]) => [name, Math.ceil((given?.[name] ?? row.default) / workers)]))
}

/**
 * Limits that hold for the group as a whole become limits of one worker: each gets an equal part, rounded up, so that none gets nothing.
 * Which limits these are is said by the rows of the option tables. Pure.
 */
import { limitTable, poolTable, type NumberRow, type ProxyOptions } from '../core/options.ts'

/** The options of one of `workers` workers. `options` are valid. */
export function shareLimits(options: ProxyOptions, workers: number): ProxyOptions {
  return {
    ...options,
    limits: { ...options.limits, ...divide(limitTable, options.limits, workers) },
    pool: { ...options.pool, ...divide(poolTable, options.pool, workers) },
  }
}

function divide(
  table: Readonly<Record<string, Pick<NumberRow, 'default' | 'divided'>>>,
  given: Readonly<Record<string, number>> | undefined,
  workers: number,
): Record<string, number> {
  const rows = Object.entries(table).filter(([, row]) => row.divided === true)
  return Object.fromEntries(rows.map(([name, row]) => [name, Math.ceil((given?.[name] ?? row.default) / workers)]))
}

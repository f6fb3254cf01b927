/**
 * What became of the requests of one stretch of time, and which of those that were lost a proxy could have saved. A request could not be
 * saved when it had been given to a server and must not be sent twice (RFC 9110 section 9.2.2), or when its answer had begun; every
 * other one could. Pure.
 */
import type { Sent } from './load.ts'

/** Of a line of the access log. */
export interface LoggedExchange {
  readonly target: string
  readonly status: number
  readonly term: string
  readonly error?: string
  readonly upstream?: string
  readonly retries?: number
  /** -1: it never had a connection to a server. */
  readonly t_upstream: number
}

export interface Loss {
  readonly check: string
  readonly method: string
  readonly what: string
  /** '' when it could have been saved. */
  readonly excuse: string
  readonly line: LoggedExchange | undefined
}

export interface Stretch {
  readonly requests: number
  readonly losses: readonly Loss[]
  readonly savableLost: number
  readonly retried: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

/** `lines` by the request's mark. */
export function judgeStretch(sent: readonly Sent[], lines: ReadonlyMap<string, LoggedExchange>): Stretch {
  const losses = sent.filter(({ loss }) => loss !== '').map((one) => judgeLoss(one, lines.get(one.check)))
  const latencies = sent.map(({ doneAt, dueAt }) => doneAt - dueAt).sort((a, b) => a - b)
  const at = (share: number): number => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? 0
  return {
    requests: sent.length,
    losses,
    savableLost: losses.filter(({ excuse }) => excuse === '').length,
    retried: sent.filter(({ check }) => (lines.get(check)?.retries ?? 0) > 0).length,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: at(1),
  }
}

function judgeLoss({ check, method, loss, hadBegun }: Sent, line: LoggedExchange | undefined): Loss {
  return { check, method, what: loss, excuse: excuseOf(method, hadBegun, line), line }
}

function excuseOf(method: string, hadBegun: boolean, line: LoggedExchange | undefined): string {
  if (hadBegun) return 'its answer had begun'
  if (method === 'POST' && line !== undefined && line.t_upstream >= 0) return 'a server had it already, and a POST is not sent twice'
  return ''
}

/** The mark in the target of a request, '' for what is none of the load. */
export function markOf(target: string): string {
  return /[?&]check=([\w-]+)$/.exec(target)?.[1] ?? ''
}

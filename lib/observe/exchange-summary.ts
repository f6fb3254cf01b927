/** What is known of one exchange when it has ended: the source of the access log, of the `exchange` event and of the counters. */
import type { ExchangeErrorCode } from '../core/errors.ts'

export interface ExchangeSummary {
  /** Request id: unique within the process, e.g. `k3f9-1a2b`. */
  readonly id: string
  /** First byte of the request, milliseconds since the epoch. */
  readonly startedAt: number
  /** Client address as `ip:port`, `[ip6]:port` or `unix`. */
  readonly client: string
  /** '' when the request was refused before its method was known. */
  readonly method: string
  /** Request target as received (latin-1), '' when unknown. Up to limits.requestLineBytes long. */
  readonly target: string
  /** '1.1', '1.0' or '' when unknown. */
  readonly version: string
  /** Status of the final response sent to the client, 0 for none. */
  readonly status: number
  /** Bytes read from the client for this exchange: head and body; a tunnel's bytes too. */
  readonly bytesIn: number
  /** Bytes written to the client for this exchange: heads and body; a tunnel's bytes too. */
  readonly bytesOut: number
  /** Address of the upstream server, '' when none was reached for. */
  readonly upstream: string
  /** Client address of the upstream connection is not logged; this is its number within the process, 0 for none. */
  readonly upstreamConnection: number
  /** The upstream connection had served an exchange before. */
  readonly reused: boolean
  /** Attempts after the first. */
  readonly retries: number
  /** First byte of the request to the end of its head, ms. -1 where a phase was not reached (also below). */
  readonly headMs: number
  /** End of the request head to an upstream connection: queue, name resolution and connect, ms. */
  readonly upstreamMs: number
  /** Upstream connection to response head, ms. */
  readonly responseMs: number
  /** First byte of the request to the end of the exchange, ms. */
  readonly totalMs: number
  /** Two letters as in HAProxy, '--' for a normal end. */
  readonly termination: string
  /** Why it ended other than well. */
  readonly error: ExchangeErrorCode | ''
  /** Rule id when a message was refused, e.g. H1-HOST-MISSING. */
  readonly rule: string
  /** The connection was switched to another protocol (101). */
  readonly tunnel: boolean
  /** Name of the route, '' where there is none or it is not known yet. */
  readonly route: string
  /** Address of the listener as it is configured, '' where none is. */
  readonly listener: string
  /** Field Referer of the request, '' without one; a log is given it, other listeners are not. */
  readonly referer?: string
  /** Field User-Agent, in the same way. */
  readonly userAgent?: string
}

/** Where exchanges are written to. */
export interface ExchangeLog {
  /** `summary` is good until this returns: the next exchange is written over it. */
  write(summary: ExchangeSummary): void
}

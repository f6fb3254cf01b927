/** When a worker that ended is replaced, and when a worker stands still for too long. Pure decisions; clocks and processes are elsewhere. */
import type { Supervision } from '../core/options.ts'

/** A worker that served this long ended for a new reason. */
const soundMs = 60_000
/** With nobody serving and so many starts in vain, whoever started us shall know. */
const startsMax = 8

export interface WorkerEnd {
  /** Ends in a row, this one not counted. */
  readonly endsBefore: number
  /** How long it served; 0 when it never did. */
  readonly servedMs: number
  /** Whether any other worker serves at this moment. */
  readonly othersServe: boolean
}

export type RestartDecision = { readonly kind: 'restart'; readonly ends: number; readonly waitMs: number } | { readonly kind: 'give-up' }

export function decideRestart(end: WorkerEnd, supervision: Supervision): RestartDecision {
  const ends = (end.servedMs >= soundMs ? 0 : end.endsBefore) + 1
  if (end.servedMs === 0 && !end.othersServe && ends >= startsMax) return { kind: 'give-up' }
  const { restartMin, restartMax } = supervision
  return { kind: 'restart', ends, waitMs: Math.min(restartMax, restartMin * 2 ** (ends - 1)) }
}

/** What is to be done about a worker that has said nothing for `silentMs`. */
export function judgeSilence(silentMs: number, wasLogged: boolean, { hang, kill }: Supervision): 'wait' | 'log' | 'kill' {
  if (kill > 0 && silentMs >= kill) return 'kill'
  return silentMs >= hang && !wasLogged ? 'log' : 'wait'
}

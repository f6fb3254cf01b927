/** One document with everything that the status page and `eproxy-raw top` show: what `/status` answers, and what `/events` sends each second. */
import type { GroupStats, ProxyStats } from '../index.ts'
import { FigureHistory, type Figures, type HistoryPoint } from './figures.ts'
import type { ReloadFigures } from './metric-table.ts'
import { judgeReadiness } from './readiness.ts'

export interface StatusDocument {
  readonly version: string
  readonly node: string
  readonly pid: number
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly startedAt: number
  readonly isDraining: boolean
  /** Why it is not ready; none when it is. */
  readonly notReady: readonly string[]
  readonly reloads: ReloadFigures
  readonly crashesTotal: number
  readonly total: ProcessStatus
  /** None when one process serves. */
  readonly workers: readonly WorkerStatus[]
}

export interface ProcessStatus {
  readonly figures: Figures
  readonly stats: ProxyStats
}

export interface WorkerStatus extends ProcessStatus {
  readonly number: number
  readonly pid: number
  readonly state: string
  /** How old its figures are, when it does not answer. */
  readonly ageMs: number
}

/** Two minutes of what is drawn, for the sum and each worker by its number. */
export interface StatusHistory {
  readonly total: readonly HistoryPoint[]
  readonly workers: Readonly<Record<string, readonly HistoryPoint[]>>
}

export interface Circumstances {
  readonly version: string
  readonly startedAt: number
  readonly isDraining: boolean
  readonly reloads: ReloadFigures
}

/** Makes a document of the figures of each moment; figures of the past are kept here, for rates. */
export class StatusBoard {
  readonly #total = new FigureHistory()
  readonly #workers = new Map<number, FigureHistory>()

  get history(): StatusHistory {
    return {
      total: this.#total.points,
      workers: Object.fromEntries([...this.#workers].map(([number, history]) => [number, history.points])),
    }
  }

  /** To be called about once a second: what is drawn has a point for each call. */
  add(
    at: number,
    { total, workers, crashesTotal }: GroupStats,
    { version, startedAt, isDraining, reloads }: Circumstances,
  ): StatusDocument {
    // A worker that is being replaced has the number of its replacement, and finishes beside it.
    const serving = workers.filter(({ state }) => state !== 'draining')
    for (const number of this.#workers.keys()) if (!serving.some((worker) => worker.number === number)) this.#workers.delete(number)
    return {
      version,
      node: process.versions.node,
      pid: process.pid,
      at,
      startedAt,
      isDraining,
      notReady: judgeReadiness({ total, workers }, isDraining),
      reloads,
      crashesTotal,
      total: { figures: this.#total.add({ at, stats: total }), stats: total },
      workers: serving.flatMap(({ number, pid, state, ageMs, stats }) =>
        stats === undefined ? [] : [{ number, pid, state, ageMs, stats, figures: this.#historyOf(number).add({ at, stats }) }],
      ),
    }
  }

  #historyOf(number: number): FigureHistory {
    let history = this.#workers.get(number)
    if (history === undefined) this.#workers.set(number, (history = new FigureHistory()))
    return history
  }
}

/** From what was counted at two moments to what a person wants to know: how much a second, how long, how busy. Pure, but for the history. */
import { statusClasses } from '../observe/counters.ts'
import { estimateQuantile, type DurationFigures } from '../observe/duration-histogram.ts'
import type { ProxyStats } from '../index.ts'

export const phases = ['head', 'upstream', 'response', 'total'] as const
export type Phase = (typeof phases)[number]

/** Milliseconds, -1 when nothing was measured. */
export interface Quantiles {
  readonly p50: number
  readonly p90: number
  readonly p99: number
}

/** Of the last second, but for latency: of the last ten, or it would jump. */
export interface Figures {
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly requestsPerSecond: number
  /** Exchanges that ended other than well. */
  readonly failuresPerSecond: number
  /** By class of the status. */
  readonly classesPerSecond: Readonly<Record<string, number>>
  readonly bytesInPerSecond: number
  readonly bytesOutPerSecond: number
  /** Of one processor; workers together may have more than one. */
  readonly cpuShare: number
  readonly latency: Readonly<Record<Phase, Quantiles>>
}

/** What is drawn over time. */
export type HistoryPoint = readonly [at: number, requestsPerSecond: number, failuresPerSecond: number]

export interface Sample {
  readonly at: number
  readonly stats: ProxyStats
}

/** `longAgo` is the sample that latency is counted from. */
export function compareSamples(longAgo: Sample, before: Sample, now: Sample): Figures {
  // A clock that was set back says nothing about the time between.
  const seconds = now.at > before.at ? (now.at - before.at) / 1_000 : 1
  const perSecond = (later: number, earlier: number): number => growth(later, earlier) / seconds
  const { counters } = now.stats
  const old = before.stats.counters
  return {
    at: now.at,
    requestsPerSecond: perSecond(now.stats.exchangesTotal, before.stats.exchangesTotal),
    failuresPerSecond: perSecond(countFailures(now.stats), countFailures(before.stats)),
    classesPerSecond: Object.fromEntries(
      statusClasses.map((name) => [name, perSecond(countClass(now.stats, name), countClass(before.stats, name))]),
    ),
    bytesInPerSecond: perSecond(counters.bytes.client.in, old.bytes.client.in),
    bytesOutPerSecond: perSecond(counters.bytes.client.out, old.bytes.client.out),
    cpuShare: perSecond(now.stats.cpuMsTotal, before.stats.cpuMsTotal) / 1_000,
    latency: {
      head: quantilesOf(subtract(counters.head, longAgo.stats.counters.head)),
      upstream: quantilesOf(subtract(counters.upstream, longAgo.stats.counters.upstream)),
      response: quantilesOf(subtract(counters.response, longAgo.stats.counters.response)),
      total: quantilesOf(subtract(counters.total, longAgo.stats.counters.total)),
    },
  }
}

const latencySamples = 10
/**
 * Workers that answer late, or a primary that reads late, bring two samples close together: what was counted in a second would be
 * divided by some milliseconds.
 */
const sampleMsMin = 500
const pointsMax = 120

/** The last samples of one proxy or worker, and two minutes of what is drawn. */
export class FigureHistory {
  readonly #samples: Sample[] = []
  readonly #points: HistoryPoint[] = []
  #figures: Figures | undefined

  get points(): readonly HistoryPoint[] {
    return this.#points
  }

  /** The first sample is compared with itself: nothing has happened in no time. One too close to the last changes nothing. */
  add(sample: Sample): Figures {
    const last = this.#samples.at(-1) ?? sample
    if (this.#figures !== undefined && sample.at >= last.at && sample.at - last.at < sampleMsMin) return this.#figures
    const figures = compareSamples(this.#samples[0] ?? sample, last, sample)
    this.#figures = figures
    this.#samples.push(sample)
    if (this.#samples.length > latencySamples) this.#samples.shift()
    this.#points.push([sample.at, figures.requestsPerSecond, figures.failuresPerSecond])
    if (this.#points.length > pointsMax) this.#points.shift()
    return figures
  }
}

function countFailures({ counters }: ProxyStats): number {
  return Object.entries(counters.terminations).reduce((sum, [code, count]) => (code === '--' ? sum : sum + count), 0)
}

function countClass({ counters }: ProxyStats, name: string): number {
  return Object.values(counters.requests).reduce((sum, route) => sum + (route[name] ?? 0), 0)
}

function quantilesOf(figures: DurationFigures): Quantiles {
  return { p50: estimateQuantile(figures, 0.5), p90: estimateQuantile(figures, 0.9), p99: estimateQuantile(figures, 0.99) }
}

function subtract(now: DurationFigures, before: DurationFigures): DurationFigures {
  if (now.count < before.count) return now
  const buckets = Object.entries(now.buckets).map(([name, count]) => [name, count - (before.buckets[name] ?? 0)] as const)
  return { count: now.count - before.count, sumMs: now.sumMs - before.sumMs, buckets: Object.fromEntries(buckets) }
}

/** A worker that was replaced counts from zero again. */
function growth(later: number, earlier: number): number {
  return later >= earlier ? later - earlier : later
}

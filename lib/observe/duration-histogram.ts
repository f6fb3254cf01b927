/**
 * How often something took how long, in fixed buckets. Counting is a search from below, because most of what is measured is short, and two
 * stores. Figures are plain records of what is not zero, so that those of several processes can be added name by name.
 */

/** Upper bounds in milliseconds, inclusive; what took longer is in a bucket without one. */
export const durationBoundsMs = Object.freeze([
  0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000,
])
const beyondName = 'beyond'
const boundsMs = Float64Array.from(durationBoundsMs)

export interface DurationFigures {
  readonly count: number
  readonly sumMs: number
  /** How many lie in each bucket, by its upper bound in milliseconds, or 'beyond'. Empty buckets are left out. */
  readonly buckets: Readonly<Record<string, number>>
}

export const noDurations: DurationFigures = Object.freeze({ count: 0, sumMs: 0, buckets: Object.freeze({}) })

export class DurationHistogram {
  readonly #counts = new Float64Array(boundsMs.length + 1)
  #sumMs = 0

  /** Whatever is not a duration counts as none. */
  count(ms: number): void {
    const duration = ms > 0 ? ms : 0
    let bucket = 0
    while (bucket < boundsMs.length && duration > boundsMs[bucket]!) bucket++
    this.#counts[bucket]!++
    this.#sumMs += duration
  }

  get figures(): DurationFigures {
    const buckets: Record<string, number> = {}
    let count = 0
    for (const [index, value] of this.#counts.entries()) {
      if (value === 0) continue
      buckets[nameOf(index)] = value
      count += value
    }
    return { count, sumMs: this.#sumMs, buckets }
  }
}

/** How many lie at or below each bound, as Prometheus counts; the last one is all. */
export function accumulate({ buckets }: DurationFigures): readonly number[] {
  let sum = 0
  return Array.from({ length: boundsMs.length + 1 }, (_, index) => (sum += buckets[nameOf(index)] ?? 0))
}

/** Below which `share` of them lie, ms: between the bounds of a bucket they are taken to lie evenly. -1 when there are none. */
export function estimateQuantile(figures: DurationFigures, share: number): number {
  const sums = accumulate(figures)
  const all = sums.at(-1) ?? 0
  if (all === 0) return -1
  const rank = share * all
  const bucket = sums.findIndex((sum) => sum >= rank && sum > 0)
  // Of what took longer than the last bound only that is known.
  if (bucket >= boundsMs.length) return boundsMs.at(-1) ?? 0
  const lower = bucket === 0 ? 0 : (boundsMs[bucket - 1] ?? 0)
  const upper = boundsMs[bucket] ?? 0
  const below = bucket === 0 ? 0 : (sums[bucket - 1] ?? 0)
  const inside = (sums[bucket] ?? 0) - below
  return Math.min(upper, lower + ((upper - lower) * (rank - below)) / inside)
}

function nameOf(bucket: number): string {
  return bucket < boundsMs.length ? String(boundsMs[bucket]) : beyondName
}

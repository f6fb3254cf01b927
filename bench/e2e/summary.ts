/**
 * From rounds to figures: median, smallest and largest of each figure over the rounds of one proxy in one workload, and the ratios
 * between proxies. Pure; formats nothing and measures nothing.
 */

/** What one round of one proxy gave. */
export interface Round {
  readonly requests: number
  readonly wallMicros: number
  readonly cpuMicrosPerRequest: number
  readonly userMicrosPerRequest: number
  readonly systemMicrosPerRequest: number
  readonly requestsPerSecond: number
  readonly p50Micros: number
  readonly p99Micros: number
  readonly p999Micros: number
  readonly residentBytes: number
  /** Share of the proxy's core that the proxy used. Well below 1: something else was the limit of requests per second. */
  readonly proxyCoreShare: number
  /** Share of the proxy's core that went to anything else; null when it shares its core with the load. */
  readonly foreignShare: number | null
  /** Share of the core of load generator and origin that was busy. */
  readonly loadCoreShare: number
  /** Share of both cores that the hypervisor gave to others. */
  readonly stolenShare: number
  readonly errors: number
  readonly errorText: string
}

export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

export type FigureName = {
  [Name in keyof Round]: Round[Name] extends number ? Name : never
}[keyof Round]

export function spread(values: readonly number[]): Spread {
  if (values.length === 0) throw new Error('a spread needs at least one value')
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
  return { median, min: sorted[0]!, max: sorted.at(-1)! }
}

export function spreadOf(rounds: readonly Round[], figure: FigureName): Spread {
  return spread(rounds.map((round) => round[figure]))
}

/**
 * Ratio round by round: the rounds of all proxies are interleaved, so round n of both had the same disturbances, and their quotient is
 * steadier than the quotient of two medians.
 */
export function ratioOf<Figure extends string>(
  rounds: readonly Readonly<Record<Figure, number>>[],
  yardstick: readonly Readonly<Record<Figure, number>>[],
  figure: Figure,
): Spread {
  return spread(rounds.map((round, index) => round[figure] / yardstick[index]![figure]))
}

/** What every kind of round has that tells of CPU. */
export interface CpuSample {
  readonly cpuMicrosPerRequest: number
  readonly errors: number
}

export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length)
}

/** Which cores do what, for so many workers. Pure. */

export interface CorePlan {
  /** One for each worker; null: everything shares all cores. */
  readonly workers: readonly number[] | null
  /** For wrk and the origins. */
  readonly load: readonly number[]
  /** How many origins, and how many threads of wrk. */
  readonly origins: number
}

/**
 * The load costs about as much as the proxy: it needs as many cores as there are workers, or the workers would wait for it. Where they are
 * not there nothing is pinned, so that all numbers of workers at least have the same conditions.
 */
export function planCores(allowed: readonly number[], workersMax: number): CorePlan {
  if (allowed.length < 2 * workersMax) return { workers: null, load: allowed, origins: 1 }
  const load = allowed.slice(workersMax)
  return { workers: allowed.slice(0, workersMax), load, origins: Math.max(1, load.length >> 1) }
}

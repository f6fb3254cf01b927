/**
 * The arithmetic of a limit, by the generic cell rate algorithm: `requests` in `perMs`, and `burst` at once. Time is counted in parts of a
 * millisecond such that a request costs a whole number of them: adding up whole numbers loses nothing, so a limit does not drift however long
 * it runs. Pure.
 */
import type { RateLimitOptions } from '../core/service-options.ts'

export class Rate {
  /** Units of time in a millisecond. */
  readonly unitsPerMs: number
  /** What one request costs. */
  readonly costUnits: number
  /** How far the account of a key may be ahead of the time when it asks for one more. */
  readonly leadUnits: number
  readonly burst: number

  constructor({ requests, perMs, burst }: Pick<RateLimitOptions, 'requests' | 'perMs' | 'burst'>) {
    const divisor = findDivisor(requests, perMs)
    this.unitsPerMs = requests / divisor
    this.costUnits = perMs / divisor
    this.leadUnits = (burst - 1) * this.costUnits
    this.burst = burst
  }

  toUnits(ms: number): number {
    return Math.floor(ms * this.unitsPerMs)
  }

  /** Of a key with this account: how many more requests it may make at once. */
  remaining(tat: number, now: number): number {
    return tat <= now ? this.burst : Math.max(0, Math.floor((this.leadUnits + this.costUnits - (tat - now)) / this.costUnits))
  }

  /** Until a key with this account may make another request. */
  retryAfterMs(tat: number, now: number): number {
    return Math.max(0, tat - this.leadUnits - now) / this.unitsPerMs
  }

  /** Until nothing is left on the account. */
  resetMs(tat: number, now: number): number {
    return Math.max(0, tat - now) / this.unitsPerMs
  }
}

/** Greatest common divisor; 1 where a number is not whole. */
function findDivisor(a: number, b: number): number {
  if (!Number.isInteger(a) || !Number.isInteger(b)) return 1
  let [larger, smaller] = [a, b]
  while (smaller > 0) [larger, smaller] = [smaller, larger % smaller]
  return Math.max(1, larger)
}

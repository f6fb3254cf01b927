/** Bounds how many lines a peer can make us log: so many a second, and a count of those that were left out. */
import type { Clock } from '../core/timers.ts'

const linesPerSecond = 50

export class LogBudget {
  readonly #clock: Clock
  #secondEndsAt = Number.NEGATIVE_INFINITY
  #left = 0
  #missed = 0
  /** Lines left out before the one that `take` has just allowed. */
  untold = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Whether one more line may be logged. */
  take(): boolean {
    const now = this.#clock.now()
    if (now >= this.#secondEndsAt) {
      this.#secondEndsAt = now + 1_000
      this.#left = linesPerSecond
    }
    if (this.#left === 0) {
      this.#missed++
      return false
    }
    this.#left--
    this.untold = this.#missed
    this.#missed = 0
    return true
  }
}

/** The time in the form of RFC 9110 section 5.6.7, made once a second. */
import type { Clock } from '../core/timers.ts'

export class HttpDate {
  readonly #clock: Clock
  #text = ''
  #validUntil = Number.NEGATIVE_INFINITY

  constructor(clock: Clock) {
    this.#clock = clock
  }

  now(): string {
    const now = this.#clock.now()
    if (now >= this.#validUntil) {
      const wall = this.#clock.wallNow()
      this.#text = new Date(wall).toUTCString()
      this.#validUntil = now + 1_000 - (wall % 1_000)
    }
    return this.#text
  }
}

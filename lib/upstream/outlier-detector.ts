/**
 * Judges one server by the outcomes of its exchanges: so many failures in a row, or too large a share of failures within a window, and it is
 * to be ejected for a while that doubles each time. After that while it is on trial: one failure is enough, until it has served once. It decides
 * only that and for how long; whether there is room for one more ejection, and what ejection means, is the group's. Memory: two numbers for each
 * tenth of the window.
 */
import type { OutlierOptions } from '../core/service-options.ts'

/** The window moves on by tenths of itself. */
const slotCount = 10

export class OutlierDetector {
  #options: OutlierOptions
  readonly #requests = new Uint32Array(slotCount)
  readonly #failures = new Uint32Array(slotCount)
  /** Number of the tenth that outcomes are counted in, since the beginning of time. */
  #slot = 0
  #inRow = 0
  /** How often its time out was doubled. */
  #doublings = 0
  /** It was ejected, and no exchange has gone well since: the next one decides. */
  #isOnTrial = false
  #outUntil = Number.NEGATIVE_INFINITY

  constructor(options: OutlierOptions) {
    this.#options = options
  }

  /** What was counted goes on counting, unless it was counted in other tenths. */
  update(options: OutlierOptions): void {
    if (options.windowMs !== this.#options.windowMs) this.#forget()
    this.#options = options
  }

  onSuccess(now: number): void {
    this.#inRow = 0
    this.#isOnTrial = false
    this.#count(now, 0)
  }

  /** Returns why the server is to be ejected, '' when it is not. */
  onFailure(now: number): string {
    const { consecutive, failureShare, requests } = this.#options
    this.#inRow++
    this.#count(now, 1)
    if (this.#isOnTrial) return 'it failed again after its ejection'
    if (this.#inRow >= consecutive) return `${this.#inRow} failures in a row`
    const seen = sum(this.#requests)
    const failed = sum(this.#failures)
    if (seen >= requests && failed > failureShare * seen) return `${failed} of ${seen} exchanges failed`
    return ''
  }

  /** It is ejected: says for how many ms. What was counted is forgotten. Each window that it has stayed in takes one doubling back. */
  eject(now: number): number {
    const { ejectMs, ejectMaxMs, windowMs } = this.#options
    if (this.#outUntil === Number.NEGATIVE_INFINITY) this.#doublings = 0
    else this.#doublings = Math.max(0, this.#doublings + 1 - Math.floor(Math.max(0, now - this.#outUntil) / windowMs))
    // Beyond 2^30 it is ejectMaxMs for any option.
    const ms = Math.min(ejectMaxMs, ejectMs * 2 ** Math.min(30, this.#doublings))
    this.#outUntil = now + ms
    this.#isOnTrial = true
    this.#forget()
    return ms
  }

  #forget(): void {
    this.#inRow = 0
    this.#requests.fill(0)
    this.#failures.fill(0)
  }

  #count(now: number, failures: number): void {
    const slot = Math.floor((now * slotCount) / this.#options.windowMs)
    // What is older than the window is emptied; after a long silence that is all of it.
    for (let old = Math.max(this.#slot + 1, slot - slotCount + 1); old <= slot; old++) {
      this.#requests[old % slotCount] = 0
      this.#failures[old % slotCount] = 0
    }
    this.#slot = slot
    this.#requests[slot % slotCount]!++
    this.#failures[slot % slotCount]! += failures
  }
}

function sum(counts: Uint32Array): number {
  let total = 0
  for (let i = 0; i < counts.length; i++) total += counts[i]!
  return total
}

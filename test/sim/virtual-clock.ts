/** Time that stands still until the simulation moves it. */
import type { Clock } from '../../lib/core/timers.ts'

interface Entry {
  readonly at: number
  readonly order: number
  readonly callback: () => void
}

export class VirtualClock implements Clock {
  #now = 1_000
  #order = 0
  readonly #entries = new Set<Entry>()
  readonly #deferred: (() => void)[] = []

  now(): number {
    return this.#now
  }

  refresh(): void {}

  wallNow(): number {
    return 1_700_000_000_000 + this.#now
  }

  schedule(ms: number, callback: () => void): () => void {
    const entry = { at: this.#now + ms, order: this.#order++, callback }
    this.#entries.add(entry)
    return () => this.#entries.delete(entry)
  }

  defer(callback: () => void): void {
    this.#deferred.push(callback)
  }

  get deferredCount(): number {
    return this.#deferred.length
  }

  /** Callbacks that wait for a time to come. */
  get scheduledCount(): number {
    return this.#entries.size
  }

  runDeferred(): void {
    for (const callback of this.#deferred.splice(0)) callback()
  }

  /** Moves time on, stopping at everything that is due on the way. */
  advance(ms: number): void {
    const until = this.#now + ms
    for (;;) {
      let next: Entry | undefined
      for (const entry of this.#entries) {
        if (entry.at <= until && (next === undefined || entry.at < next.at || (entry.at === next.at && entry.order < next.order)))
          next = entry
      }
      if (next === undefined) break
      this.#entries.delete(next)
      this.#now = Math.max(this.#now, next.at)
      next.callback()
    }
    this.#now = until
  }
}

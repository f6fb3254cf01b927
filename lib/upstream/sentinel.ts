/**
 * Watches over the connections to one upstream server: counts the signs that they are out of step and, when proofs repeat, puts the reuse
 * of connections in quarantine for a while. It decides only when; what quarantine means is the pool's. Memory: a number for each kind and a
 * time for each proof that is not yet one too many.
 */
import { desyncTable, zeroDesyncCounts, type DesyncCounts, type DesyncKind } from '../core/desync.ts'
import type { DesyncLimits } from '../core/options.ts'
import { Deadline, type DeadlineOwner, type TimerWheel } from '../core/timers.ts'

export class Sentinel implements DeadlineOwner {
  readonly #limits: DesyncLimits
  readonly #wheel: TimerWheel
  readonly #onEnd: () => void
  readonly #counts = zeroDesyncCounts()
  readonly #deadline: Deadline = new Deadline(this)
  /** When the proofs of the current window came, oldest first; fewer than `quarantineAfter`. */
  readonly #proofs: number[] = []
  #isQuarantined = false
  #isDisposed = false

  /** `onEnd`: a quarantine is over. */
  constructor(limits: DesyncLimits, wheel: TimerWheel, onEnd: () => void) {
    this.#limits = limits
    this.#wheel = wheel
    this.#onEnd = onEnd
  }

  get isQuarantined(): boolean {
    return this.#isQuarantined
  }

  get counts(): DesyncCounts {
    return { ...this.#counts }
  }

  /** Returns whether a quarantine begins with this. As many proofs again, while it is on, begin its time anew. */
  record(kind: DesyncKind): boolean {
    this.#counts[kind]++
    const { quarantineAfter, window, quarantine } = this.#limits
    if (quarantineAfter === 0 || this.#isDisposed || !desyncTable[kind].isEvidence) return false
    const now = this.#wheel.clock.now()
    while (this.#proofs.length > 0 && this.#proofs[0]! <= now - window) this.#proofs.shift()
    this.#proofs.push(now)
    if (this.#proofs.length < quarantineAfter) return false
    this.#proofs.length = 0
    this.#wheel.arm(this.#deadline, 'quarantine', quarantine)
    if (this.#isQuarantined) return false
    this.#isQuarantined = true
    return true
  }

  onDeadline(): void {
    this.#isQuarantined = false
    this.#onEnd()
  }

  /** Nothing of it stays in the wheel; from now on it only counts. */
  dispose(): void {
    this.#isDisposed = true
    this.#wheel.remove(this.#deadline)
  }
}

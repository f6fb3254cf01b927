/**
 * All deadlines of a proxy on one coarse wheel. Arming one is a few stores: a deadline that moves further away, as idle deadlines do with
 * every byte, is not touched in the wheel at all; its bucket finds out when its turn comes. Nothing fires early; it fires at most a tick
 * late. The clock is a parameter, so a simulation can turn the wheel by hand.
 */
import { performance } from 'node:perf_hooks'
import { assert } from './assert.ts'

export interface Clock {
  /** Monotonic milliseconds, as of the last `refresh`: one reading serves all that one event sets off. */
  now(): number
  /** Reads the time. Whoever is called by the event loop calls this first. */
  refresh(): void
  /** Milliseconds since the epoch. */
  wallNow(): number
  /** Calls back once, not before `ms` have passed. Returns what cancels it. */
  schedule(ms: number, callback: () => void): () => void
  /** Calls back when all input that is ready now has had its turn. */
  defer(callback: () => void): void
}

let systemNow = performance.now()

export const systemClock: Clock = Object.freeze({
  now: () => systemNow,
  refresh: () => {
    systemNow = performance.now()
  },
  wallNow: () => Date.now(),
  schedule: (ms: number, callback: () => void) => {
    // Open sockets keep the process alive, timers alone do not.
    const timer = setTimeout(() => {
      systemClock.refresh()
      callback()
    }, ms).unref()
    return () => clearTimeout(timer)
  },
  defer: (callback: () => void) => {
    setImmediate(() => {
      systemClock.refresh()
      callback()
    })
  },
})

export interface DeadlineOwner {
  onDeadline(deadline: Deadline): void
}

const tickMs = 100
const bucketCount = 512
const never = Number.POSITIVE_INFINITY

/** One deadline of one owner, re-armed for phase after phase. */
export class Deadline {
  readonly owner: DeadlineOwner
  /** What is waited for, '' when disarmed. */
  phase = ''
  /** When it is over, by the wheel's clock. */
  at = never
  // Links of the wheel.
  bucketTick = -1
  previous: Deadline | undefined = undefined
  next: Deadline | undefined = undefined
  constructor(owner: DeadlineOwner) {
    this.owner = owner
  }
  get isArmed(): boolean {
    return this.at !== never
  }
}

export interface WheelEvents {
  /** The loop was late by so many milliseconds. */
  onLag(ms: number): void
  /** An owner threw while its deadline was handled. */
  onFault(error: unknown): void
}

export class TimerWheel {
  readonly clock: Clock
  readonly #events: WheelEvents
  readonly #buckets: (Deadline | undefined)[] = Array.from({ length: bucketCount }, () => undefined)
  /** Deadlines in buckets, armed or not. */
  #linked = 0
  /** Ticks up to and including this one are done. */
  #doneTick: number
  #cancel: (() => void) | undefined

  constructor(clock: Clock, events: WheelEvents) {
    this.clock = clock
    this.#events = events
    this.#doneTick = Math.floor(clock.now() / tickMs)
  }

  /** Deadlines that hold a place in the wheel. */
  get size(): number {
    return this.#linked
  }

  /** Starts or moves a deadline: `ms` from now, for `phase`. */
  arm(deadline: Deadline, phase: string, ms: number): void {
    const at = this.clock.now() + ms
    deadline.phase = phase
    deadline.at = at
    if (deadline.bucketTick >= 0) {
      // The usual case: it is in a bucket that comes earlier, which will move it on.
      if (deadline.bucketTick <= this.#tickOf(at)) return
      this.#unlink(deadline)
    }
    this.#link(deadline)
  }

  /** Stops a deadline. Its place in the wheel is given up when its bucket comes. */
  disarm(deadline: Deadline): void {
    deadline.at = never
    deadline.phase = ''
  }

  /** Stops a deadline whose owner is going away: nothing of it stays behind. */
  remove(deadline: Deadline): void {
    this.disarm(deadline)
    if (deadline.bucketTick >= 0) this.#unlink(deadline)
  }

  /** Fires all that is due. */
  advance(): void {
    const now = this.clock.now()
    const due = Math.floor(now / tickMs)
    // After a long stop every bucket is looked at once, not once for every missed tick.
    let tick = Math.max(this.#doneTick + 1, due - bucketCount + 1)
    for (; tick <= due; tick++) {
      this.#doneTick = tick
      this.#sweep(tick, now)
    }
  }

  /** Nothing fires any more. */
  stop(): void {
    this.#cancel?.()
    this.#cancel = undefined
  }

  #sweep(tick: number, now: number): void {
    const index = tick % bucketCount
    // A deadline that is moved on never lands in the bucket that is being emptied (see #link), and an owner may remove any other.
    let deadline = this.#buckets[index]
    while (deadline !== undefined) {
      this.#unlink(deadline)
      if (deadline.at <= now) this.#fire(deadline)
      else if (deadline.at !== never) this.#link(deadline)
      deadline = this.#buckets[index]
    }
  }

  #fire(deadline: Deadline): void {
    deadline.at = never
    try {
      deadline.owner.onDeadline(deadline)
    } catch (error) {
      this.#events.onFault(error)
    }
  }

  /** The first tick at which a time has passed. */
  #tickOf(at: number): number {
    return Math.ceil(at / tickMs)
  }

  #link(deadline: Deadline): void {
    assert(deadline.bucketTick < 0, 'a deadline is linked twice')
    // What lies beyond the horizon waits in the last bucket and is moved on from there.
    const tick = Math.min(Math.max(this.#tickOf(deadline.at), this.#doneTick + 1), this.#doneTick + bucketCount - 1)
    const index = tick % bucketCount
    const first = this.#buckets[index]
    deadline.bucketTick = tick
    deadline.next = first
    if (first !== undefined) first.previous = deadline
    this.#buckets[index] = deadline
    if (this.#linked++ === 0) this.#run()
  }

  #unlink(deadline: Deadline): void {
    const { previous, next } = deadline
    if (previous === undefined) this.#buckets[deadline.bucketTick % bucketCount] = next
    else previous.next = next
    if (next !== undefined) next.previous = previous
    deadline.previous = undefined
    deadline.next = undefined
    deadline.bucketTick = -1
    this.#linked--
  }

  /** Ticks while there is something to wait for. */
  #run(): void {
    if (this.#cancel !== undefined) return
    const now = this.clock.now()
    const ms = Math.max(1, (this.#doneTick + 1) * tickMs - now)
    const expected = now + ms
    this.#cancel = this.clock.schedule(ms, () => {
      this.#cancel = undefined
      const lag = this.clock.now() - expected
      if (lag > 0) this.#events.onLag(lag)
      this.advance()
      if (this.#linked > 0) this.#run()
    })
  }
}

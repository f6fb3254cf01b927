/**
 * Keeps a schedule finer than the millisecond of node's timers without taking the core for itself: between two looks at the clock it
 * sleeps some ten microseconds in the kernel, where the origin on the same core gets its turn. Sockets are served after every look.
 */
const cell = new Int32Array(new SharedArrayBuffer(4))
const sleepMicrosMax = 50
const originNanos = process.hrtime.bigint()

export function nowMicros(): number {
  return Number(process.hrtime.bigint() - originNanos) / 1_000
}

/** Calls `tick` again and again until it returns null; otherwise it returns when the next thing is due. */
export function keepPace(tick: (now: number) => number | null): Promise<void> {
  return new Promise((resolve, reject) => {
    const turn = (): void => {
      try {
        const due = tick(nowMicros())
        if (due === null) return resolve()
        const left = Math.min(due - nowMicros(), sleepMicrosMax)
        if (left > 0) Atomics.wait(cell, 0, 0, left / 1_000)
        setImmediate(turn)
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)))
      }
    }
    setImmediate(turn)
  })
}

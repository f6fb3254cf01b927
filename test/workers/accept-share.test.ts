import assert from 'node:assert/strict'
import test from 'node:test'
import { AcceptShare } from '../../lib/workers/accept-share.ts'

/** A worker's end, under a clock that stands still until it is told to go on. */
class Bench {
  isHeld = false
  canHold = true
  readonly reports: number[] = []
  connections = 0
  #now = 0
  #timers: { readonly at: number; readonly callback: () => void }[] = []
  readonly share = new AcceptShare({
    hold: () => (this.isHeld = this.canHold),
    free: () => (this.isHeld = false),
    report: (connections) => this.reports.push(connections),
    schedule: (ms, callback) => this.#timers.push({ at: this.#now + ms, callback }),
  })

  /** As many as come before it holds. */
  accept(count: number): number {
    let accepted = 0
    for (; accepted < count && !this.isHeld; accepted++) this.share.onConnections(++this.connections)
    return accepted
  }

  close(count: number): void {
    for (let closed = 0; closed < count; closed++) this.share.onConnections(--this.connections)
  }

  pass(ms: number): void {
    this.#now += ms
    for (;;) {
      const due = this.#timers.filter(({ at }) => at <= this.#now)
      if (due.length === 0) return
      this.#timers = this.#timers.filter((timer) => !due.includes(timer))
      for (const { callback } of due) callback()
    }
  }
}

test('a burst is not taken as a whole, and goes on as siblings take their part', () => {
  const bench = new Bench()
  assert.equal(bench.accept(100), 5)
  assert.equal(bench.reports.at(-1), 5)
  bench.share.onLevel(5)
  assert.equal(bench.isHeld, false)
  assert.equal(bench.accept(100), 5)
  bench.share.onLevel(80)
  assert.equal(bench.accept(100), 81)
  assert.ok(bench.connections <= 80 * 1.15)
})

test('when nobody takes what is left to them, it goes on, and waits less and less readily', () => {
  const bench = new Bench()
  const taken: number[] = []
  for (let turn = 0; turn < 6; turn++) {
    taken.push(bench.accept(1_000))
    bench.pass(10)
    assert.equal(bench.isHeld, false)
  }
  assert.deepEqual(taken, [5, 4, 4, 8, 16, 32])
  // Somebody has caught up: the patience of the beginning.
  bench.share.onLevel(bench.connections)
  bench.share.onLevel(0)
  assert.equal(bench.accept(1_000), 1)
})

test('a lead that becomes smaller, because clients go, ends the wait', () => {
  const bench = new Bench()
  bench.accept(5)
  assert.ok(bench.isHeld)
  bench.close(1)
  assert.equal(bench.isHeld, false)
})

test('a crowd that leaves is no reason to take the next one as a whole', () => {
  const bench = new Bench()
  bench.share.onLevel(100)
  bench.accept(100)
  bench.share.onBeat()
  bench.share.onBeat()
  bench.close(100)
  bench.share.onLevel(0)
  const taken: number[] = []
  for (let turn = 0; turn < 7; turn++) {
    taken.push(bench.accept(1_000))
    bench.pass(10)
  }
  assert.deepEqual(taken, [5, 4, 4, 8, 16, 32, 64])
})

test('with no siblings nothing is held', () => {
  const bench = new Bench()
  bench.share.onLevel(Number.MAX_SAFE_INTEGER)
  assert.equal(bench.accept(10_000), 10_000)
})

test('where connections go as fast as they come, nothing is held and little is told', () => {
  const bench = new Bench()
  bench.share.onLevel(60)
  bench.accept(60)
  for (let turn = 0; turn < 10; turn++) {
    bench.close(32)
    bench.accept(32)
    bench.pass(5)
  }
  const told = bench.reports.length
  bench.share.onLevel(0)
  for (let turn = 0; turn < 100; turn++) {
    bench.close(32)
    assert.equal(bench.accept(32), 32)
    bench.pass(5)
  }
  assert.equal(bench.reports.length, told)
  // They stay again: after a second without a crowd there is a lead again.
  bench.share.onBeat()
  bench.share.onBeat()
  assert.equal(bench.accept(32), 1)
})

test('where it cannot be held, it is not', () => {
  const bench = new Bench()
  bench.canHold = false
  assert.equal(bench.accept(50), 50)
})

test('counts are told at most every 2 ms, the last one always', () => {
  const bench = new Bench()
  bench.share.onLevel(1_000)
  bench.accept(1_000)
  assert.equal(bench.reports.length, 1)
  bench.pass(2)
  assert.equal(bench.reports.length, 2)
  assert.equal(bench.reports.at(-1), 1_000)
  bench.pass(2)
  assert.equal(bench.reports.length, 2)
})

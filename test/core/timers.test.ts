/**
 * The wheel on a clock that only the test moves: single behaviours first, then any sequence of calls against a list of deadlines that is
 * searched from end to end. A tick is 100 ms, the wheel has 512 of them.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Deadline, systemClock, TimerWheel, type Clock, type DeadlineOwner } from '../../lib/core/timers.ts'
import { VirtualClock } from '../sim/virtual-clock.ts'

const tickMs = 100
const horizonMs = 512 * tickMs

/** Virtual time in which the event loop can be kept busy: nothing is called back before it is free again. */
class StallingClock implements Clock {
  readonly #time = new VirtualClock()
  readonly #late: (() => void)[] = []
  #isStalled = false
  /** The loop was free again at this time. */
  freeSince = Number.NEGATIVE_INFINITY

  now(): number {
    return this.#time.now()
  }

  refresh(): void {}

  wallNow(): number {
    return this.#time.wallNow()
  }

  schedule(ms: number, callback: () => void): () => void {
    let isCancelled = false
    const cancel = this.#time.schedule(ms, () => {
      if (this.#isStalled) {
        this.#late.push(() => {
          if (!isCancelled) callback()
        })
      } else callback()
    })
    return () => {
      isCancelled = true
      cancel()
    }
  }

  defer(callback: () => void): void {
    this.#time.defer(callback)
  }

  get scheduledCount(): number {
    return this.#time.scheduledCount
  }

  advance(ms: number): void {
    this.#time.advance(ms)
  }

  stall(ms: number): void {
    this.#isStalled = true
    this.#time.advance(ms)
    this.#isStalled = false
    this.freeSince = this.now()
    for (const callback of this.#late.splice(0)) callback()
  }
}

interface Firing {
  readonly name: string
  readonly at: number
}

/** A wheel and what came out of it. */
class WheelBench {
  readonly clock = new StallingClock()
  readonly wheel: TimerWheel
  readonly fired: Firing[] = []
  readonly faults: unknown[] = []
  readonly lags: number[] = []

  /** The wheel is made so long after a whole tick. */
  constructor(offsetMs = 0) {
    this.clock.advance(offsetMs)
    this.wheel = new TimerWheel(this.clock, { onLag: (ms) => void this.lags.push(ms), onFault: (error) => void this.faults.push(error) })
  }

  deadline(name: string, react: (deadline: Deadline) => void = () => {}): Deadline {
    const owner: DeadlineOwner = {
      onDeadline: (deadline) => {
        this.fired.push({ name, at: this.clock.now() })
        react(deadline)
      },
    }
    return new Deadline(owner)
  }

  get names(): string[] {
    return this.fired.map(({ name }) => name)
  }
}

test('a deadline fires once, not before its time and less than a tick after it, whenever the wheel was made', () => {
  for (const offsetMs of [0, 1, 50, 99]) {
    for (const ms of [1, 49, 50, 51, 99, 100, 101, 199, 5_000, horizonMs - 1]) {
      const bench = new WheelBench(offsetMs)
      const start = bench.clock.now()
      bench.wheel.arm(bench.deadline('a'), 'idle', ms)
      bench.clock.advance(2 * horizonMs)
      assert.equal(bench.fired.length, 1, `${ms} ms at ${start}`)
      const lateMs = bench.fired[0]!.at - (start + ms)
      assert(lateMs >= 0 && lateMs < tickMs, `${ms} ms at ${start}: ${lateMs} ms late`)
    }
  }
})

test('a deadline of no time fires with the next tick', () => {
  const bench = new WheelBench()
  bench.wheel.arm(bench.deadline('a'), 'idle', 0)
  assert.deepEqual(bench.names, [])
  bench.clock.advance(tickMs)
  assert.deepEqual(bench.names, ['a'])
})

test('a deadline far beyond the horizon of the wheel is on time', () => {
  for (const ms of [horizonMs, horizonMs + 1, 3 * horizonMs + 30, 24 * 3_600_000]) {
    const bench = new WheelBench()
    const start = bench.clock.now()
    bench.wheel.arm(bench.deadline('a'), 'idle', ms)
    bench.clock.advance(ms - 1)
    assert.deepEqual(bench.names, [])
    bench.clock.advance(tickMs)
    assert.equal(bench.fired.length, 1)
    assert(bench.fired[0]!.at >= start + ms)
  }
})

test('a deadline that moves away keeps its place in the wheel until its bucket comes, and fires only at its last time', () => {
  const bench = new WheelBench()
  const deadline = bench.deadline('a')
  bench.wheel.arm(deadline, 'idle', 1_000)
  const { bucketTick } = deadline
  for (let i = 0; i < 50; i++) {
    bench.clock.advance(10)
    bench.wheel.arm(deadline, 'idle', 1_000)
    assert.equal(deadline.bucketTick, bucketTick)
  }
  bench.clock.advance(999)
  assert.deepEqual(bench.fired, [])
  assert.notEqual(deadline.bucketTick, bucketTick)
  bench.clock.advance(tickMs)
  assert.deepEqual(bench.names, ['a'])
})

test('a deadline that is moved to an earlier time fires then, and not again at the later one', () => {
  const bench = new WheelBench()
  const deadline = bench.deadline('a')
  bench.wheel.arm(deadline, 'keepAlive', 60_000)
  bench.wheel.arm(deadline, 'requestHead', 200)
  assert.equal(deadline.phase, 'requestHead')
  bench.clock.advance(300)
  assert.deepEqual(bench.names, ['a'])
  bench.clock.advance(2 * horizonMs)
  assert.deepEqual(bench.names, ['a'])
  assert.equal(bench.wheel.size, 0)
})

test('the owner reads in `phase` what was waited for, and may arm the next phase at once', () => {
  const bench = new WheelBench()
  const phases: string[] = []
  const deadline = bench.deadline('a', (fired) => {
    phases.push(fired.phase)
    assert.equal(fired.isArmed, false)
    if (fired.phase === 'first') bench.wheel.arm(fired, 'second', 500)
  })
  bench.wheel.arm(deadline, 'first', 500)
  bench.clock.advance(600)
  assert(deadline.isArmed)
  bench.clock.advance(600)
  assert.deepEqual(phases, ['first', 'second'])
  assert.equal(bench.wheel.size, 0)
})

test('a deadline that is disarmed does not fire; its place is given up when its bucket comes', () => {
  const bench = new WheelBench()
  const deadline = bench.deadline('a')
  bench.wheel.arm(deadline, 'idle', 1_000)
  bench.wheel.disarm(deadline)
  assert.equal(deadline.isArmed, false)
  assert.equal(deadline.phase, '')
  assert.equal(bench.wheel.size, 1)
  bench.clock.advance(1_100)
  assert.equal(bench.wheel.size, 0)
  assert.deepEqual(bench.fired, [])
})

test('a deadline that is removed is gone at once; to remove it again, or one that was never armed, does nothing', () => {
  const bench = new WheelBench()
  const deadlines = ['a', 'b', 'c'].map((name) => bench.deadline(name))
  for (const deadline of deadlines) bench.wheel.arm(deadline, 'idle', 1_000)
  const [, second] = deadlines
  bench.wheel.remove(second!)
  bench.wheel.remove(second!)
  bench.wheel.remove(bench.deadline('never armed'))
  assert.equal(bench.wheel.size, 2)
  bench.clock.advance(2_000)
  assert.deepEqual(bench.names.sort(), ['a', 'c'])
})

test('an owner may remove, disarm and arm others of the same bucket while it is called', () => {
  const bench = new WheelBench()
  const others = new Map<string, Deadline>()
  let turn = 0
  const react = (self: string): void => {
    if (turn++ > 0) return
    const [removed, disarmed, moved] = [...others.keys()].filter((name) => name !== self).map((name) => others.get(name)!)
    bench.wheel.remove(removed!)
    bench.wheel.disarm(disarmed!)
    bench.wheel.arm(moved!, 'idle', 5_000)
  }
  for (const name of ['a', 'b', 'c', 'd']) {
    const deadline = bench.deadline(name, () => react(name))
    others.set(name, deadline)
    bench.wheel.arm(deadline, 'idle', 1_000)
  }
  bench.clock.advance(1_000)
  assert.equal(bench.fired.length, 1)
  bench.clock.advance(4_999)
  assert.equal(bench.fired.length, 1)
  bench.clock.advance(tickMs)
  assert.equal(bench.fired.length, 2)
  assert.equal(bench.wheel.size, 0)
})

test('an owner that throws is reported; the others still fire and the wheel goes on', () => {
  const bench = new WheelBench()
  const error = new Error('the fault of one owner')
  bench.wheel.arm(bench.deadline('a'), 'idle', 1_000)
  bench.wheel.arm(
    bench.deadline('b', () => {
      throw error
    }),
    'idle',
    1_000,
  )
  bench.wheel.arm(bench.deadline('c'), 'idle', 1_000)
  bench.wheel.arm(bench.deadline('d'), 'idle', 2_000)
  bench.clock.advance(2_000)
  assert.deepEqual(bench.names.sort(), ['a', 'b', 'c', 'd'])
  assert.deepEqual(bench.faults, [error])
  assert.equal(bench.wheel.size, 0)
})

test('after the loop has stood still, all that was due fires at once, and nothing else', () => {
  for (const stallMs of [1_000, horizonMs, 10 * horizonMs + 37]) {
    const bench = new WheelBench()
    for (let i = 0; i < 100; i++) bench.wheel.arm(bench.deadline(`due ${i}`), 'idle', 1 + Math.floor((i * (stallMs - 1)) / 100))
    bench.wheel.arm(bench.deadline('later'), 'idle', stallMs + 50)
    bench.clock.stall(stallMs)
    assert.equal(bench.fired.length, 100)
    assert(bench.fired.every(({ at }) => at === bench.clock.now()))
    assert.equal(bench.lags.length, 1)
    bench.clock.advance(2 * tickMs)
    assert.equal(bench.names.at(-1), 'later')
    assert.equal(bench.wheel.size, 0)
  }
})

test('a loop that is on time reports no lag', () => {
  const bench = new WheelBench(33)
  bench.wheel.arm(bench.deadline('a'), 'idle', 3 * horizonMs)
  bench.clock.advance(4 * horizonMs)
  assert.deepEqual(bench.lags, [])
})

test('nothing is scheduled while nothing is linked, and a wheel that has stood empty for long starts again', () => {
  const bench = new WheelBench()
  assert.equal(bench.clock.scheduledCount, 0)
  for (let round = 0; round < 3; round++) {
    const start = bench.clock.now()
    bench.wheel.arm(bench.deadline('a'), 'idle', 250)
    assert.equal(bench.clock.scheduledCount, 1)
    bench.clock.advance(249)
    assert.equal(bench.fired.length, round)
    bench.clock.advance(tickMs)
    assert.equal(bench.fired.length, round + 1)
    assert(bench.fired.at(-1)!.at >= start + 250)
    bench.clock.advance(tickMs)
    assert.equal(bench.clock.scheduledCount, 0)
    bench.clock.advance(round * 7 * horizonMs)
  }
  const removed = bench.deadline('removed')
  bench.wheel.arm(removed, 'idle', 60_000)
  bench.wheel.remove(removed)
  bench.clock.advance(tickMs)
  assert.equal(bench.clock.scheduledCount, 0)
})

test('a wheel that was stopped fires nothing and leaves nothing scheduled', () => {
  const bench = new WheelBench()
  bench.wheel.arm(bench.deadline('a'), 'idle', 1_000)
  bench.wheel.stop()
  bench.wheel.stop()
  assert.equal(bench.clock.scheduledCount, 0)
  bench.clock.advance(10_000)
  assert.deepEqual(bench.fired, [])
})

test('the clock of the system calls back when it said, unless it is cancelled', async () => {
  systemClock.refresh()
  const start = systemClock.now()
  const cancel = systemClock.schedule(1, () => assert.fail('it was cancelled'))
  cancel()
  // A timer of the system alone does not keep the process alive.
  const alive = setInterval(() => {}, 1_000)
  await new Promise<void>((resolve) => void systemClock.schedule(20, resolve))
  clearInterval(alive)
  // The loop counts whole milliseconds.
  assert(systemClock.now() - start >= 19)
  await new Promise<void>((resolve) => systemClock.defer(resolve))
})

// Any sequence of calls

type Act =
  | { readonly kind: 'arm'; readonly index: number; readonly ms: number }
  | { readonly kind: 'disarm'; readonly index: number }
  | { readonly kind: 'remove'; readonly index: number }
  | { readonly kind: 'throw' }

const deadlineCount = 6

/** What should happen: each deadline with its time, looked through from end to end. */
class DeadlineList {
  readonly #times = new Map<number, { readonly at: number; readonly phase: string }>()

  arm(index: number, at: number, phase: string): void {
    this.#times.set(index, { at, phase })
  }

  drop(index: number): void {
    this.#times.delete(index)
  }

  timeOf(index: number): { readonly at: number; readonly phase: string } | undefined {
    return this.#times.get(index)
  }

  get count(): number {
    return this.#times.size
  }

  dueBy(time: number): number[] {
    return [...this.#times].filter(([, { at }]) => at <= time).map(([index]) => index)
  }
}

/** The wheel beside the list: every call goes to both, every firing is judged by the list. */
class JudgedWheel {
  readonly bench: WheelBench
  readonly #list = new DeadlineList()
  readonly #deadlines: Deadline[]
  /** What an owner does when it is called. */
  readonly reactions: Act[][] = Array.from({ length: deadlineCount }, () => [])
  #phases = 0
  #throws = 0

  constructor(offsetMs: number) {
    this.bench = new WheelBench(offsetMs)
    this.#deadlines = Array.from({ length: deadlineCount }, (_, index) =>
      this.bench.deadline(String(index), (deadline) => this.#onFire(index, deadline)),
    )
  }

  perform(act: Act): void {
    const { wheel, clock } = this.bench
    switch (act.kind) {
      case 'arm': {
        const phase = `phase ${this.#phases++}`
        wheel.arm(this.#deadlines[act.index]!, phase, act.ms)
        return this.#list.arm(act.index, clock.now() + act.ms, phase)
      }
      case 'disarm':
        wheel.disarm(this.#deadlines[act.index]!)
        return this.#list.drop(act.index)
      case 'remove': {
        const deadline = this.#deadlines[act.index]!
        const { size } = wheel
        const wasLinked = deadline.bucketTick >= 0
        wheel.remove(deadline)
        assert.equal(wheel.size, size - (wasLinked ? 1 : 0))
        return this.#list.drop(act.index)
      }
      case 'throw':
        this.#throws++
        throw new Error('the fault of an owner')
    }
  }

  judge(): void {
    const { wheel, clock, faults } = this.bench
    assert.equal(faults.length, this.#throws, String(faults.at(-1)))
    assert.deepEqual(this.#list.dueBy(clock.now() - tickMs), [], 'these should have fired')
    assert(wheel.size >= this.#list.count && wheel.size <= deadlineCount)
    assert(clock.scheduledCount <= 1, 'one call is scheduled at most')
    if (wheel.size > 0) assert.equal(clock.scheduledCount, 1, 'nothing would turn the wheel')
    for (const [index, deadline] of this.#deadlines.entries()) {
      const expected = this.#list.timeOf(index)
      assert.equal(deadline.isArmed, expected !== undefined)
      if (expected === undefined) continue
      assert.equal(deadline.at, expected.at)
      assert.equal(deadline.phase, expected.phase)
    }
  }

  /** All that is armed fires or is taken back: nothing may stay. */
  judgeEnd(): void {
    const { wheel, clock } = this.bench
    for (const reaction of this.reactions) reaction.length = 0
    for (let index = 0; index < deadlineCount; index += 2) this.perform({ kind: 'disarm', index })
    for (let round = 0; round < 100 && wheel.size > 0; round++) {
      clock.advance(horizonMs)
      this.judge()
    }
    assert.equal(this.#list.count, 0)
    assert.equal(wheel.size, 0)
    clock.advance(tickMs)
    assert.equal(clock.scheduledCount, 0)
  }

  #onFire(index: number, deadline: Deadline): void {
    const { clock, faults } = this.bench
    const expected = this.#list.timeOf(index)
    try {
      assert(expected !== undefined, `${index} fires and is not armed`)
      assert.equal(deadline.phase, expected.phase)
      assert(clock.now() >= expected.at, `${index} fires ${expected.at - clock.now()} ms early`)
      const lateMs = clock.now() - Math.max(expected.at, clock.freeSince)
      assert(lateMs <= tickMs, `${index} fires ${lateMs} ms late`)
    } catch (error) {
      // The wheel keeps what its owners throw: here it comes out.
      faults.push(error)
    }
    this.#list.drop(index)
    // Once: an owner that arms itself with every call would never come to an end.
    for (const act of this.reactions[index]!.splice(0)) this.perform(act)
  }
}

class ActCommand implements fc.Command<object, JudgedWheel> {
  readonly act: Act
  constructor(act: Act) {
    this.act = act
  }
  check(): boolean {
    return true
  }
  run(_model: object, wheel: JudgedWheel): void {
    wheel.perform(this.act)
    wheel.judge()
  }
  toString(): string {
    return JSON.stringify(this.act)
  }
}

class ReactCommand implements fc.Command<object, JudgedWheel> {
  readonly index: number
  readonly acts: readonly Act[]
  constructor(index: number, acts: readonly Act[]) {
    this.index = index
    this.acts = acts
  }
  check(): boolean {
    return true
  }
  run(_model: object, wheel: JudgedWheel): void {
    wheel.reactions[this.index]!.push(...this.acts)
  }
  toString(): string {
    return `on ${this.index}: ${JSON.stringify(this.acts)}`
  }
}

class PassCommand implements fc.Command<object, JudgedWheel> {
  readonly how: 'advance' | 'stall'
  readonly ms: number
  constructor(how: 'advance' | 'stall', ms: number) {
    this.how = how
    this.ms = ms
  }
  check(): boolean {
    return true
  }
  run(_model: object, wheel: JudgedWheel): void {
    wheel.bench.clock[this.how](this.ms)
    wheel.judge()
  }
  toString(): string {
    return `${this.how}(${this.ms})`
  }
}

test('whatever is armed, moved, disarmed and removed, inside callbacks too, fires as a list of all deadlines says', () => {
  const index = fc.nat(deadlineCount - 1)
  const ms = fc.oneof(
    fc.nat(300),
    fc.nat(5_000),
    fc.nat(4 * horizonMs),
    fc.nat(600).map((ticks) => ticks * tickMs),
  )
  const call = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('arm' as const), index, ms }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('disarm' as const), index }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('remove' as const), index }) },
  )
  const reaction = fc.tuple(fc.array(call, { maxLength: 3 }), fc.boolean())
  const commands = fc.commands<object, JudgedWheel>(
    [
      call.map((act) => new ActCommand(act)),
      fc.tuple(index, reaction).map(([i, [acts, fails]]) => new ReactCommand(i, fails ? [...acts, { kind: 'throw' }] : acts)),
      ms.map((time) => new PassCommand('advance', time)),
      ms.map((time) => new PassCommand('stall', time)),
    ],
    { maxCommands: 60, size: 'max' },
  )
  fc.assert(
    fc.property(fc.nat(tickMs), commands, (offsetMs, sequence) => {
      const wheel = new JudgedWheel(offsetMs)
      fc.modelRun(() => ({ model: {}, real: wheel }), sequence)
      wheel.judgeEnd()
    }),
    { numRuns: 1_000 },
  )
})

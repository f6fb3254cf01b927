/** What a peer can make us write: so many lines a second, and nothing is left out untold. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { LogBudget } from '../../lib/observe/log-budget.ts'
import { VirtualClock } from '../sim/virtual-clock.ts'

const linesPerSecond = 50

function takeAll(budget: LogBudget, times: number): number {
  let taken = 0
  for (let i = 0; i < times; i++) if (budget.take()) taken++
  return taken
}

test('fifty lines a second may be logged, and no more', () => {
  const clock = new VirtualClock()
  const budget = new LogBudget(clock)
  assert.equal(takeAll(budget, 1_000), linesPerSecond)
  clock.advance(999)
  assert.equal(takeAll(budget, 1_000), 0)
  clock.advance(1)
  assert.equal(takeAll(budget, 1_000), linesPerSecond)
})

test('the first line after a gap tells how many were left out, the next one tells of none', () => {
  const clock = new VirtualClock()
  const budget = new LogBudget(clock)
  assert(budget.take())
  assert.equal(budget.untold, 0)
  takeAll(budget, linesPerSecond - 1 + 7)
  clock.advance(1_000)
  assert(budget.take())
  assert.equal(budget.untold, 7)
  assert(budget.take())
  assert.equal(budget.untold, 0)
})

test('what was left out in several seconds is told together', () => {
  const clock = new VirtualClock()
  const budget = new LogBudget(clock)
  takeAll(budget, linesPerSecond + 3)
  clock.advance(10_000)
  assert(budget.take())
  assert.equal(budget.untold, 3)
  takeAll(budget, linesPerSecond - 1 + 5)
  clock.advance(60_000)
  assert(budget.take())
  assert.equal(budget.untold, 5)
})

test('an unused second is not saved for the next', () => {
  const clock = new VirtualClock()
  const budget = new LogBudget(clock)
  budget.take()
  clock.advance(3_600_000)
  assert.equal(takeAll(budget, 1_000), linesPerSecond)
})

test('whatever the pace, lines logged and lines told of add up, and two seconds hold no more than two budgets', () => {
  const step = fc.record({ ms: fc.nat(700), lines: fc.nat(80) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const clock = new VirtualClock()
      const budget = new LogBudget(clock)
      const loggedAt: number[] = []
      let asked = 0
      let told = 0
      for (const { ms, lines } of steps) {
        clock.advance(ms)
        for (let i = 0; i < lines; i++) {
          asked++
          if (!budget.take()) continue
          loggedAt.push(clock.now())
          told += budget.untold
        }
      }
      clock.advance(1_000)
      assert(budget.take())
      assert.equal(loggedAt.length + told + budget.untold, asked)
      for (const [i, at] of loggedAt.entries()) {
        const after = loggedAt[i + 2 * linesPerSecond]
        assert(after === undefined || after - at >= 1_000)
      }
    }),
  )
})

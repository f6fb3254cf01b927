/** The budget against a model: whatever begins, fails and ends, retries stay within their share, and are refused only when that is used up. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RetryBudget } from '../../lib/upstream/retry-budget.ts'

const steps = fc.array(
  fc.oneof({ weight: 3, arbitrary: fc.constant('begin') }, { weight: 4, arbitrary: fc.constant('fail') }, fc.constant('end')),
  {
    maxLength: 300,
  },
)

test('retries are at most the share of what is active, or the minimum, and no retry within that is refused', () => {
  fc.assert(
    fc.property(steps, fc.double({ min: 0, max: 1, noNaN: true }), fc.integer({ min: 0, max: 5 }), (taken, share, minimum) => {
      const budget = new RetryBudget()
      /** Of each active exchange: whether it is in another attempt. */
      const exchanges: boolean[] = []
      let denied = 0
      for (const [index, step] of taken.entries()) {
        const retrying = exchanges.filter((isRetrying) => isRetrying).length
        if (step === 'begin') exchanges.push(false)
        else if (step === 'end') exchanges.splice(index % Math.max(1, exchanges.length), 1)
        else {
          const candidate = exchanges.indexOf(false)
          if (candidate < 0) continue
          const isAdmitted = budget.admit(exchanges.length, retrying, share, minimum)
          if (isAdmitted) {
            exchanges[candidate] = true
            assert.ok(retrying + 1 <= Math.max(minimum, Math.ceil(share * exchanges.length)))
          } else {
            denied++
            assert.ok(retrying + 1 > minimum && retrying + 1 > share * exchanges.length)
          }
        }
      }
      assert.equal(budget.stats.retriesDeniedTotal, denied)
    }),
  )
})

test('a share without bound admits everything, also with nothing else active', () => {
  const budget = new RetryBudget()
  assert.ok(budget.admit(1, 0, Infinity, 0))
  assert.ok(budget.admit(3, 3, Infinity, 0))
})

test('retries are counted by their reason', () => {
  const budget = new RetryBudget()
  budget.count('status')
  budget.count('status')
  budget.count('connect')
  assert.deepEqual(budget.stats.retriesTotal, { connect: 1, stale: 0, closed: 0, timeout: 0, status: 2 })
})

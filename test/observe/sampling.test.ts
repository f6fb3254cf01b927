/** Which exchanges have a line when not all have. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatExchangeId } from '../../lib/exchange/facts.ts'
import { hashId, Sampling } from '../../lib/observe/sampling.ts'
import { summaryOf } from '../support/exchange-summary.ts'

test('takes every exchange at 1, and none that ended well at 0', () => {
  fc.assert(
    fc.property(fc.string(), (id) => {
      assert.equal(new Sampling(1).takes(summaryOf({ id })), true)
      assert.equal(new Sampling(0).takes(summaryOf({ id })), false)
    }),
  )
})

test('always takes what ended other than well', () => {
  const sampling = new Sampling(0)
  assert.equal(sampling.takes(summaryOf({ status: 500 })), true)
  assert.equal(sampling.takes(summaryOf({ status: 503, termination: '--' })), true)
  assert.equal(sampling.takes(summaryOf({ status: 400, termination: 'PR' })), true)
  assert.equal(sampling.takes(summaryOf({ status: 0, termination: 'CD' })), true)
  assert.equal(sampling.takes(summaryOf({ status: 404 })), false)
})

test('takes the share that was asked for of the ids of one process, and of ids made at random', () => {
  const count = 50_000
  // So many draws lie within five deviations but once in two million times; these are the same ids in every run.
  const deviations = 5
  const random = Array.from({ length: count }, (_, index) => `${hashId(`seed-${index}`).toString(16)}-${index % 7}`)
  const counted = Array.from({ length: count }, (_, index) => formatExchangeId('a1b2c3-', index))
  for (const ids of [counted, random]) {
    for (const share of [0.01, 0.1, 0.5, 0.9]) {
      const sampling = new Sampling(share)
      const taken = ids.filter((id) => sampling.takes(summaryOf({ id }))).length
      const allowed = deviations * Math.sqrt(count * share * (1 - share))
      assert.ok(Math.abs(taken - count * share) < allowed, `${taken} of ${count} at ${share}`)
    }
  }
})

test('takes at a larger share what it takes at a smaller one, on every machine', () => {
  fc.assert(
    fc.property(
      fc.string({ minLength: 1 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (id, a, b) => {
        const few = new Sampling(Math.min(a, b)).takes(summaryOf({ id }))
        const many = new Sampling(Math.max(a, b)).takes(summaryOf({ id }))
        assert.ok(many || !few)
      },
    ),
  )
  // Written down, so that another version or another machine that decides otherwise is noticed.
  assert.deepEqual(
    ['', 'a', 'k3f9-1a2b', '4bf92f3577b34da6a3ce929d0e0e4736'].map(hashId),
    [2_872_998_923, 444_641_715, 4_223_934_009, 3_785_779_378],
  )
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { accumulate, durationBoundsMs, DurationHistogram, estimateQuantile, noDurations } from '../../lib/observe/duration-histogram.ts'

function histogramOf(durations: readonly number[]): DurationHistogram {
  const histogram = new DurationHistogram()
  for (const ms of durations) histogram.count(ms)
  return histogram
}

test('a duration is counted at the first bound that it does not exceed', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 100_000, noNaN: true })), (durations) => {
      const { figures } = histogramOf(durations)
      const expected = [...durationBoundsMs, Infinity].map((bound) => durations.filter((ms) => ms <= bound).length)
      assert.deepEqual(accumulate(figures), expected)
      assert.equal(figures.count, durations.length)
    }),
  )
})

test('a clock that goes back counts as no time', () => {
  const { figures } = histogramOf([-5, Number.NaN, 0])
  assert.equal(figures.count, 3)
  assert.equal(figures.sumMs, 0)
})

test('buckets without a duration are left out', () => {
  assert.deepEqual(histogramOf([0.7, 0.8, 70_000]).figures, { count: 3, sumMs: 70_001.5, buckets: { 1: 2, beyond: 1 } })
  assert.deepEqual(histogramOf([]).figures, noDurations)
})

test('a quantile lies in the bucket of the duration with that rank', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0, max: 60_000, noNaN: true }), { minLength: 1 }),
      fc.double({ min: 0.01, max: 1, noNaN: true }),
      (durations, share) => {
        const sorted = [...durations].sort((a, b) => a - b)
        const exact = sorted[Math.ceil(share * sorted.length) - 1]!
        const estimate = estimateQuantile(histogramOf(durations).figures, share)
        const upper = durationBoundsMs.find((bound) => exact <= bound)!
        const lower = durationBoundsMs.findLast((bound) => bound < upper) ?? 0
        assert.ok(estimate >= lower && estimate <= upper, `${estimate} for ${exact}, which lies from ${lower} to ${upper}`)
      },
    ),
  )
})

test('there is no quantile of nothing, and none beyond the last bound', () => {
  assert.equal(estimateQuantile(noDurations, 0.5), -1)
  assert.equal(estimateQuantile(histogramOf([3_600_000]).figures, 0.5), 60_000)
})

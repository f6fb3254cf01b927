import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FigureHistory, type Sample } from '../../lib/admin/figures.ts'
import { Counters } from '../../lib/observe/counters.ts'
import { noStats } from '../../lib/workers/group-stats.ts'

/** What a proxy would tell after so many exchanges of 8 ms, of which some failed. */
function sampleOf(at: number, exchanges: number, failures = 0): Sample {
  const counters = new Counters()
  for (let index = 0; index < exchanges; index++) {
    const isFailure = index < failures
    counters.countExchange(counters.route(''), isFailure ? 502 : 200, isFailure ? 'SC' : '--', '', 100, 1_000, 1, 2, 5, 8)
  }
  return { at, stats: { ...noStats, exchangesTotal: exchanges, cpuMsTotal: exchanges, counters: counters.figures } }
}

test('rates are what came since the sample before, by the time between them', () => {
  const history = new FigureHistory()
  history.add(sampleOf(10_000, 100))
  const figures = history.add(sampleOf(12_000, 300, 20))
  assert.equal(figures.requestsPerSecond, 100)
  assert.equal(figures.failuresPerSecond, 10)
  assert.equal(figures.classesPerSecond['2xx'], 90)
  assert.equal(figures.classesPerSecond['5xx'], 10)
  assert.equal(figures.bytesInPerSecond, 10_000)
  assert.equal(figures.bytesOutPerSecond, 100_000)
  assert.equal(figures.cpuShare, 0.1)
})

test('nothing has happened before the first sample', () => {
  const figures = new FigureHistory().add(sampleOf(10_000, 100))
  assert.equal(figures.requestsPerSecond, 0)
  assert.equal(figures.latency.total.p50, -1)
})

test('latency is that of the last ten seconds, in the bucket where it lies', () => {
  const history = new FigureHistory()
  history.add(sampleOf(0, 0))
  const { latency } = history.add(sampleOf(1_000, 50))
  assert.ok(latency.total.p50 > 5 && latency.total.p99 <= 10)
  let last = latency
  for (let second = 2; second <= 12; second++) last = history.add(sampleOf(second * 1_000, 50)).latency
  assert.equal(last.total.p50, -1)
})

test('a worker that was replaced counts from zero, and no rate is below it', () => {
  const history = new FigureHistory()
  history.add(sampleOf(0, 500))
  const figures = history.add(sampleOf(1_000, 30))
  assert.equal(figures.requestsPerSecond, 30)
  assert.ok(figures.latency.total.p50 > 5)
})

test('two minutes are kept', () => {
  const history = new FigureHistory()
  for (let second = 0; second < 200; second++) history.add(sampleOf(second * 1_000, 0))
  assert.equal(history.points.length, 120)
  assert.equal(history.points.at(-1)?.[0], 199_000)
})

test('two samples that come almost together make no rate of a thousand times what there was', () => {
  const history = new FigureHistory()
  history.add(sampleOf(10_000, 0))
  const figures = history.add(sampleOf(11_000, 50))
  assert.deepEqual(history.add(sampleOf(11_003, 90)), figures)
  assert.equal(history.points.length, 2)
  assert.equal(history.add(sampleOf(12_000, 150)).requestsPerSecond, 100)
  // The clock of the machine was set back.
  assert.equal(history.add(sampleOf(2_000, 160)).requestsPerSecond, 10)
})

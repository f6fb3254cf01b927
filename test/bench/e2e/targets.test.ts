import assert from 'node:assert/strict'
import test from 'node:test'
import type { RateSample } from '../../../bench/e2e/open-loop.ts'
import type { PeerRun } from '../../../bench/e2e/run.ts'
import type { Round } from '../../../bench/e2e/summary.ts'
import { checkTargets, isMet } from '../../../bench/e2e/targets.ts'
import { makeResult, makeRun, makeWorkload } from './bench-result.ts'

test('what was not measured is not in the list', () => {
  assert.deepEqual(checkTargets(makeResult()), [])
})

test('CPU is compared with the better native proxy, round by round, and on average over the workloads', () => {
  const checks = checkTargets(
    makeResult({
      workloads: [
        makeWorkload('post-4k', [
          makeRun('eproxy', 'subject', [20, 30]),
          makeRun('nginx', 'native', [40, 40]),
          makeRun('haproxy', 'native', [10, 20]),
        ]),
        makeWorkload('post-1m', [
          makeRun('eproxy', 'subject', [10, 10]),
          makeRun('nginx', 'native', [20, 20]),
          makeRun('haproxy', 'native', [30, 30]),
        ]),
      ],
    }),
  )
  assert.deepEqual(
    checks.map(({ name, note, measured }) => [name, note, Number(measured.toFixed(4))]),
    [
      ['CPU a request, post-4k', 'to haproxy', 1.75],
      ['CPU a request, post-1m', 'to nginx', 0.5],
      ['CPU a request, geometric mean of these 2', 'to the better one of each', 0.9354],
    ],
  )
  assert.deepEqual(checks.map(isMet), [false, true, true])
})

test('a proxy that failed or made errors is no yardstick, and its own ratio does not count as met', () => {
  const broken = { ...makeRun('haproxy', 'native', [1]), failure: 'it ended' }
  const wrong = makeRun('nginx', 'native', [1, 1], { errors: 1 })
  const sound = makeRun('eproxy', 'subject', [5, 5])
  assert.deepEqual(checkTargets(makeResult({ workloads: [makeWorkload('post-4k', [sound, broken, wrong])] })), [])
  const failed = { ...makeRun('eproxy', 'subject', [1]), failure: 'it ended' }
  assert.deepEqual(checkTargets(makeResult({ workloads: [makeWorkload('post-4k', [failed, makeRun('nginx', 'native', [5])])] })), [])
})

test('the cost of the access log is a difference of rounds, not of medians', () => {
  const runs = [makeRun('eproxy', 'subject', [10, 30, 20]), makeRun('eproxy+log', 'subject', [11, 31, 29])]
  const [check] = checkTargets(makeResult({ accessLog: makeWorkload('small-get', runs) }))
  assert.equal(check?.measured, 1)
  assert.deepEqual(check?.range, { median: 1, min: 1, max: 9 })
})

/** The same at a fixed rate. */
function asRates(run: PeerRun<Round>): PeerRun<RateSample> {
  return { ...run, rounds: run.rounds.map((round) => ({ ...round, wantedPerSecond: 1, maxMicros: 0, lateP99Micros: 0 })) }
}

test('what is configured is compared with the bare proxy of the same rounds, and one that made errors is not', () => {
  const workload = makeWorkload('configured', [
    makeRun('eproxy', 'subject', [10, 20]),
    makeRun('configured', 'subject', [11, 21]),
    makeRun('configured+log', 'subject', [12, 26]),
  ])
  const atSameRate = [makeRun('eproxy', 'subject', [10]), makeRun('configured', 'subject', [10.5])].map(asRates)
  const checks = checkTargets(makeResult({ configured: { ...workload, atSameRate } }))
  assert.deepEqual(
    checks.map(({ name, measured, note }) => [name.includes('access log'), Number(measured.toFixed(3)), note]),
    [
      [false, 1.075, 'to eproxy as it comes, as many requests as each can do'],
      [true, 1.25, 'to eproxy as it comes, as many requests as each can do'],
      [false, 1.05, 'to eproxy as it comes, at the same rate'],
    ],
  )
  assert.deepEqual(checks.map(isMet), [true, false, true])
  const wrong = makeWorkload('configured', [makeRun('eproxy', 'subject', [10]), makeRun('configured', 'subject', [1], { errors: 1 })])
  assert.deepEqual(checkTargets(makeResult({ configured: { ...wrong, atSameRate: wrong.runs.map(asRates) } })), [])
})

test('a drip is judged by the growth with the head, and beside a bare pipe', () => {
  const run = (name: string, kind: 'subject' | 'floor', cost: number) => ({
    name,
    kind,
    accessLog: false,
    rounds: [{ bytes: 1_000, cpuMicrosPerByte: cost, errors: 0 }],
    failure: null,
  })
  const checks = checkTargets(
    makeResult({
      drips: [
        { headBytes: 1_024, runs: [run('eproxy', 'subject', 4), run('net-pipe', 'floor', 5)] },
        { headBytes: 8_192, runs: [run('eproxy', 'subject', 6), run('net-pipe', 'floor', 5)] },
      ],
    }),
  )
  assert.deepEqual(
    checks.map(({ measured }) => measured),
    [1.5, 1.2],
  )
  assert.deepEqual(checks.map(isMet), [false, true])
})

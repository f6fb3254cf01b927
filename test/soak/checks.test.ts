/** Every check of the soak passes a clean result, and fails when its own figure is off. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { zeroDesyncCounts } from '../../lib/core/desync.ts'
import type { ProxyStats } from '../../lib/index.ts'
import { noFigures } from '../../lib/observe/counters.ts'
import { unusedServer } from '../support/server-stats.ts'
import { checkTable, judgeSoak } from './checks.ts'
import { misdeedTable } from './misdeeds.ts'
import { narrowConnections } from './proxy-options.ts'
import { raidTable } from './raids.ts'
import type { Phase, SoakResult } from './run.ts'
import type { Standing } from './subject-messages.ts'

const mib = 1_048_576
const noFaults = { count: 0, samples: [] }

const unused = { ...unusedServer, idle: 0, busy: 0, connecting: 0, waiting: 0, isQuarantined: false, desync: zeroDesyncCounts() }

function makeStats(more: Partial<ProxyStats> = {}): ProxyStats {
  return {
    isListening: true,
    connections: 0,
    connectionsTotal: 10,
    connectionsRefusedTotal: 0,
    rateLimits: {},
    rateLimitStore: undefined,
    reloadsTotal: 0,
    exchangesTotal: 10,
    refusedTotal: 0,
    toleratedTotal: 0,
    faultsTotal: 0,
    desync: zeroDesyncCounts(),
    counters: noFigures,
    cpuMsTotal: 0,
    memoryBytes: 0,
    deadlines: 0,
    parserSlots: 0,
    parserMemoryBytes: 0,
    upstreams: { origin: unused },
    groups: {},
    ...more,
  }
}

function makeStanding(more: Partial<Standing> = {}): Standing {
  return {
    proxies: { front: makeStats(), rough: makeStats(), narrow: makeStats() },
    exchanges: { well: 30 },
    rules: {},
    logLines: {},
    errorLines: noFaults,
    uncaught: noFaults,
    narrowPeak: narrowConnections,
    heapBytes: 8 * mib,
    externalBytes: 5 * mib,
    residentBytes: 100 * mib,
    loopDelayMs: 1,
    ...more,
  }
}

function makePhase(name: string, standing: Partial<Standing> = {}, more: Partial<Phase> = {}): Phase {
  const latency = { count: 10, p50Ms: 1, p99Ms: 10, maxMs: 20 }
  return {
    name,
    seconds: 10,
    good: { exchanges: 10, tunnels: 1, bytes: 100, sessions: {}, latency, firstLatency: latency },
    controlLatency: latency,
    loopDelayMs: 1,
    rest: { isQuiet: true, msToQuiet: 1_000, sockets: 5, standing: makeStanding(standing) },
    ...more,
  }
}

function makeResult(last: Partial<Standing> = {}, more: Partial<SoakResult> = {}): SoakResult {
  return {
    options: { timeMs: 120_000, seed: 1, clients: 100, plant: null },
    seconds: 130,
    phases: [makePhase('quiet'), makePhase('first half'), makePhase('second half', last)],
    raids: { raids: Object.fromEntries(raidTable.map(({ name }) => [name, { runs: 1, endings: {} }])), faults: noFaults },
    misdeeds: { misdeeds: Object.fromEntries(misdeedTable.map(({ name }) => [name, 1])), faults: noFaults },
    faults: noFaults,
    peak: { connections: 100, sockets: 200, residentBytes: 100 * mib, poolFront: 10, poolRough: 10 },
    socketsBefore: 5,
    exit: { code: 0, signal: null },
    endedEarly: '',
    lost: '',
    ...more,
  }
}

function withLastPhase(more: Partial<Phase>): SoakResult {
  return makeResult({}, { phases: [makePhase('quiet'), makePhase('first half'), makePhase('second half', {}, more)] })
}

function failedChecks(result: SoakResult): readonly string[] {
  return judgeSoak(result)
    .filter(({ problems }) => problems.length > 0)
    .map(({ name }) => name)
}

const one = { count: 1, samples: ['what went wrong'] }
const stillOpen = (stats: Partial<ProxyStats>): SoakResult => {
  const { rest } = makePhase('')
  return withLastPhase({
    rest: {
      ...rest,
      isQuiet: false,
      standing: makeStanding({ proxies: { front: makeStats(), rough: makeStats(stats), narrow: makeStats() } }),
    },
  })
}

// oxfmt-ignore
const offTable: readonly { readonly what: string; readonly check: string; readonly result: SoakResult }[] = [
  { what: 'the process was gone', check: 'process', result: makeResult({}, { lost: 'it has ended' }) },
  { what: 'the process did not end', check: 'process', result: makeResult({}, { exit: null }) },
  { what: 'the process ended with a code', check: 'process', result: makeResult({}, { exit: { code: 1, signal: null } }) },
  { what: 'a connection is left', check: 'at rest', result: stillOpen({ connections: 1 }) },
  { what: 'a parser slot is left', check: 'at rest', result: stillOpen({ parserSlots: 1 }) },
  { what: 'a deadline is left', check: 'at rest', result: stillOpen({ deadlines: 1 }) },
  { what: 'a pooled connection is left', check: 'at rest', result: stillOpen({ upstreams: { origin: { ...unused, idle: 1 } } }) },
  { what: 'a socket is left', check: 'sockets', result: withLastPhase({ rest: { ...makePhase('').rest, sockets: 6 } }) },
  { what: 'the heap grows', check: 'memory', result: makeResult({ heapBytes: 13 * mib }) },
  { what: 'external memory grows', check: 'memory', result: makeResult({ externalBytes: 10 * mib }) },
  { what: 'resident memory grows', check: 'memory', result: makeResult({ residentBytes: 200 * mib }) },
  { what: 'a good client met a fault', check: 'good clients', result: makeResult({}, { faults: one }) },
  { what: 'no good client did anything', check: 'good clients', result: withLastPhase({ good: { ...makePhase('').good, exchanges: 0 } }) },
  { what: 'good clients wait', check: 'latency', result: withLastPhase({ good: { ...makePhase('').good, latency: { count: 10, p50Ms: 1, p99Ms: 1_001, maxMs: 1_100 } } }) },
  { what: 'a visitor saw a fault', check: 'rough side', result: makeResult({}, { raids: { ...makeResult().raids, faults: one } }) },
  { what: 'a rough origin saw a fault', check: 'rough side', result: makeResult({}, { misdeeds: { ...makeResult().misdeeds, faults: one } }) },
  { what: 'an exception was not caught', check: 'faults of its own', result: makeResult({ uncaught: one }) },
  { what: 'the log has an error', check: 'faults of its own', result: makeResult({ errorLines: one }) },
  { what: 'an exchange ended by a fault', check: 'faults of its own', result: makeResult({ exchanges: { well: 29, ERR_EPROXY_INTERNAL: 1 } }) },
  { what: 'an exchange was not told of', check: 'faults of its own', result: makeResult({ exchanges: { well: 29 } }) },
  { what: 'the engine contradicts itself', check: 'faults of its own', result: makeResult({ proxies: { front: makeStats({ faultsTotal: 1 }), rough: makeStats(), narrow: makeStats() } }) },
  { what: 'a raid did not happen', check: 'coverage', result: makeResult({}, { raids: { raids: {}, faults: noFaults } }) },
  { what: 'a misdeed did not happen', check: 'coverage', result: makeResult({}, { misdeeds: { misdeeds: {}, faults: noFaults } }) },
  { what: 'too many clients were let in', check: 'limits', result: makeResult({ narrowPeak: narrowConnections + 1 }) },
  { what: 'a pool was too large', check: 'limits', result: makeResult({}, { peak: { ...makeResult().peak, poolRough: 10_000 } }) },
]

test('a clean result passes every check', () => {
  assert.deepEqual(failedChecks(makeResult()), [])
})

for (const { what, check, result } of offTable) {
  test(`when ${what}, "${check}" fails and no other check does`, () => {
    assert.deepEqual(failedChecks(result), [check])
  })
}

test('every check can fail', () => {
  assert.deepEqual(new Set(offTable.map(({ check }) => check)), new Set(checkTable.map(({ name }) => name)))
})

/** A run as plain data, for the tests of what is made from it. */
import type { WorkloadRuns } from '../../../bench/e2e/closed-loop.ts'
import type { PeerKind } from '../../../bench/e2e/peers.ts'
import { resultFormat, type BenchResult } from '../../../bench/e2e/result.ts'
import type { PeerRun } from '../../../bench/e2e/run.ts'
import type { Round } from '../../../bench/e2e/summary.ts'

export function makeResult(changes: Partial<BenchResult> = {}): BenchResult {
  return {
    format: resultFormat,
    at: '2026-01-02T03:04:05.000Z',
    machine: 'A "machine" <of> 2 cores',
    node: 'v20.0.0',
    notes: [],
    proxies: [
      { name: 'eproxy', kind: 'subject', version: '1.0.0, node v20.0.0' },
      { name: 'nginx', kind: 'native', version: 'nginx/1.2.3' },
    ],
    settings: { rounds: 2, seconds: 1, warmupSeconds: 1, accessLog: 'off' },
    workloads: [],
    accessLog: null,
    configured: null,
    openLoop: null,
    drips: [],
    idle: [],
    startUps: [],
    largeBodies: [],
    ...changes,
  }
}

export function makeWorkload(name: string, runs: readonly PeerRun<Round>[]): WorkloadRuns {
  return { name, doc: 'a request and its answer', short: 'a request', connections: 64, isTarget: true, runs }
}

export function makeRun(name: string, kind: PeerKind, cpuMicros: readonly number[], changes: Partial<Round> = {}): PeerRun<Round> {
  return { name, kind, accessLog: name.endsWith('+log'), rounds: cpuMicros.map((cpu) => makeRound(cpu, changes)), failure: null }
}

function makeRound(cpuMicros: number, changes: Partial<Round>): Round {
  return {
    requests: 1_000,
    wallMicros: 1_000_000,
    cpuMicrosPerRequest: cpuMicros,
    userMicrosPerRequest: cpuMicros / 4,
    systemMicrosPerRequest: (cpuMicros * 3) / 4,
    requestsPerSecond: 1_000,
    p50Micros: 100,
    p99Micros: 900,
    p999Micros: 2_000,
    residentBytes: 1_048_576,
    proxyCoreShare: 1,
    foreignShare: 0,
    loadCoreShare: 0.5,
    stolenShare: 0,
    errors: 0,
    errorText: '',
    ...changes,
  }
}

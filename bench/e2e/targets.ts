/**
 * What the project has set itself, as a list: name, bound, what this run measured, met or not. What the run did not measure is not in the
 * list, and never counts as met. Pure.
 */
import type { WorkloadRuns } from './closed-loop.ts'
import type { ConfiguredRuns } from './configured.ts'
import type { DripRuns } from './drip.ts'
import type { OpenLoopRuns } from './open-loop.ts'
import type { PeerKind } from './peers.ts'
import type { BenchResult } from './result.ts'
import { isFinished, type PeerRun } from './run.ts'
import { geometricMean, ratioOf, spread, spreadOf, type CpuSample, type Round, type Spread } from './summary.ts'

export interface Check {
  readonly name: string
  readonly atMost: number
  readonly unit: string
  readonly measured: number
  /** Null where a figure has no rounds of its own. */
  readonly range: Spread | null
  /** To whom it is compared, or how it was measured. */
  readonly note: string
}

const targetTable = {
  cpuRatio: 1.15,
  cpuRatioMean: 1,
  nodeRatio: 0.25,
  p99Ratio: 1.5,
  idleKib: 4,
  growthMib: 16,
  /** A byte of a long head by a byte of a short one: 1 within what two rounds can tell apart. */
  dripGrowth: 1.15,
  /** A byte by what it costs to take it from one socket of node and give it to another. */
  dripRatio: 2,
  logMicros: 2,
  configuredRatio: 1.1,
  startMs: 200,
} as const

const nodeWorkloads: readonly string[] = ['small-get', 'headers-20']

export function checkTargets(result: BenchResult): readonly Check[] {
  return [
    ...checkCpu(result.workloads),
    ...(result.openLoop === null ? [] : checkLatency(result.openLoop)),
    ...checkIdle(result),
    ...checkLargeBodies(result),
    ...checkDrips(result.drips),
    ...(result.accessLog === null ? [] : checkAccessLog(result.accessLog)),
    ...(result.configured === null ? [] : checkConfigured(result.configured)),
    ...checkStartUp(result),
  ]
}

export function isMet(check: Check): boolean {
  return check.measured <= check.atMost
}

/** The proxy of that kind that needs the least CPU; only those that finished all their rounds without errors count. */
export function cheapest(runs: readonly PeerRun<Round>[], kind: PeerKind): PeerRun<Round> | null {
  const cpu = (run: PeerRun<Round>): number => spreadOf(run.rounds, 'cpuMicrosPerRequest').median
  const sound = runs.filter((run) => run.kind === kind && isSound(run))
  return sound.sort((a, b) => cpu(a) - cpu(b))[0] ?? null
}

function isSound(run: PeerRun<{ readonly errors: number }>): boolean {
  return isFinished(run) && run.rounds.every((round) => round.errors === 0)
}

/** The ratios of CPU per request: to the better of the native proxies, their geometric mean, and to the cheapest Node proxy. */
function checkCpu(workloads: readonly WorkloadRuns[]): readonly Check[] {
  const native = workloads.filter(({ isTarget }) => isTarget).flatMap((one) => ratioCheck(one, 'native', targetTable.cpuRatio))
  const node = workloads.filter(({ name }) => nodeWorkloads.includes(name)).flatMap((one) => ratioCheck(one, 'node', targetTable.nodeRatio))
  if (native.length < 2) return [...native, ...node]
  const mean: Check = {
    name: `CPU a request, geometric mean of these ${native.length}`,
    atMost: targetTable.cpuRatioMean,
    unit: '',
    measured: geometricMean(native.map(({ measured }) => measured)),
    range: null,
    note: 'to the better one of each',
  }
  return [...native, mean, ...node]
}

function ratioCheck({ name, runs }: WorkloadRuns, kind: PeerKind, atMost: number): readonly Check[] {
  const subject = runs.find((run) => run.kind === 'subject' && isSound(run))
  const yardstick = cheapest(runs, kind)
  if (subject === undefined || yardstick === null) return []
  const range = ratioOf(subject.rounds, yardstick.rounds, 'cpuMicrosPerRequest')
  return [{ name: `CPU a request, ${name}`, atMost, unit: '', measured: range.median, range, note: `to ${yardstick.name}` }]
}

function checkLatency({ same, sameRate }: OpenLoopRuns): readonly Check[] {
  const subject = same.find((run) => run.kind === 'subject' && isFinished(run))
  const haproxy = same.find((run) => run.name === 'haproxy' && isFinished(run))
  if (subject === undefined || haproxy === undefined) return []
  const range = spread(subject.rounds.map(({ p99Micros }, index) => p99Micros / haproxy.rounds[index]!.p99Micros))
  const note = `to haproxy at the same ${sameRate} requests/s`
  return [{ name: 'p99 at 60 % of its saturation', atMost: targetTable.p99Ratio, unit: '', measured: range.median, range, note }]
}

function checkIdle({ idle }: BenchResult): readonly Check[] {
  const subject = idle.find((run) => run.kind === 'subject' && isFinished(run))
  if (subject === undefined) return []
  const range = spread(subject.rounds.map(({ bytesPerConnection }) => bytesPerConnection / 1_024))
  const note = `at ${subject.rounds[0]!.connections}`
  return [{ name: 'RSS per idle connection', atMost: targetTable.idleKib, unit: 'KiB', measured: range.median, range, note }]
}

function checkLargeBodies({ largeBodies, proxies }: BenchResult): readonly Check[] {
  const subjects = proxies.filter(({ kind }) => kind === 'subject').map(({ name }) => name)
  return largeBodies
    .filter(({ name, growthBytes }) => subjects.includes(name) && growthBytes !== null)
    .map(({ direction, speed, growthBytes }) => ({
      name: `RSS growth, 1 GiB ${direction}`,
      atMost: targetTable.growthMib,
      unit: 'MiB',
      measured: growthBytes! / 1_048_576,
      range: null,
      note: speed,
    }))
}

function checkDrips(drips: readonly DripRuns[]): readonly Check[] {
  const [short, long] = drips
  if (short === undefined || long === undefined) return []
  const costOf = (runs: DripRuns, isWanted: (run: PeerRun<unknown>) => boolean): Spread | null => {
    const found = runs.runs.find((run) => isWanted(run) && isFinished(run))
    return found === undefined ? null : spread(found.rounds.map(({ cpuMicrosPerByte }) => cpuMicrosPerByte))
  }
  const isSubject = (run: PeerRun<unknown>): boolean => run.kind === 'subject'
  const isFloor = (run: PeerRun<unknown>): boolean => run.kind === 'floor'
  const shortCost = costOf(short, isSubject)
  const longCost = costOf(long, isSubject)
  const floorCost = costOf(long, isFloor)
  if (shortCost === null || longCost === null) return []
  return [
    {
      name: 'drip, cost of a byte',
      atMost: targetTable.dripGrowth,
      unit: '',
      measured: longCost.median / shortCost.median,
      range: null,
      note: `head of ${long.headBytes} bytes to one of ${short.headBytes}`,
    },
    ...(floorCost === null
      ? []
      : [
          {
            name: 'drip, cost of a byte',
            atMost: targetTable.dripRatio,
            unit: '',
            measured: longCost.median / floorCost.median,
            range: null,
            note: 'to one small read and write (net-pipe)',
          },
        ]),
  ]
}

function checkAccessLog({ runs }: WorkloadRuns): readonly Check[] {
  const range = addedByLog(runs, (run) => run.kind === 'subject')
  if (range === null) return []
  const note = 'on against off, small GET'
  return [{ name: 'access log, added CPU a request', atMost: targetTable.logMicros, unit: 'us', measured: range.median, range, note }]
}

/** Round by round, as ratios are. */
export function addedByLog(runs: readonly PeerRun<Round>[], isWanted: (run: PeerRun<Round>) => boolean): Spread | null {
  const off = runs.find((run) => isWanted(run) && !run.accessLog && isFinished(run))
  const on = runs.find((run) => isWanted(run) && run.accessLog && isFinished(run))
  if (off === undefined || on === undefined) return null
  return spread(on.rounds.map((round, index) => round.cpuMicrosPerRequest - off.rounds[index]!.cpuMicrosPerRequest))
}

function checkConfigured({ runs, atSameRate }: ConfiguredRuns): readonly Check[] {
  return [...checkAgainstBare(runs, 'as many requests as each can do'), ...checkAgainstBare(atSameRate, 'at the same rate')]
}

/** The first run is what the others are compared with. */
function checkAgainstBare(runs: readonly PeerRun<CpuSample>[], load: string): readonly Check[] {
  const [bare, ...configured] = runs
  if (bare === undefined || !isSound(bare)) return []
  return configured.filter(isSound).map((run) => {
    const range = ratioOf(run.rounds, bare.rounds, 'cpuMicrosPerRequest')
    return {
      name: `CPU a request, everything configured${run.accessLog ? ', with an access log' : ''}`,
      atMost: targetTable.configuredRatio,
      unit: '',
      measured: range.median,
      range,
      note: `to eproxy as it comes, ${load}`,
    }
  })
}

function checkStartUp({ startUps }: BenchResult): readonly Check[] {
  const subject = startUps.find((run) => run.kind === 'subject' && isFinished(run))
  if (subject === undefined) return []
  const range = spread(subject.rounds)
  return [{ name: 'start to listening', atMost: targetTable.startMs, unit: 'ms', measured: range.median, range, note: '' }]
}

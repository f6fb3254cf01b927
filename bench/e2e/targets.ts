/**
 * What the project has set itself, as a list: name, bound, what this run measured, met or not. A row that the run did not measure is left
 * out by its measurer and never counts as met. Pure.
 */
import { renderTable } from './table.ts'
import type { PeerRun } from './report.ts'
import { geometricMean, ratioOf, spreadOf, type Spread } from './summary.ts'
import type { Workload } from './workloads.ts'

export interface Check {
  readonly name: string
  readonly atMost: number
  readonly unit: string
  readonly measured: number
  /** Null where a figure has no rounds of its own. */
  readonly range: Spread | null
  readonly note: string
}

/** Results of one workload of wrk. */
export interface WorkloadRuns {
  readonly workload: Workload
  readonly runs: readonly PeerRun[]
}

const cpuRatioMax = 1.15
const cpuRatioMeanMax = 1
const nodeRatioMax = 0.25
const nodeWorkloads: readonly string[] = ['small-get', 'headers-20']

/** The ratios of CPU per request: to the better of the native proxies, their geometric mean, and to the cheapest Node proxy. */
export function checkCpu(reports: readonly WorkloadRuns[]): readonly Check[] {
  const native = reports.filter(({ workload }) => workload.isTarget).flatMap((report) => ratioCheck(report, 'native', cpuRatioMax))
  const node = reports
    .filter(({ workload }) => nodeWorkloads.includes(workload.name))
    .flatMap((report) => ratioCheck(report, 'node', nodeRatioMax))
  const mean =
    native.length < 2
      ? []
      : [
          {
            name: `CPU a request, geometric mean of ${native.length} workloads`,
            atMost: cpuRatioMeanMax,
            unit: '',
            measured: geometricMean(native.map(({ measured }) => measured)),
            range: null,
            note: 'to the better native proxy of each',
          },
        ]
  return [...native, ...mean, ...node]
}

/** The proxy of that kind that needs the least CPU; only those that finished all their rounds without errors count. */
export function cheapest(runs: readonly PeerRun[], kind: PeerRun['peer']['kind']): PeerRun | null {
  const cpu = (run: PeerRun): number => spreadOf(run.rounds, 'cpuMicrosPerRequest').median
  const sound = runs.filter((run) => run.peer.kind === kind && isSound(run))
  return sound.sort((a, b) => cpu(a) - cpu(b))[0] ?? null
}

export function isSound(run: PeerRun): boolean {
  return run.failure === null && run.rounds.length > 0 && run.rounds.every((round) => round.errors === 0)
}

function ratioCheck({ workload, runs }: WorkloadRuns, kind: PeerRun['peer']['kind'], atMost: number): readonly Check[] {
  const subject = runs.find((run) => run.peer.kind === 'subject')
  const yardstick = cheapest(runs, kind)
  if (subject === undefined || !isSound(subject) || yardstick === null) return []
  const range = ratioOf(subject.rounds, yardstick.rounds, 'cpuMicrosPerRequest')
  return [{ name: `CPU a request, ${workload.name}`, atMost, unit: '', measured: range.median, range, note: `to ${yardstick.peer.name}` }]
}

export function isMet(check: Check): boolean {
  return check.measured <= check.atMost
}

export function renderChecks(checks: readonly Check[]): string {
  const show = (value: number, unit: string): string => `${value.toFixed(Math.abs(value) >= 100 ? 0 : 2)}${unit === '' ? '' : ` ${unit}`}`
  const rows = checks.map((check) => [
    isMet(check) ? 'met' : 'NOT MET',
    check.name,
    check.note,
    show(check.measured, check.unit),
    check.range === null ? '' : `(${show(check.range.min, '')}–${show(check.range.max, '')})`,
    show(check.atMost, check.unit),
  ])
  return renderTable([['target', '', '', 'measured', '', 'at most'], ...rows], 3)
}

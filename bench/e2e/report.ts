/**
 * The report of one workload as text: figures down, proxies across, each cell the median and the range over the rounds. Pure.
 */
import type { Peer } from './peers.ts'
import { ratioOf, spreadOf, type FigureName, type Round, type Spread } from './summary.ts'
import { renderTable } from './table.ts'
import { cheapest } from './targets.ts'
import type { Workload } from './workloads.ts'

/** A proxy in one workload: its rounds, and why there are no more of them if it failed. */
export interface PeerRun {
  readonly peer: Peer
  readonly rounds: readonly Round[]
  readonly failure: string | null
}

interface Row {
  readonly label: string
  readonly figure: FigureName
  readonly perUnit: number
  readonly digits: number
}

const rowTable: readonly Row[] = [
  { label: 'CPU us/request', figure: 'cpuMicrosPerRequest', perUnit: 1, digits: 1 },
  { label: '  user', figure: 'userMicrosPerRequest', perUnit: 1, digits: 1 },
  { label: '  system', figure: 'systemMicrosPerRequest', perUnit: 1, digits: 1 },
  { label: 'requests/s', figure: 'requestsPerSecond', perUnit: 1, digits: 0 },
  { label: 'latency p50 ms', figure: 'p50Micros', perUnit: 1_000, digits: 2 },
  { label: 'latency p99 ms', figure: 'p99Micros', perUnit: 1_000, digits: 2 },
  { label: 'latency p99.9 ms', figure: 'p999Micros', perUnit: 1_000, digits: 2 },
  { label: 'RSS MiB', figure: 'residentBytes', perUnit: 1_048_576, digits: 1 },
  { label: 'own core %', figure: 'proxyCoreShare', perUnit: 0.01, digits: 0 },
  { label: 'load core %', figure: 'loadCoreShare', perUnit: 0.01, digits: 0 },
]

/** Above this a neighbour on the cores is worth a note under the table. */
const disturbanceShare = 0.05

export function renderWorkload(workload: Workload, runs: readonly PeerRun[]): string {
  const measured = runs.filter((run) => run.rounds.length > 0)
  const title = `${workload.name}: ${workload.doc}; ${workload.connections} connections`
  if (measured.length === 0) return `${title}\n${renderNotes(runs)}\n`
  const rows = [
    ['', ...measured.map((run) => run.peer.name)],
    ...rowTable.map((row) => [
      row.label,
      ...measured.map((run) => renderSpread(spreadOf(run.rounds, row.figure), row.perUnit, row.digits)),
    ]),
    ['errors', ...measured.map((run) => String(run.rounds.reduce((sum, round) => sum + round.errors, 0)))],
    ...yardsticks(measured).flatMap((yardstick) => [
      renderRatio(`CPU ratio to ${yardstick.peer.name}`, measured, yardstick, 'cpuMicrosPerRequest'),
      renderRatio(`req/s ratio to ${yardstick.peer.name}`, measured, yardstick, 'requestsPerSecond'),
    ]),
  ]
  return `${title}\n${renderTable(rows)}\n${renderNotes(runs)}`
}

/** The better of the native proxies and the best of those on Node, by CPU per request. */
function yardsticks(runs: readonly PeerRun[]): readonly PeerRun[] {
  return (['native', 'node'] as const).map((kind) => cheapest(runs, kind)).filter((run) => run !== null)
}

function renderRatio(label: string, runs: readonly PeerRun[], yardstick: PeerRun, figure: FigureName): string[] {
  return [
    label,
    ...runs.map((run) => {
      if (run === yardstick) return '1'
      // A proxy that failed has fewer rounds than the yardstick; half a comparison is none.
      return run.failure === null ? renderSpread(ratioOf(run.rounds, yardstick.rounds, figure), 1, 2) : '-'
    }),
  ]
}

function renderSpread({ median, min, max }: Spread, perUnit: number, digits: number): string {
  const show = (value: number): string => (value / perUnit).toFixed(digits)
  return `${show(median)} (${show(min)}–${show(max)})`
}

function renderNotes(runs: readonly PeerRun[]): string {
  const notes: string[] = []
  for (const { peer, rounds, failure } of runs) {
    if (failure !== null) notes.push(`FAILED ${peer.name}: ${failure}`)
    rounds.forEach((round, index) => {
      if (round.errors > 0) notes.push(`ERRORS ${peer.name}, round ${index + 1}: ${round.errorText}`)
    })
    const foreign = Math.max(0, ...rounds.map((round) => round.foreignShare ?? 0))
    if (foreign > disturbanceShare) notes.push(`note: up to ${percent(foreign)} of the core of ${peer.name} went to something else`)
    const stolen = Math.max(0, ...rounds.map((round) => round.stolenShare))
    if (stolen > disturbanceShare) notes.push(`note: the hypervisor took up to ${percent(stolen)} of both cores from ${peer.name}`)
  }
  return notes.map((note) => `${note}\n`).join('')
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`
}

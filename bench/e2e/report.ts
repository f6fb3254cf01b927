/**
 * What a run found out as text for a terminal: figures down, proxies across, each cell the median and the range over the rounds; then the list
 * of targets. Pure.
 */
import type { WorkloadRuns } from './closed-loop.ts'
import type { ConfiguredRuns } from './configured.ts'
import type { DripRuns } from './drip.ts'
import type { IdleSample } from './idle.ts'
import type { Passing } from './large-bodies.ts'
import type { OpenLoopRuns, RateSample } from './open-loop.ts'
import { isFinished, type PeerRun } from './run.ts'
import { ratioOf, spread, spreadOf, type CpuSample, type FigureName, type Round, type Spread } from './summary.ts'
import { renderTable } from './table.ts'
import { addedByLog, cheapest, isMet, type Check } from './targets.ts'

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

export function renderWorkload({ name, doc, connections, runs }: WorkloadRuns): string {
  const measured = runs.filter((run) => run.rounds.length > 0)
  const title = `${name}: ${doc}; ${connections} connections`
  if (measured.length === 0) return joinLines(title, renderNotes(runs))
  const rows = [
    ['', ...measured.map((run) => run.name)],
    ...rowTable.map((row) => [
      row.label,
      ...measured.map((run) => renderSpread(spreadOf(run.rounds, row.figure), row.perUnit, row.digits)),
    ]),
    ['errors', ...measured.map((run) => String(run.rounds.reduce((sum, round) => sum + round.errors, 0)))],
    ...yardsticks(measured).flatMap((yardstick) => [
      renderRatio(`CPU ratio to ${yardstick.name}`, measured, yardstick, 'cpuMicrosPerRequest'),
      renderRatio(`req/s ratio to ${yardstick.name}`, measured, yardstick, 'requestsPerSecond'),
    ]),
  ]
  return joinLines(title, renderTable(rows), renderNotes(runs))
}

export function renderAccessLog({ doc, runs }: WorkloadRuns): string {
  const names = [...new Set(runs.map((run) => run.name.replace(/\+log$/, '')))]
  const cpu = (name: string, accessLog: boolean): string => {
    const run = runs.find((one) => one.name === (accessLog ? `${name}+log` : name))
    return run === undefined || run.rounds.length === 0 ? '-' : renderSpread(spreadOf(run.rounds, 'cpuMicrosPerRequest'), 1, 1)
  }
  const added = (name: string): string => {
    const range = addedByLog(runs, (run) => run.name === name || run.name === `${name}+log`)
    return range === null ? '-' : renderSpread(range, 1, 1)
  }
  const rows = [
    ['CPU us/request', ...names],
    ['without access log', ...names.map((name) => cpu(name, false))],
    ['with access log', ...names.map((name) => cpu(name, true))],
    ['added', ...names.map(added)],
  ]
  return joinLines(`access-log: ${doc}`, renderTable(rows), renderNotes(runs))
}

/** The first run is what the others are compared with. */
export function renderConfigured(workload: ConfiguredRuns): string {
  const rate = workload.atSameRate[0]?.rounds[0]?.wantedPerSecond ?? 0
  return joinLines(
    renderWorkload(workload),
    ...renderCpuRatios(workload.runs),
    ...(rate === 0 ? [] : [`the same, all at ${rate} requests/s`]),
    ...workload.atSameRate
      .filter(isFinished)
      .map((run) => `CPU of ${run.name}: ${renderSpread(spread(run.rounds.map((round) => round.cpuMicrosPerRequest)), 1, 2)} us`),
    ...renderCpuRatios(workload.atSameRate),
    ...renderFailures(workload.atSameRate),
  )
}

function renderCpuRatios([bare, ...others]: readonly PeerRun<CpuSample>[]): readonly string[] {
  if (bare === undefined || !isFinished(bare)) return []
  return others
    .filter(isFinished)
    .map((run) => `CPU of ${run.name} to ${bare.name}: ${renderSpread(ratioOf(run.rounds, bare.rounds, 'cpuMicrosPerRequest'), 1, 2)}`)
}

export function renderOpenLoop({ saturation, own, same, sameRate, tooSlow }: OpenLoopRuns): string {
  return joinLines(
    'open-loop: small GET at a fixed rate; latency from when a request was due (no coordinated omission); 64 connections',
    renderRates('at 60 % of what each can do alone', own, saturation),
    renderRates(`all at ${sameRate} requests/s, 60 % of what eproxy can do`, same, saturation),
    ...(tooSlow.length === 0 ? [] : [`not able to do so much: ${tooSlow.join(', ')}`]),
    ...renderFailures([...own, ...same]),
  )
}

function renderRates(title: string, runs: readonly PeerRun<RateSample>[], saturation: Readonly<Record<string, number>>): string {
  const measured = runs.filter((run) => run.rounds.length > 0)
  if (measured.length === 0) return `${title}: not measured`
  const figure = (label: string, of: (sample: RateSample) => number, digits: number): string[] => [
    label,
    ...measured.map((run) => renderSpread(spread(run.rounds.map(of)), 1, digits)),
  ]
  return renderTable([
    [title, ...measured.map((run) => run.name)],
    ['  can do, requests/s', ...measured.map((run) => saturation[run.name]!.toFixed(0))],
    figure('  wanted', (sample) => sample.wantedPerSecond, 0),
    figure('  answered', (sample) => sample.requestsPerSecond, 0),
    figure('  latency p50 ms', (sample) => sample.p50Micros / 1_000, 2),
    figure('  latency p99 ms', (sample) => sample.p99Micros / 1_000, 2),
    figure('  latency p99.9 ms', (sample) => sample.p999Micros / 1_000, 2),
    figure('  latency max ms', (sample) => sample.maxMicros / 1_000, 1),
    figure('  of it the generator, p99 ms', (sample) => sample.lateP99Micros / 1_000, 2),
    figure('  errors', (sample) => sample.errors, 0),
  ])
}

export function renderDrips(drips: readonly DripRuns[]): string {
  const names = [...new Set(drips.flatMap(({ runs }) => runs.map((run) => run.name)))]
  const rows = drips.map(({ headBytes, runs }) => [
    `CPU us/byte, head of ${headBytes} bytes`,
    ...names.map((name) => {
      const run = runs.find((one) => one.name === name)
      return run === undefined || run.rounds.length === 0
        ? '-'
        : renderSpread(spread(run.rounds.map((sample) => sample.cpuMicrosPerByte)), 1, 2)
    }),
  ])
  const errors = drips.flatMap(({ runs }) =>
    runs.flatMap((run) => run.rounds.flatMap((sample) => (sample.errors > 0 ? [`ERRORS ${run.name}: ${sample.errors}`] : []))),
  )
  return joinLines(
    'drip: heads one byte a write',
    renderTable([['', ...names], ...rows]),
    ...errors,
    ...renderFailures(drips.flatMap(({ runs }) => runs)),
  )
}

export function renderIdle(idle: readonly PeerRun<IdleSample>[]): string {
  const measured = idle.filter((run) => run.rounds.length > 0)
  const figure = (label: string, of: (sample: IdleSample) => number, digits: number): string[] => [
    label,
    ...measured.map((run) => renderSpread(spread(run.rounds.map(of)), 1, digits)),
  ]
  const connections = measured[0]?.rounds[0]?.connections ?? 0
  const rows = [
    ['', ...measured.map((run) => run.name)],
    figure('RSS MiB before', (sample) => sample.residentBeforeBytes / 1_048_576, 1),
    figure('RSS MiB with them', (sample) => sample.residentAfterBytes / 1_048_576, 1),
    figure('KiB each', (sample) => sample.bytesPerConnection / 1_024, 2),
  ]
  const title = `idle: ${connections} kept client connections that had one answer and say nothing`
  return joinLines(title, ...(measured.length === 0 ? [] : [renderTable(rows)]), ...renderFailures(idle))
}

export function renderStartUps(startUps: readonly PeerRun<number>[]): string {
  const measured = startUps.filter((run) => run.rounds.length > 0)
  const rows = [
    ['', ...measured.map((run) => run.name)],
    ['ms', ...measured.map((run) => renderSpread(spread(run.rounds), 1, 0))],
  ]
  const title = 'start-up: from the start of the process to its first connection'
  return joinLines(title, ...(measured.length === 0 ? [] : [renderTable(rows)]), ...renderFailures(startUps))
}

export function renderLargeBodies(passings: readonly Passing[]): string {
  const rows = passings.map(({ name, direction, speed, growthBytes, mibPerSecond, failure }) => [
    name,
    direction,
    speed,
    growthBytes === null ? `FAILED: ${failure ?? ''}` : (growthBytes / 1_048_576).toFixed(1),
    mibPerSecond === null ? '-' : mibPerSecond.toFixed(0),
  ])
  return joinLines(
    'large-bodies: resident memory while 1 GiB passes, every byte checked',
    renderTable([['', '', '', 'growth MiB', 'MiB/s'], ...rows], 3),
  )
}

/** `paint` gives a verdict its colour, or leaves it as it is. */
export function renderChecks(checks: readonly Check[], paint: (text: string, isGood: boolean) => string): string {
  const show = (value: number, unit: string): string => `${value.toFixed(Math.abs(value) >= 100 ? 0 : 2)}${unit === '' ? '' : ` ${unit}`}`
  const rows = checks.map((check) => [
    isMet(check) ? 'met' : 'NOT MET',
    check.name,
    check.note,
    show(check.measured, check.unit),
    check.range === null ? '' : `(${show(check.range.min, '')}–${show(check.range.max, '')})`,
    show(check.atMost, check.unit),
  ])
  const lines = renderTable([['target', '', '', 'measured', '', 'at most'], ...rows], 3).split('\n')
  return lines
    .map((line, index) => (index === 0 ? line : line.replace(/^(?:NOT MET|met)/, (verdict) => paint(verdict, isMet(checks[index - 1]!)))))
    .join('\n')
}

/** The better of the native proxies and the best of those on Node, by CPU per request. */
function yardsticks(runs: readonly PeerRun<Round>[]): readonly PeerRun<Round>[] {
  return (['native', 'node'] as const).map((kind) => cheapest(runs, kind)).filter((run) => run !== null)
}

function renderRatio(label: string, runs: readonly PeerRun<Round>[], yardstick: PeerRun<Round>, figure: FigureName): string[] {
  return [
    label,
    ...runs.map((run) => {
      if (run === yardstick) return '1'
      // A proxy that failed has fewer rounds than the yardstick; half a comparison is none.
      return isFinished(run) ? renderSpread(ratioOf(run.rounds, yardstick.rounds, figure), 1, 2) : '-'
    }),
  ]
}

export function renderSpread({ median, min, max }: Spread, perUnit: number, digits: number): string {
  const show = (value: number): string => (value / perUnit).toFixed(digits)
  return min === max ? show(median) : `${show(median)} (${show(min)}–${show(max)})`
}

function renderNotes(runs: readonly PeerRun<Round>[]): string {
  const notes: string[] = [...renderFailures(runs)]
  for (const { name, rounds } of runs) {
    rounds.forEach((round, index) => {
      if (round.errors > 0) notes.push(`ERRORS ${name}, round ${index + 1}: ${round.errorText}`)
    })
    const foreign = Math.max(0, ...rounds.map((round) => round.foreignShare ?? 0))
    if (foreign > disturbanceShare) notes.push(`note: up to ${percent(foreign)} of the core of ${name} went to something else`)
    const stolen = Math.max(0, ...rounds.map((round) => round.stolenShare))
    if (stolen > disturbanceShare) notes.push(`note: the hypervisor took up to ${percent(stolen)} of both cores from ${name}`)
  }
  return notes.join('\n')
}

function renderFailures(runs: readonly PeerRun<unknown>[]): string[] {
  return runs.flatMap(({ name, failure }) => (failure === null ? [] : [`FAILED ${name}: ${failure}`]))
}

function joinLines(...pieces: readonly string[]): string {
  return pieces.filter((piece) => piece !== '').join('\n')
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`
}

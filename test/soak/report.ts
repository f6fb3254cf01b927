/** A soak as text for people. Pure: it gets the result and the verdicts, and knows of colours only whether they are wanted. */
import { formatDuration } from '../../lib/core/units.ts'
import { renderTable } from '../../bench/e2e/table.ts'
import type { Verdict } from './checks.ts'
import type { Progress, SoakResult } from './run.ts'

const mib = 1_048_576

export function renderReport(result: SoakResult, verdicts: readonly Verdict[], isColoured: boolean): string {
  const paint = (code: number, text: string): string => (isColoured ? `\x1b[${code}m${text}\x1b[0m` : text)
  const { options, seconds } = result
  const failed = verdicts.filter(({ problems }) => problems.length > 0)
  const sections = [
    `Soak of ${formatDuration(options.timeMs)}, ${options.clients} clients at once, seed ${options.seed}${options.plant === null ? '' : `, with the defect ${options.plant}`}`,
    renderPhases(result),
    renderRaids(result),
    renderCounts('Requests to rough origins, by what these did', result.misdeeds.misdeeds),
    renderCounts('Exchanges, by how they ended', result.phases.at(-1)?.rest.standing.exchanges ?? {}),
    renderCounts('Messages refused, by rule', result.phases.at(-1)?.rest.standing.rules ?? {}),
    [
      'Checks',
      ...verdicts.map(({ name, claim, measured, problems }) => {
        const isFine = problems.length === 0
        const line = `  ${isFine ? paint(32, 'ok  ') : paint(31, 'FAIL')}  ${name.padEnd(18)}${measured}`
        return isFine
          ? line
          : [line, `        expected: ${claim}`, ...problems.map((problem) => `        ${problem.replaceAll('\n', '\n        ')}`)].join(
              '\n',
            )
      }),
    ].join('\n'),
    result.endedEarly === '' ? '' : paint(31, `The run ended early: ${result.endedEarly}`),
    failed.length === 0
      ? paint(32, `clean, in ${seconds.toFixed(0)} s`)
      : paint(31, `NOT CLEAN, in ${seconds.toFixed(0)} s: ${failed.map(({ name }) => name).join(', ')}`),
  ]
  return `${sections.filter((section) => section !== '').join('\n\n')}\n`
}

export function renderProgress({ phase, secondsLeft, exchanges, faults, p99Ms, connections, sockets, residentBytes }: Progress): string {
  return (
    `${phase}, ${secondsLeft} s left: ${exchanges} good exchanges, p99 ${p99Ms.toFixed(1)} ms, ${faults} faults; ` +
    `${connections} clients, ${sockets} sockets, ${(residentBytes / mib).toFixed(0)} MiB`
  )
}

function renderPhases({ phases }: SoakResult): string {
  const showMib = (bytes: number): string => (bytes / mib).toFixed(1)
  return renderTable([
    ['', ...phases.map(({ name }) => name)],
    ['seconds', ...phases.map(({ seconds }) => seconds.toFixed(0))],
    ['good exchanges', ...phases.map(({ good }) => String(good.exchanges))],
    ['good tunnels', ...phases.map(({ good }) => String(good.tunnels))],
    ['answer bytes checked, MiB', ...phases.map(({ good }) => showMib(good.bytes))],
    ['small exchanges, p50 ms', ...phases.map(({ good }) => good.latency.p50Ms.toFixed(2))],
    ['small exchanges, p99 ms', ...phases.map(({ good }) => good.latency.p99Ms.toFixed(2))],
    ['small exchanges, max ms', ...phases.map(({ good }) => good.latency.maxMs.toFixed(0))],
    ['the same without the proxy, p99 ms', ...phases.map(({ controlLatency }) => controlLatency.p99Ms.toFixed(2))],
    ['first of a connection, p50 ms', ...phases.map(({ good }) => good.firstLatency.p50Ms.toFixed(2))],
    ['first of a connection, p99 ms', ...phases.map(({ good }) => good.firstLatency.p99Ms.toFixed(2))],
    ['event loop late, proxy, p99 ms', ...phases.map(({ rest }) => rest.standing.loopDelayMs.toFixed(0))],
    ['event loop late, good clients, p99 ms', ...phases.map(({ loopDelayMs }) => loopDelayMs.toFixed(0))],
    ['client connections so far', ...phases.map(({ rest }) => String(sum(rest.standing.proxies, 'connectionsTotal')))],
    ['exchanges so far', ...phases.map(({ rest }) => String(sum(rest.standing.proxies, 'exchangesTotal')))],
    ['then at rest after, s', ...phases.map(({ rest }) => (rest.msToQuiet / 1_000).toFixed(1))],
    ['  sockets', ...phases.map(({ rest }) => String(rest.sockets))],
    ['  parser slots', ...phases.map(({ rest }) => String(sum(rest.standing.proxies, 'parserSlots')))],
    ['  deadlines', ...phases.map(({ rest }) => String(sum(rest.standing.proxies, 'deadlines')))],
    ['  heap MiB', ...phases.map(({ rest }) => showMib(rest.standing.heapBytes))],
    ['  external MiB', ...phases.map(({ rest }) => showMib(rest.standing.externalBytes))],
    ['  resident MiB', ...phases.map(({ rest }) => showMib(rest.standing.residentBytes))],
  ])
}

function sum<K extends string>(rows: Readonly<Record<string, Readonly<Record<K, number>>>>, key: K): number {
  return Object.values(rows).reduce((total, row) => total + row[key], 0)
}

function renderRaids({ raids }: SoakResult): string {
  const rows = Object.entries(raids.raids).sort(([, a], [, b]) => b.runs - a.runs)
  if (rows.length === 0) return ''
  const width = Math.max(...rows.map(([name]) => name.length))
  return [
    'Raids, and how their connections ended',
    ...rows.map(([name, { runs, endings }]) => `  ${name.padEnd(width)}  ${String(runs).padStart(6)}  ${describeCounts(endings)}`),
  ].join('\n')
}

function renderCounts(title: string, counts: Readonly<Record<string, number>>): string {
  const rows = Object.entries(counts).sort(([, a], [, b]) => b - a)
  if (rows.length === 0) return ''
  const width = Math.max(...rows.map(([name]) => name.length))
  return [title, ...rows.map(([name, count]) => `  ${name.padEnd(width)}  ${String(count).padStart(8)}`)].join('\n')
}

function describeCounts(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .sort(([, a], [, b]) => b - a)
    .map(([name, count]) => `${name} ×${count}`)
    .join(', ')
}

/**
 * What `eproxy-raw top` shows, as lines of text. Pure. Names of rules, routes and servers are shown as text whatever is in them: no control
 * character gets to the terminal, and no line is longer than it is wide.
 */
import { phases, type HistoryPoint } from '../admin/figures.ts'
import { labelGroup, splitServerName } from '../admin/server-name.ts'
import type { ProcessStatus, StatusDocument, StatusHistory } from '../admin/status.ts'
import type { Paint, Style } from '../conformance/paint.ts'
import { formatDuration } from '../core/units.ts'

export interface TopDocument extends StatusDocument {
  readonly history: StatusHistory
}

export interface TopView {
  readonly columns: number
  /** Lines that there is room for; what does not fit is left out from below. */
  readonly rows: number
  /** Of a worker, or 0 for the sum. */
  readonly worker: number
  readonly paint: Paint
}

type Segment = string | readonly [style: Style, text: string]
type Line = readonly Segment[]

export function renderTop(document: TopDocument, { columns, rows, worker, paint }: TopView): readonly string[] {
  const shown: ProcessStatus = document.workers.find(({ number }) => number === worker) ?? document.total
  const points = (shown === document.total ? document.history.total : document.history.workers[String(worker)]) ?? []
  const lines = [
    renderHeading(document, shown === document.total ? 0 : worker),
    [],
    ...renderFigures(shown, points, columns),
    ...renderServers(shown),
    ...renderWorkers(document, worker),
    ...renderCounts('ENDED', Object.entries(shown.stats.counters.terminations), columns),
    ...renderCounts('STATUS', countClasses(shown), columns),
    ...renderCounts('ERRORS', Object.entries(shown.stats.counters.errors), columns),
    ...renderCounts('RULES', countRules(shown), columns),
    ...renderCounts('SIGNS', countSigns(shown), columns),
  ]
  return lines.slice(0, rows).map((line) => renderLine(line, columns, paint))
}

/** Cut where the terminal ends. */
export function renderLine(line: Line, columns: number, paint: Paint): string {
  let left = columns
  let text = ''
  for (const segment of line) {
    const [style, raw] = typeof segment === 'string' ? [undefined, segment] : segment
    const part = makePrintable(raw).slice(0, left)
    left -= part.length
    text += style === undefined || part === '' ? part : paint(style, part)
  }
  return text
}

/** What is no printable ASCII has no known width, and may be an order to the terminal; the bars of the rate are ours. */
function makePrintable(text: string): string {
  return text.replace(/[^\x20-\x7e▁▂▃▄▅▆▇█–]/gu, '?')
}

function renderHeading({ version, at, startedAt, isDraining, notReady, workers, reloads }: StatusDocument, worker: number): Line {
  const standing: Segment = isDraining
    ? ['yellow', 'draining']
    : notReady.length > 0
      ? ['red', `not ready: ${notReady.join('; ')}`]
      : ['green', 'ready']
  const processes =
    workers.length === 0 ? '' : worker === 0 ? `, ${workers.length} workers together` : `, worker ${worker} of ${workers.length}`
  const reload: Segment = reloads.isLastGood ? '' : ['red', ', the last reload failed']
  return [['bold', `eproxy ${version}`], '  ', standing, `  up ${formatSpan(at - startedAt)}${processes}`, reload]
}

function renderFigures({ figures, stats }: ProcessStatus, points: readonly HistoryPoint[], columns: number): Line[] {
  const { latency } = figures
  const servers = Object.values(stats.upstreams)
  const sum = (name: 'idle' | 'busy' | 'connecting' | 'waiting'): number => servers.reduce((total, server) => total + server[name], 0)
  const quantiles = phases.map((phase) => `${phase} ${formatMs(latency[phase].p50)} / ${formatMs(latency[phase].p99)}`).join('   ')
  const failures = formatRate(figures.failuresPerSecond)
  return [
    ['Requests     ', ['bold', formatRate(figures.requestsPerSecond).padStart(11)], '  ', drawBars(points, Math.max(0, columns - 26))],
    ['Ended badly  ', figures.failuresPerSecond > 0 ? (['red', failures.padStart(11)] as const) : failures.padStart(11)],
    [`p50 / p99    ${quantiles}`],
    [
      `Connections  client ${stats.connections}   upstream ${sum('busy')} busy, ${sum('idle')} idle, ${sum('connecting')} connecting, ${sum('waiting')} requests wait`,
    ],
    [`Traffic      ${formatBytes(figures.bytesInPerSecond)}/s in, ${formatBytes(figures.bytesOutPerSecond)}/s out`],
    [`Process      ${(figures.cpuShare * 100).toFixed(0)} % of a processor, ${formatBytes(stats.memoryBytes)}`],
  ]
}

const stateStyles: Readonly<Record<string, Style>> = { up: 'green', down: 'red', ejected: 'red', draining: 'yellow', disabled: 'yellow' }

function renderServers({ stats }: ProcessStatus): Line[] {
  const rows = Object.entries(stats.upstreams).map(([name, server]) => {
    const [group, address] = splitServerName(name)
    const { state, idle, busy, waiting, exchangesTotal, failuresTotal, reason, isQuarantined } = server
    const why = [reason, isQuarantined ? 'connections are not reused' : ''].filter((word) => word !== '').join('; ')
    return {
      cells: [labelGroup(group), address, state, idle, busy, waiting, exchangesTotal, failuresTotal, why],
      style: stateStyles[state],
    }
  })
  return renderTable(['GROUP', 'SERVER', 'STATE', 'IDLE', 'BUSY', 'WAIT', 'EXCHANGES', 'FAILED', 'WHY'], rows, 2)
}

function renderWorkers({ workers }: StatusDocument, shown: number): Line[] {
  if (workers.length === 0) return []
  const rows = workers.map(({ number, pid, state, ageMs, figures, stats }) => ({
    cells: [
      `${number === shown ? '>' : ' '}${number}`,
      pid,
      ageMs > 0 ? `silent ${formatSpan(ageMs)}` : state,
      formatRate(figures.requestsPerSecond),
      stats.connections,
      formatMs(figures.latency.total.p99),
      `${(figures.cpuShare * 100).toFixed(0)} %`,
      formatBytes(stats.memoryBytes),
    ],
    style: ageMs > 0 ? ('red' as const) : state === 'ready' ? ('green' as const) : ('yellow' as const),
  }))
  return renderTable(['WORKER', 'PID', 'STATE', 'REQUESTS', 'CLIENTS', 'P99', 'CPU', 'MEMORY'], rows, 2)
}

/** Numbers to the right, words to the left; `styled` is the column that has the style of its row. */
function renderTable(
  head: readonly string[],
  rows: readonly { readonly cells: readonly (string | number)[]; readonly style: Style | undefined }[],
  styled: number,
): Line[] {
  if (rows.length === 0) return []
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map(({ cells }) => String(cells[column] ?? '').length)))
  const pad = (cell: string | number, column: number): string => {
    const width = widths[column] ?? 0
    return typeof cell === 'number' || /^[0-9.–]/.test(cell) ? String(cell).padStart(width) : cell.padEnd(width)
  }
  const headLine: Line = [['dim', head.map((title, column) => pad(title, column)).join('  ')]]
  const lines = rows.map(({ cells, style }): Line =>
    cells.flatMap((cell, column): Segment[] => {
      const text = `${pad(cell, column)}  `
      return [column === styled && style !== undefined ? [style, text] : text]
    }),
  )
  return [[], headLine, ...lines]
}

/** The most frequent first, as many as fit in two lines. */
function renderCounts(title: string, counts: readonly (readonly [string, number])[], columns: number): Line[] {
  if (counts.length === 0) return []
  const words = counts
    .filter(([, count]) => count > 0)
    .toSorted(([, one], [, other]) => other - one)
    .map(([name, count]) => `${name} ${count}`)
  const lines: string[] = ['']
  for (const word of words) {
    const last = lines.at(-1) ?? ''
    if (last === '') lines[lines.length - 1] = word
    else if (last.length + 3 + word.length + 9 <= columns) lines[lines.length - 1] = `${last}   ${word}`
    else if (lines.length < 2) lines.push(word)
  }
  if (lines[0] === '') return []
  return [[], ...lines.map((text, index): Line => [['dim', (index === 0 ? title : '').padEnd(9)], text])]
}

function countClasses({ stats }: ProcessStatus): (readonly [string, number])[] {
  const sums = new Map<string, number>()
  for (const classes of Object.values(stats.counters.requests))
    for (const [name, count] of Object.entries(classes)) sums.set(name, (sums.get(name) ?? 0) + count)
  return [...sums]
}

function countRules({ stats }: ProcessStatus): (readonly [string, number])[] {
  return Object.entries(stats.counters.violations).map(([rule, sides]) => [
    rule,
    Object.values(sides).reduce((sum, actions) => sum + Object.values(actions).reduce((all, count) => all + count, 0), 0),
  ])
}

function countSigns({ stats }: ProcessStatus): (readonly [string, number])[] {
  const retries = Object.entries(stats.groups).flatMap(([group, { retriesTotal }]) =>
    Object.entries(retriesTotal).map(([reason, count]) => [`retry ${labelGroup(group)} ${reason}`, count] as const),
  )
  return [...Object.entries(stats.desync), ...retries, ['faults', stats.faultsTotal]]
}

const bars = '▁▂▃▄▅▆▇█'

/** One bar for each second, the last one to the right. */
function drawBars(points: readonly HistoryPoint[], width: number): string {
  const rates = points.slice(Math.max(0, points.length - width)).map(([, rate]) => rate)
  const highest = Math.max(1, ...rates)
  return rates.map((rate) => bars[Math.min(bars.length - 1, Math.floor((rate / highest) * bars.length))] ?? '').join('')
}

function formatRate(rate: number): string {
  return `${rate >= 100 ? rate.toFixed(0) : rate.toFixed(1)} /s`
}

function formatMs(ms: number): string {
  if (ms < 0) return '–'
  return ms < 10 ? `${ms.toFixed(2)} ms` : ms < 1_000 ? `${ms.toFixed(0)} ms` : `${(ms / 1_000).toFixed(1)} s`
}

const byteUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

function formatBytes(bytes: number): string {
  const unit = Math.max(0, Math.min(byteUnits.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10)))
  return `${(bytes / 1_024 ** unit).toFixed(unit === 0 ? 0 : 1)} ${byteUnits[unit]}`
}

function formatSpan(ms: number): string {
  return formatDuration(Math.floor(ms / 1_000) * 1_000)
}

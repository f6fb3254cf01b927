/**
 * The chart of a run as SVG: one panel for each workload, one bar for each proxy, CPU time a request, user and system apart. No
 * scripts, no fonts of its own, and readable on light and on dark ground: the colours follow the reader's scheme. Pure.
 */
import type { WorkloadRuns } from './closed-loop.ts'
import type { PeerKind } from './peers.ts'
import type { BenchResult } from './result.ts'
import { isFinished, type PeerRun } from './run.ts'
import { spreadOf, type Round } from './summary.ts'

const width = 1_000
const margin = 28
const gap = 36
const panelWidth = (width - 2 * margin - gap) / 2
const nameWidth = 92
const valueWidth = 112
const barLeft = nameWidth + 8
const barMax = panelWidth - barLeft - valueWidth
const barHeight = 15
const barPitch = 23
const titleHeight = 48
const headHeight = 122
/** A bar longer than so many times the longest of eproxy and the native ones is cut, with a mark: the others could not be told apart beside it. */
const cutAt = 1.9
const cutWidth = 7
const footHeight = 58

const style = `
  .ground { fill: #ffffff; stroke: #d8dee4; }
  text { font: 13px system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', sans-serif; fill: #1f2328; }
  .title { font-size: 20px; font-weight: 650; }
  .panel { font-size: 14px; font-weight: 650; }
  .quiet { fill: #59636e; font-size: 12px; }
  .subject-name { font-weight: 700; }
  .value { font-variant-numeric: tabular-nums; }
  .axis { stroke: #d8dee4; }
  .range { stroke: #1f2328; stroke-opacity: 0.55; fill: none; }
  .cut { stroke: #ffffff; stroke-width: 3; fill: none; }
  .subject-user { fill: #0b7d69; } .subject-system { fill: #5cc9b2; }
  .native-user { fill: #4a5a70; } .native-system { fill: #a3b1c4; }
  .node-user { fill: #b0672e; } .node-system { fill: #e5b48a; }
  .floor-user { fill: #8c8c8c; } .floor-system { fill: #cfcfcf; }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117; stroke: #30363d; }
    text { fill: #e6edf3; }
    .quiet { fill: #9198a1; }
    .axis { stroke: #30363d; }
    .range { stroke: #e6edf3; }
    .cut { stroke: #0d1117; }
    .subject-user { fill: #3fd6b5; } .subject-system { fill: #1c7866; }
    .native-user { fill: #a9b8cc; } .native-system { fill: #56647a; }
    .node-user { fill: #e0a06c; } .node-system { fill: #80532f; }
    .floor-user { fill: #a8a8a8; } .floor-system { fill: #5a5a5a; }
  }
`

// oxfmt-ignore
const legendTable: readonly { readonly kind: PeerKind; readonly label: string }[] = [
  { kind: 'subject', label: 'eproxy' },
  { kind: 'native', label: 'written in C' },
  { kind: 'node', label: 'on Node' },
  { kind: 'floor', label: 'a bare pipe of sockets on Node, no HTTP' },
]

export function renderChart(result: BenchResult): string {
  const panels = result.workloads.map((workload) => ({ workload, runs: drawable(workload) })).filter(({ runs }) => runs.length > 0)
  const rows: (typeof panels)[] = []
  for (let index = 0; index < panels.length; index += 2) rows.push(panels.slice(index, index + 2))
  let top = headHeight
  const body = rows.map((row) => {
    const drawn = row.map(({ workload, runs }, column) => panel(workload, runs, margin + column * (panelWidth + gap), top)).join('')
    top += titleHeight + Math.max(...row.map(({ runs }) => runs.length)) * barPitch + 22
    return drawn
  })
  const height = top + footHeight - 22
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="CPU time a request of each proxy">`,
    `<style>${style}</style>`,
    `<rect class="ground" x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="10"/>`,
    label(margin, 38, 'CPU time a request, in microseconds', 'title'),
    label(margin, 60, 'less is better · strong colour: user, pale: system · thin line: range over the rounds · ∕∕: bar cut short', 'quiet'),
    legend(result),
    ...body,
    ...footer(result, height),
    '</svg>\n',
  ].join('\n')
}

function drawable({ runs }: WorkloadRuns): readonly PeerRun<Round>[] {
  return runs.filter(isFinished)
}

function panel(workload: WorkloadRuns, runs: readonly PeerRun<Round>[], left: number, top: number): string {
  const cpu = runs.map((run) => spreadOf(run.rounds, 'cpuMicrosPerRequest'))
  const others = cpu.filter((_, index) => ['subject', 'native'].includes(runs[index]!.kind))
  const longest = Math.min(
    Math.max(...cpu.map(({ max }) => max)),
    cutAt * Math.max(...(others.length === 0 ? cpu : others).map(({ max }) => max)),
  )
  const best = Math.min(...runs.flatMap((run, index) => (run.kind === 'native' ? [cpu[index]!.median] : [])))
  const scale = barMax / longest
  const bars = runs.map((run, index) => {
    const y = top + titleHeight + index * barPitch
    const x = left + barLeft
    const { median, min, max } = cpu[index]!
    // The parts are medians of their own; the bar is as long as the median of the whole.
    const user = spreadOf(run.rounds, 'userMicrosPerRequest').median
    const system = spreadOf(run.rounds, 'systemMicrosPerRequest').median
    const isCut = median > longest
    const barWidth = Math.min(median, longest) * scale
    const userWidth = Math.min(barWidth, (median * scale * user) / (user + system))
    const rangeEnd = x + Math.min(max, longest) * scale
    const middle = y + barHeight / 2
    const isSubject = run.kind === 'subject'
    const ratio = Number.isFinite(best) ? `×${(median / best).toFixed(median / best >= 10 ? 0 : 2)}` : ''
    return [
      label(left + nameWidth, middle + 4.5, run.name, isSubject ? 'subject-name' : '', 'end'),
      rect(x, y, userWidth, `${run.kind}-user`),
      rect(x + userWidth, y, barWidth - userWidth, `${run.kind}-system`),
      isCut ? cutMark(x + barWidth - 26, y) : '',
      !isCut && max - min > 0.5 / scale ? `<path class="range" d="M${px(x + min * scale)} ${px(middle)}H${px(rangeEnd)}"/>` : '',
      label(rangeEnd + 8, middle + 4.5, micros(median), isSubject ? 'value subject-name' : 'value'),
      label(left + panelWidth, middle + 4.5, ratio, 'value quiet', 'end'),
    ].join('')
  })
  return [
    label(left, top + 16, workload.name, 'panel'),
    label(left, top + 34, `${workload.short}; ${workload.connections} connections`, 'quiet'),
    label(left + panelWidth, top + 34, 'to best in C', 'quiet', 'end'),
    `<path class="axis" d="M${px(left + barLeft - 0.5)} ${top + titleHeight - 5}v${runs.length * barPitch + 2}"/>`,
    ...bars,
  ].join('')
}

function legend({ workloads }: BenchResult): string {
  let x = margin
  return legendTable
    .filter(({ kind }) => workloads.some(({ runs }) => runs.some((run) => run.kind === kind)))
    .map(({ kind, label: text }) => {
      const piece = `${rect(x, 82, 16, `${kind}-user`)}${rect(x + 16, 82, 16, `${kind}-system`)}${label(x + 40, 94, text, '')}`
      x += 40 + text.length * 7 + 28
      return piece
    })
    .join('')
}

function footer({ at, machine, proxies, settings, node }: BenchResult, height: number): string[] {
  const versions = proxies.filter(({ kind }) => kind === 'native').map(({ name, version }) => `${name} ${version.replace(/^.*\//, '')}`)
  const { rounds, seconds, accessLog } = settings
  const rules = `medians of ${rounds} interleaved rounds of ${seconds} s, access log ${accessLog}`
  return [
    label(margin, height - 36, `${at.slice(0, 10)} · ${machine}`, 'quiet'),
    label(margin, height - 18, `node ${node}${versions.map((text) => ` · ${text}`).join('')} · ${rules}`, 'quiet'),
  ]
}

function cutMark(x: number, y: number): string {
  const slant = (at: number): string => `M${px(at)} ${px(y + barHeight + 1)}l${cutWidth} ${-barHeight - 2}`
  return `<path class="cut" d="${slant(x)}${slant(x + 7)}"/>`
}

function micros(value: number): string {
  return value >= 1_000 ? value.toFixed(0).replace(/(?=(?:\d{3})+$)(?!^)/g, ' ') : value.toFixed(value >= 100 ? 0 : 1)
}

function rect(x: number, y: number, rectWidth: number, className: string): string {
  return `<rect class="${className}" x="${px(x)}" y="${px(y)}" width="${px(Math.max(0, rectWidth))}" height="${barHeight}"/>`
}

function label(x: number, y: number, text: string, className: string, anchor = 'start'): string {
  return `<text x="${px(x)}" y="${px(y)}" text-anchor="${anchor}"${className === '' ? '' : ` class="${className}"`}>${escape(text)}</text>`
}

function px(value: number): string {
  return String(Math.round(value * 10) / 10)
}

function escape(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/"/g, '&quot;')
}

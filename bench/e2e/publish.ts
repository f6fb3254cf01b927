/**
 * Puts a run into the repository: its data and its chart into bench/results/, and what README.md shows of them between two marks.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { renderChart } from './chart.ts'
import type { BenchResult } from './result.ts'
import { checkTargets, isMet, type Check } from './targets.ts'

const readme = new URL('../../../README.md', import.meta.url)
const results = new URL('../../../bench/results/', import.meta.url)
const begin = '<!-- bench -->\n'
const end = '<!-- /bench -->'

export function publish(result: BenchResult): void {
  const before = readFileSync(readme, 'utf8')
  const after = rewriteBench(before, result)
  mkdirSync(results, { recursive: true })
  writeFileSync(new URL('latest.json', results), renderJson(result))
  writeFileSync(new URL('latest.svg', results), renderChart(result))
  writeFileSync(readme, after)
}

export function renderJson(result: BenchResult): string {
  const checks = checkTargets(result).map((check) => ({ ...check, isMet: isMet(check) }))
  return `${JSON.stringify({ ...result, checks }, null, 2)}\n`
}

/** The document with the part between the marks made anew. Throws when the marks are not there. */
export function rewriteBench(document: string, result: BenchResult): string {
  const from = document.indexOf(begin)
  const to = document.indexOf(end, from)
  if (from === -1 || to === -1) throw new Error(`README.md has no ${begin.trim()} or no ${end} behind it`)
  return `${document.slice(0, from + begin.length)}\n${renderPart(result)}\n${document.slice(to)}`
}

function renderPart(result: BenchResult): string {
  const { at, machine, proxies } = result
  const versions = proxies
    .filter(({ kind }) => kind !== 'floor')
    .map(({ name, kind, version }) => {
      const plain = version.replace(/^nginx\/|, node v.*$/g, '')
      // The version of a proxy on Node begins with the name of its package.
      return kind === 'node' ? plain : `${name} ${plain}`
    })
    .join(', ')
  const checks = checkTargets(result)
  const pieces = [
    '![CPU time a request of eproxy, of proxies in C and of proxies on Node](bench/results/latest.svg)',
    `Measured ${at.slice(0, 10)} with node ${result.node} on one core of: ${machine}. ${versions}.`,
    ...(checks.length === 0 ? [] : [renderChecksTable(checks)]),
    ...(result.notes.length === 0 ? [] : [result.notes.map((note) => `- ${note}`).join('\n')]),
  ]
  return `${pieces.join('\n\n')}\n`
}

function renderChecksTable(checks: readonly Check[]): string {
  const show = (value: number, unit: string): string => `${value.toFixed(Math.abs(value) >= 100 ? 0 : 2)}${unit === '' ? '' : ` ${unit}`}`
  const rows = checks.map((check) => [
    check.name,
    check.note,
    show(check.measured, check.unit),
    check.range === null ? '' : `${show(check.range.min, '')}–${show(check.range.max, '')}`,
    show(check.atMost, check.unit),
    isMet(check) ? 'yes' : 'no',
  ])
  return renderMarkdownTable([['', '', 'measured', 'rounds', 'target: at most', 'met'], ...rows])
}

/** Columns aligned as the formatter of this repository aligns them. */
function renderMarkdownTable(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(3, ...rows.map((row) => row[column]!.length)))
  const line = (cells: readonly string[]): string => `| ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |`
  const [head, ...body] = rows
  return [line(head!), line(widths.map((width) => '-'.repeat(width))), ...body.map(line)].join('\n')
}

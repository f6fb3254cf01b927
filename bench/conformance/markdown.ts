/** The tables that a run over all peers leaves in Markdown pages, between two comments. Text in, text out. */

export interface PeerRow {
  readonly name: string
  readonly version: string
  readonly passed: number
  readonly judged: number
  /** Passed, and judged. */
  readonly requests: readonly [number, number]
  readonly responses: readonly [number, number]
  readonly mild: number
  readonly restarts: number
  readonly seconds: number
  readonly groups: ReadonlyMap<string, readonly [number, number]>
}

const begin = '<!-- conformance:peers -->'
const end = '<!-- /conformance:peers -->'

/** Throws an Error when the page has no such region. */
export function replaceRegion(page: string, region: string): string {
  const from = page.indexOf(begin)
  const to = page.indexOf(end)
  if (from < 0 || to < from) throw new Error(`the page has no region ${begin} … ${end}`)
  return `${page.slice(0, from + begin.length)}\n\n${region}\n\n${page.slice(to)}`
}

export function renderSummary(rows: readonly PeerRow[], date: string): string {
  const head = ['Proxy', 'Version', 'Passed', '', 'Requests', 'Responses', 'Mild', 'Crashes']
  const lines = rows.map((row) => [
    row.name,
    row.version,
    `${row.passed} of ${row.judged}`,
    `${((row.passed / row.judged) * 100).toFixed(1)} %`,
    `${row.requests[0]} of ${row.requests[1]}`,
    `${row.responses[0]} of ${row.responses[1]}`,
    String(row.mild),
    String(row.restarts),
  ])
  return `Run on ${date}, node ${process.versions.node}.\n\n${renderTable(head, lines)}`
}

export function renderGroups(rows: readonly PeerRow[], date: string): string {
  const groups = [...new Set(rows.flatMap((row) => [...row.groups.keys()]))].sort()
  const lines = groups.map((group) => {
    const most = Math.max(...rows.map((row) => row.groups.get(group)?.[1] ?? 0))
    return [group, String(most), ...rows.map((row) => cellOf(row.groups.get(group), most))]
  })
  return `Run on ${date}. Passed cases by group; where fewer cases could be judged, of how many.\n\n${renderTable(['Group', 'Cases', ...rows.map(({ name }) => name)], lines)}`
}

function cellOf(count: readonly [number, number] | undefined, most: number): string {
  if (count === undefined) return '–'
  return count[1] === most ? String(count[0]) : `${count[0]} of ${count[1]}`
}

/** The first column to the left and the others to the right, in widths as the formatter of the repository wants them. */
function renderTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) => Math.max(3, title.length, ...rows.map((row) => row[column]?.length ?? 0)))
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))).join(' | ')} |`
  const rule = widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`))
  return [line(head), line(rule), ...rows.map(line)].join('\n')
}

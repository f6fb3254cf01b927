/**
 * The rows of the option tables as command-line flags and as the tables of the README, so that a default is written down once. Pure:
 * it parses single values and renders text, and knows neither yargs nor files.
 */
import { looseRules, ruleTable, type Rule } from '../../native-free-parser/index.ts'
import { desyncTable } from '../core/desync.ts'
import { errorTable, ProxyError } from '../core/errors.ts'
import { desyncLimitTable, limitTable, poolTable, supervisionTable, timeoutTable, type NumberRow } from '../core/options.ts'
import { formatQuantity, parseQuantity } from '../core/units.ts'

/** A flag with a number, from one row. */
export interface NumberFlag {
  /** Without the dashes. */
  readonly name: string
  /** Where its value goes: `options[section][key]`, `supervision[key]`. */
  readonly section: 'timeouts' | 'limits' | 'pool' | 'desync' | 'supervision'
  readonly key: string
  readonly row: NumberRow
  readonly defaultText: string
}

export const numberFlags: readonly NumberFlag[] = [
  ...toFlags('timeouts', 'timeout', 'Timers', timeoutTable),
  ...toFlags('limits', 'limit', 'Limits', limitTable),
  ...toFlags('pool', 'pool', 'Upstream', poolTable),
  ...toFlags('desync', 'desync', 'Upstream', desyncLimitTable),
  ...toFlags('supervision', 'worker', 'Workers', supervisionTable),
]

/** The number in the unit of the row. Throws ProxyError ERR_EPROXY_OPTION; `shown` is what the user gave it as. */
export function readNumber({ row }: NumberFlag, text: string, shown: string): number {
  let value: number
  try {
    value = parseQuantity(row.unit, text)
  } catch (error) {
    throw new ProxyError('ERR_EPROXY_OPTION', `${shown}: ${(error as Error).message}`, error)
  }
  if (value < row.min || value > row.max) {
    throw new ProxyError(
      'ERR_EPROXY_OPTION',
      `${shown} must be from ${formatQuantity(row.unit, row.min)} to ${formatQuantity(row.unit, row.max)}, not ${formatQuantity(row.unit, value)}`,
    )
  }
  return value
}

export const tableNames = ['timers', 'limits', 'pool', 'desync', 'signs', 'workers', 'errors', 'rules', 'loose-rules'] as const
export type TableName = (typeof tableNames)[number]

/** A Markdown table without a newline at its end. */
export function renderTable(name: TableName): string {
  switch (name) {
    case 'timers':
      return renderFlags('timeouts')
    case 'limits':
      return renderFlags('limits')
    case 'pool':
      return renderFlags('pool')
    case 'desync':
      return renderFlags('desync')
    case 'signs':
      return renderRows(
        ['Kind', 'Is', 'What'],
        Object.entries(desyncTable).map(([kind, row]) => [`\`${kind}\``, row.isEvidence ? 'a proof' : 'a hint', row.doc]),
      )
    case 'workers':
      return renderFlags('supervision')
    case 'errors':
      return renderRows(
        ['Code', 'Status', 'Side', 'Termination', 'Meaning'],
        Object.entries(errorTable).map(([code, row]) => [
          `\`${code}\``,
          row.status === 0 ? '–' : String(row.status),
          row.side,
          `\`${row.termination}\``,
          row.doc,
        ]),
      )
    case 'rules':
      return renderRows(
        ['Rule', 'Status', 'Section', 'Refuses'],
        Object.entries(ruleTable).map(([id, row]) => [`\`${id}\``, String(row.status), row.section, row.refuses]),
      )
    case 'loose-rules':
      return renderRows(
        ['Rule', 'With `warn`'],
        [...looseRules].map((id) => [`\`${id}\``, (ruleTable[id] as Rule).warn!]),
      )
  }
}

function renderFlags(section: NumberFlag['section']): string {
  const flags = numberFlags.filter((flag) => flag.section === section)
  return renderRows(
    ['Flag', 'Library', 'Default', 'What'],
    flags.map((flag) => [`\`--${flag.name}\``, `\`${section}.${flag.key}\``, flag.defaultText, flag.row.doc]),
  )
}

/** A Markdown table, with columns of equal width, as the formatter of the repository wants them. */
export function renderRows(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [head, ...rows].map((row) => row.map((cell) => cell.replaceAll('|', '\\|')))
  const widths = head.map((_title, column) => Math.max(3, ...cells.map((row) => row[column]?.length ?? 0)))
  const renderRow = (row: readonly string[]): string => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`
  const [title = '', ...lines] = cells.map(renderRow)
  return [title, renderRow(widths.map((width) => '-'.repeat(width))), ...lines].join('\n')
}

type Row = Pick<NumberRow, 'default' | 'min' | 'max' | 'doc'> & Partial<Pick<NumberRow, 'unit' | 'divided'>>

function toFlags(section: NumberFlag['section'], prefix: string, group: NumberRow['group'], table: Record<string, Row>): NumberFlag[] {
  return Object.entries(table).map(([key, given]) => {
    const doc = given.divided === true ? `${given.doc}; divided among the workers` : given.doc
    const row: NumberRow = { unit: 'ms', ...given, doc, group }
    return { name: `${prefix}-${toKebabCase(key)}`, section, key, row, defaultText: formatQuantity(row.unit, row.default) }
  })
}

function toKebabCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

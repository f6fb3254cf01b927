/**
 * Keeps the tables of documents equal to the tables of the code: rewrites each region between `<!-- table:NAME -->` and
 * `<!-- /table -->`. With --check it writes nothing and fails when one is stale. A tool of the repository, not of the command.
 */
import fs from 'node:fs'
import { pathToFileURL } from 'node:url'
import { endpointTable } from '../admin/endpoints.ts'
import { metricTable } from '../admin/metric-table.ts'
import { listKeys, type KeyRow } from '../config/keys.ts'
import type { ExchangeSummary } from '../observe/exchange-summary.ts'
import { LineBytes } from '../observe/line-bytes.ts'
import { formatJsonLine, type FormatLine } from '../observe/line-format.ts'
import { compileTemplate, placeholderTable } from '../observe/line-template.ts'
import { Redaction } from '../observe/redaction.ts'
import { proxyFlags } from './flags.ts'
import { showFlag } from './help-text.ts'
import { numberFlags, renderRows, renderTable, tableNames as optionTableNames, type TableName } from './option-tables.ts'

/** What the command itself does without: the table of the configuration file is made from its schema, those of the admin listener from what it answers. */
const tableNames = [...optionTableNames, 'flags', 'file', 'file-sections', 'access-log', 'metrics', 'endpoints'] as const

/** The document with every table as the code has it. Throws an Error for an unknown or unfinished region. */
export function rewriteTables(document: string): string {
  const openings = document.match(/<!-- table:/g)?.length ?? 0
  let regions = 0
  // A region ends before the next one begins, so that a forgotten end does not swallow the text between two tables.
  const result = document.replace(
    /(<!-- table:([\w-]+) -->\n)(?:(?!<!-- table:)[^])*?(<!-- \/table -->)/g,
    (_region, open: string, name: string, close: string) => {
      regions += 1
      return `${open}\n${render(name)}\n\n${close}`
    },
  )
  if (regions !== openings) throw new Error(`${openings} regions begin with <!-- table:NAME --> and ${regions} end with <!-- /table -->`)
  return result
}

function render(name: string): string {
  if (name === 'flags') return renderFlags()
  if (name === 'access-log') return renderAccessLog()
  if (name === 'file') return renderFile(listKeys())
  if (name === 'file-sections') return renderFile(listKeys().filter(({ key }) => !key.includes('.')))
  if (name === 'metrics') return renderMetrics()
  if (name === 'endpoints') return renderEndpoints()
  if (isOptionTable(name)) return renderTable(name)
  throw new Error(`<!-- table:${name} --> is not a table; there are ${tableNames.join(', ')}`)
}

function isOptionTable(name: string): name is TableName {
  return (optionTableNames as readonly string[]).includes(name)
}

/** Those with numbers have tables of their own. */
function renderFlags(): string {
  const isNumber = (name: string): boolean => numberFlags.some((flag) => flag.name === name)
  return renderRows(
    ['Flag', 'Default', 'What'],
    proxyFlags
      .filter(({ name }) => !isNumber(name))
      .map((flag) => [`\`${showFlag(flag)}\``, flag.defaultText === undefined ? '' : `\`${flag.defaultText}\``, flag.doc]),
  )
}

/** What it is in a template and, found by its value, in a line of JSON. */
function renderAccessLog(): string {
  const line = new LineBytes()
  const lineOf = (format: FormatLine): string => {
    line.clear()
    format(line, summary, { worker: 97, redaction: new Redaction() })
    return line.toString().trimEnd()
  }
  const members = Object.entries(JSON.parse(lineOf(formatJsonLine)) as Record<string, unknown>)
  return renderRows(
    ['Template', 'JSON', 'What'],
    Object.entries(placeholderTable).map(([name, { doc }]) => {
      const text = lineOf(compileTemplate(`{${name}}`, 'plain'))
      const member = members.find(([key]) => key === name) ?? members.find(([, value]) => String(value) === text)
      return [`\`{${name}}\``, member === undefined ? '' : `\`${member[0]}\``, doc]
    }),
  )
}

/** An exchange in which no two members have the same value, but for the two that are true or false. */
const summary: ExchangeSummary = {
  id: 'id',
  startedAt: 11,
  client: '192.0.2.7:53211',
  method: 'GET',
  target: '/target',
  version: '1.1',
  status: 200,
  bytesIn: 12,
  bytesOut: 13,
  upstream: '192.0.2.8:3000',
  upstreamConnection: 14,
  reused: true,
  retries: 15,
  headMs: 16,
  upstreamMs: 17,
  responseMs: 18,
  totalMs: 19,
  termination: 'PR',
  error: 'ERR_EPROXY_REQUEST_REFUSED',
  rule: 'H1-NUL',
  tunnel: true,
  route: 'route',
  listener: 'listener',
  referer: 'referer',
  userAgent: 'userAgent',
}

function renderFile(rows: readonly KeyRow[]): string {
  return renderRows(
    ['Key', 'Value', 'Default', 'What'],
    rows.map(({ key, kind, defaultText, doc }) => [`\`${key}\``, kind, defaultText === '' ? '' : `\`${defaultText}\``, doc]),
  )
}

function renderMetrics(): string {
  return renderRows(
    ['Metric', 'Type', 'Labels', 'What'],
    Object.entries(metricTable).map(([name, { type, labels, doc }]) => [
      `\`${name}\``,
      type,
      labels.map((label) => `\`${label}\``).join(', '),
      doc,
    ]),
  )
}

function renderEndpoints(): string {
  return renderRows(
    ['Request', 'What'],
    Object.values(endpointTable).map(({ method, path, doc }) => [`\`${method} ${path}\``, doc]),
  )
}

const documents = ['README.md', 'lib/admin/README.md', 'lib/config/README.md', 'lib/upstream/README.md'] as const

function main(args: readonly string[]): number {
  const isCheck = args[0] === '--check'
  let isStale = false
  for (const path of documents) {
    const document = new URL(`../../../${path}`, import.meta.url)
    const before = fs.readFileSync(document, 'utf8')
    const after = rewriteTables(before)
    if (before === after) continue
    isStale = true
    if (isCheck) process.stderr.write(`${path} is stale: run \`npm run docs\`\n`)
    else fs.writeFileSync(document, after)
  }
  return isCheck && isStale ? 1 : 0
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(fs.realpathSync(process.argv[1])).href)
  process.exitCode = main(process.argv.slice(2))

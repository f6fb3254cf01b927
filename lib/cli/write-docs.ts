/**
 * Keeps the tables of documents equal to the tables of the code: rewrites each region between `<!-- table:NAME -->` and
 * `<!-- /table -->`. With --check it writes nothing and fails when one is stale. A tool of the repository, not of the command.
 */
import fs from 'node:fs'
import { pathToFileURL } from 'node:url'
import { endpointTable } from '../admin/endpoints.ts'
import { metricTable } from '../admin/metric-table.ts'
import { listKeys, type KeyRow } from '../config/keys.ts'
import { renderRows, renderTable, tableNames as optionTableNames, type TableName } from './option-tables.ts'

/** What the command itself does without: the table of the configuration file is made from its schema, those of the admin listener from what it answers. */
const tableNames = [...optionTableNames, 'file', 'file-sections', 'metrics', 'endpoints'] as const

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

const documents = ['README.md', 'lib/admin/README.md', 'lib/config/README.md'] as const

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

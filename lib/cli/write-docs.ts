/**
 * Keeps the tables of documents equal to the tables of the code: rewrites each region between `<!-- table:NAME -->` and
 * `<!-- /table -->`. With --check it writes nothing and fails when one is stale. A tool of the repository, not of the command.
 */
import fs from 'node:fs'
import { pathToFileURL } from 'node:url'
import { endpointTable } from '../admin/endpoints.ts'
import { metricTable } from '../admin/metric-table.ts'
import { renderRows, renderTable, tableNames } from './option-tables.ts'

/** The tables that only documents need, and those of the flags. */
const renderers: Readonly<Record<string, () => string>> = {
  ...Object.fromEntries(tableNames.map((name) => [name, () => renderTable(name)])),
  metrics: () =>
    renderRows(
      ['Metric', 'Type', 'Labels', 'What'],
      Object.entries(metricTable).map(([name, { type, labels, doc }]) => [
        `\`${name}\``,
        type,
        labels.map((label) => `\`${label}\``).join(', '),
        doc,
      ]),
    ),
  endpoints: () =>
    renderRows(
      ['Request', 'What'],
      Object.values(endpointTable).map(({ method, path, doc }) => [`\`${method} ${path}\``, doc]),
    ),
}

/** The document with every table as the code has it. Throws an Error for an unknown or unfinished region. */
export function rewriteTables(document: string): string {
  const openings = document.match(/<!-- table:/g)?.length ?? 0
  let regions = 0
  // A region ends before the next one begins, so that a forgotten end does not swallow the text between two tables.
  const result = document.replace(
    /(<!-- table:([\w-]+) -->\n)(?:(?!<!-- table:)[^])*?(<!-- \/table -->)/g,
    (_region, open: string, name: string, close: string) => {
      regions += 1
      const render = Object.hasOwn(renderers, name) ? renderers[name] : undefined
      if (render === undefined) throw new Error(`<!-- table:${name} --> is not a table; there are ${Object.keys(renderers).join(', ')}`)
      return `${open}\n${render()}\n\n${close}`
    },
  )
  if (regions !== openings) throw new Error(`${openings} regions begin with <!-- table:NAME --> and ${regions} end with <!-- /table -->`)
  return result
}

const documents = ['README.md', 'lib/admin/README.md'] as const

function main(args: readonly string[]): number {
  const isCheck = args[0] === '--check'
  let stale = 0
  for (const name of documents) {
    const path = new URL(`../../../${name}`, import.meta.url)
    const before = fs.readFileSync(path, 'utf8')
    const after = rewriteTables(before)
    if (before === after) continue
    stale++
    if (isCheck) process.stderr.write(`${name} is stale: run \`npm run docs\`\n`)
    else fs.writeFileSync(path, after)
  }
  return isCheck && stale > 0 ? 1 : 0
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(fs.realpathSync(process.argv[1])).href)
  process.exitCode = main(process.argv.slice(2))

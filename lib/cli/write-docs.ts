/**
 * Keeps the tables of README.md equal to the tables of the code: rewrites each region between `<!-- table:NAME -->` and
 * `<!-- /table -->`. With --check it writes nothing and fails when the README is stale. A tool of the repository, not of the command.
 */
import fs from 'node:fs'
import { pathToFileURL } from 'node:url'
import { renderTable, tableNames, type TableName } from './option-tables.ts'

/** The document with every table as the code has it. Throws an Error for an unknown or unfinished region. */
export function rewriteTables(document: string): string {
  const openings = document.match(/<!-- table:/g)?.length ?? 0
  let regions = 0
  // A region ends before the next one begins, so that a forgotten end does not swallow the text between two tables.
  const result = document.replace(
    /(<!-- table:([\w-]+) -->\n)(?:(?!<!-- table:)[^])*?(<!-- \/table -->)/g,
    (_region, open: string, name: string, close: string) => {
      regions += 1
      if (!isTableName(name)) throw new Error(`<!-- table:${name} --> is not a table; there are ${tableNames.join(', ')}`)
      return `${open}\n${renderTable(name)}\n\n${close}`
    },
  )
  if (regions !== openings) throw new Error(`${openings} regions begin with <!-- table:NAME --> and ${regions} end with <!-- /table -->`)
  return result
}

function isTableName(name: string): name is TableName {
  return (tableNames as readonly string[]).includes(name)
}

function main(args: readonly string[]): number {
  const isCheck = args[0] === '--check'
  const readme = new URL('../../../README.md', import.meta.url)
  const before = fs.readFileSync(readme, 'utf8')
  const after = rewriteTables(before)
  if (before === after) return 0
  if (isCheck) {
    process.stderr.write('README.md is stale: run `npm run docs`\n')
    return 1
  }
  fs.writeFileSync(readme, after)
  return 0
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(fs.realpathSync(process.argv[1])).href)
  process.exitCode = main(process.argv.slice(2))

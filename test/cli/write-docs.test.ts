import assert from 'node:assert/strict'
import { test } from 'node:test'
import { numberFlags, renderTable, tableNames } from '../../lib/cli/option-tables.ts'
import { rewriteTables } from '../../lib/cli/write-docs.ts'
import { errorTable } from '../../lib/core/errors.ts'

test('rewrites each region and nothing else', () => {
  const document = `# Title\n\n<!-- table:pool -->\nold | text\n<!-- /table -->\n\nbetween\n\n<!-- table:errors -->\n<!-- /table -->\nend\n`
  const result = rewriteTables(document)
  assert.equal(
    result,
    `# Title\n\n<!-- table:pool -->\n\n${renderTable('pool')}\n\n<!-- /table -->\n\nbetween\n\n<!-- table:errors -->\n\n${renderTable('errors')}\n\n<!-- /table -->\nend\n`,
  )
  assert.equal(rewriteTables(result), result)
})

test('refuses a table that does not exist and a region without an end', () => {
  assert.throws(
    () => rewriteTables('<!-- table:none -->\n<!-- /table -->\n'),
    /not a table; there are timers, limits, pool, desync, signs, workers, errors/,
  )
  assert.throws(() => rewriteTables('<!-- table:pool -->\n| a |\n'), /1 regions begin .* and 0 end/)
  assert.throws(() => rewriteTables('<!-- table:pool -->\ntext\n<!-- table:errors -->\n<!-- /table -->\n'), /2 regions begin .* and 1 end/)
})

test('renders every option and every error once, in rows of equal width', () => {
  const text = tableNames.map(renderTable).join('\n')
  for (const flag of numberFlags) assert.equal(text.split(`| \`--${flag.name}\` `).length, 2, flag.name)
  for (const code of Object.keys(errorTable)) assert.equal(text.split(`| \`${code}\` `).length, 2, code)
  for (const name of tableNames) {
    const lines = renderTable(name).split('\n')
    assert.equal(new Set(lines.map((line) => line.length)).size, 1, name)
    assert.equal(new Set(lines.map((line) => line.split(/(?<!\\)\|/).length)).size, 1, name)
  }
  assert.match(renderTable('timers'), /\| `--timeout-keep-alive` +\| `timeouts\.keepAlive` +\| 75s +\|/)
  assert.match(renderTable('errors'), /\| `ERR_EPROXY_CLIENT_ABORTED` +\| – +\| client +\| `CD` +\|/)
})

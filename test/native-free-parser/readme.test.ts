/** The README of the parser holds what it says: its example runs and prints what stands there, and its tables are those of the code. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import test from 'node:test'
import { defaultRequestLimits, defaultResponseLimits, ParserState, ruleTable, type ParserLimits } from '../../native-free-parser/index.ts'
import { readText, root } from '../support/source-tree.ts'

const readme = readText('native-free-parser/README.md')

function block(language: string): string {
  const [, text] = new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, 'm').exec(readme) ?? []
  assert(text !== undefined, `the README has a block of ${language}`)
  return text
}

/** Rows of the table under a heading, cell by cell, without its head. */
function table(heading: string): string[][] {
  const [, section = ''] = new RegExp(`^## ${heading}$([^]*?)(?=^## |$(?![^]))`, 'm').exec(readme) ?? []
  const rows = section.split('\n').filter((line) => line.startsWith('|'))
  return rows.slice(2).map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim().replaceAll('`', '')),
  )
}

test('the example prints what the README says', () => {
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '--eval', block('js')], {
    cwd: root,
    encoding: 'utf8',
  })
  assert.equal(stderr, '')
  assert.equal(status, 0)
  assert.equal(stdout, block('text'))
})

test('the states are all there, in life order', () => {
  assert.deepEqual(
    table('States').map(([state]) => state),
    Object.values(ParserState),
  )
})

test('the limits are all there, with their defaults and rules', () => {
  const rows = table('Limits')
  assert.deepEqual(
    rows.map(([name]) => name),
    Object.keys(defaultRequestLimits),
  )
  for (const [name, requests, responses, rule] of rows) {
    assert.equal(Number(requests), defaultRequestLimits[name as keyof ParserLimits], name)
    assert.equal(Number(responses), defaultResponseLimits[name as keyof ParserLimits], name)
    assert(Object.hasOwn(ruleTable, rule!), rule)
  }
})

test('every rule and error code that it names exists', () => {
  for (const [rule] of readme.matchAll(/\bH1-[A-Z0-9-]+/g)) assert(Object.hasOwn(ruleTable, rule), rule)
  const errors = readText('native-free-parser/errors.ts')
  for (const [code] of readme.matchAll(/\bERR_[A-Z_]+/g)) assert(errors.includes(`'${code}'`), code)
})

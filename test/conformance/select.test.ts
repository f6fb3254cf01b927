import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadCases } from '../../lib/conformance/case-format.ts'
import { selectCases } from '../../lib/conformance/select.ts'

const all = loadCases()
const idsFor = (...patterns: string[]): string[] => selectCases(all, patterns).cases.map(({ id }) => id)

test('no pattern selects every case', () => {
  assert.equal(idsFor().length, all.length)
})

test('the name of a group selects that group and nothing else that contains the word', () => {
  const ids = idsFor('host')
  assert.ok(ids.length > 10)
  for (const id of ids) assert.match(id, /^host\//)
})

test('a glob is about the whole id or the whole group, any other word about a part of the id', () => {
  assert.deepEqual(
    idsFor('res-*'),
    all.filter(({ group }) => group.startsWith('res-')).map(({ id }) => id),
  )
  assert.deepEqual(idsFor('basic/plain-ge?'), ['basic/plain-get'])
  assert.deepEqual(idsFor('plain-get'), ['basic/plain-get'])
  assert.deepEqual(idsFor('basic/plain.get'), [])
})

test('patterns add up, in the order of the suite, and those that fit nothing are named', () => {
  assert.deepEqual(idsFor('plain-get', 'basic/plain*'), ['basic/plain-get'])
  assert.deepEqual(selectCases(all, ['basic', 'hots', 'x*y']).unmatched, ['hots', 'x*y'])
})

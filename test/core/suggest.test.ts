import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { editDistance, suggest } from '../../lib/core/suggest.ts'

test('counts insertions, deletions, substitutions and swaps as one each', () => {
  const cases: [string, string, number][] = [
    ['', '', 0],
    ['', 'abc', 3],
    ['listen', 'listen', 0],
    ['listn', 'listen', 1],
    ['lisetn', 'listen', 1],
    ['kitten', 'sitting', 3],
  ]
  for (const [a, b, distance] of cases) assert.equal(editDistance(a, b), distance, `${a} ${b}`)
})

test('the distance is symmetric, 0 only for equal texts, and at most the longer length', () => {
  const text = fc.string({ maxLength: 12 })
  fc.assert(
    fc.property(text, text, (a, b) => {
      const distance = editDistance(a, b)
      assert.equal(distance, editDistance(b, a))
      assert.equal(distance === 0, a === b)
      assert.ok(distance <= Math.max(a.length, b.length) && distance >= Math.abs(a.length - b.length))
    }),
  )
})

test('suggests the nearest name, or none when all are far', () => {
  const names = ['listen', 'upstream', 'timeout-connect', 'timeout-request', 'limit-connections', 'pool-connections']
  assert.equal(suggest('listne', names), 'listen')
  assert.equal(suggest('timeout-conn', names), 'timeout-connect')
  assert.equal(suggest('upstreams', names), 'upstream')
  assert.equal(suggest('connect', names), 'timeout-connect')
  assert.equal(suggest('port', names), undefined)
  assert.equal(suggest('foo', ['top']), undefined)
  assert.equal(suggest('tpo', ['top']), 'top')
  assert.equal(suggest('x'.repeat(100_000), names), undefined)
})

/** Whose turn it is. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { pickRoundRobin } from '../../lib/route/round-robin.ts'

const up = { isDown: false, isTried: false }
const down = { isDown: true, isTried: false }
const tried = { isDown: false, isTried: true }

test('servers take turns, those that are down are passed over, those that were tried are out', () => {
  assert.equal(pickRoundRobin([up, up, up], 1), 1)
  assert.equal(pickRoundRobin([up, down, up], 1), 2)
  assert.equal(pickRoundRobin([up, tried, down], 1), 0)
  assert.equal(pickRoundRobin([tried, down, down], 2), 2)
  assert.equal(pickRoundRobin([tried, tried], 0), -1)
  assert.equal(pickRoundRobin([], 0), -1)
})

test('a server that is up is found wherever the turn is; the choice is the first from there on', () => {
  const candidate = fc.record({ isDown: fc.boolean(), isTried: fc.boolean() })
  fc.assert(
    fc.property(fc.array(candidate, { minLength: 1, maxLength: 8 }), fc.nat(7), (candidates, turn) => {
      const next = turn % candidates.length
      const order = candidates.map((_, i) => (next + i) % candidates.length)
      const untried = order.filter((i) => !candidates[i]!.isTried)
      const wanted = untried.find((i) => !candidates[i]!.isDown) ?? untried[0] ?? -1
      assert.equal(pickRoundRobin(candidates, next), wanted)
    }),
  )
})

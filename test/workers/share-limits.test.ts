import assert from 'node:assert/strict'
import test from 'node:test'
import { limitTable, poolTable, resolveOptions } from '../../lib/core/options.ts'
import { shareLimits } from '../../lib/workers/share-limits.ts'

test('limits of the group are divided, rounded up, and nothing else is touched', () => {
  const options = { upstreams: ['a:1'], limits: { connections: 10, trailerFields: 7 }, pool: { connections: 3, waiting: 0 }, via: 'x' }
  assert.deepEqual(shareLimits(options, 4), {
    upstreams: ['a:1'],
    limits: { connections: 3, trailerFields: 7 },
    pool: { connections: 1, waiting: 0 },
    via: 'x',
  })
})

test('defaults are divided, too, and the result is valid for any number of workers', () => {
  assert.equal(shareLimits({}, 2).limits?.connections, limitTable.connections.default / 2)
  assert.equal(shareLimits({}, 2).pool?.connections, poolTable.connections.default / 2)
  for (const workers of [1, 3, 1_024]) resolveOptions(shareLimits({ limits: { connections: 1 }, pool: { connections: 1 } }, workers), '')
})

test('a group of one has all', () => {
  const { limits, pool } = resolveOptions(shareLimits({}, 1), '')
  assert.deepEqual({ limits, pool }, { limits: resolveOptions({}, '').limits, pool: resolveOptions({}, '').pool })
})

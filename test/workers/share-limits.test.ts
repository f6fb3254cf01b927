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

test('what a group of servers has of its own is divided, too, and what it has not is left to the whole', () => {
  const servers = [{ address: 'a:1', weight: 1, backup: false }]
  const group = {
    servers,
    balance: 'round-robin',
    hashOn: { kind: 'client' },
    stickyCookie: 'a',
    slowStartMs: 0,
    panicShare: 0,
    resolveAll: false,
    host: 'preserve',
  } as const
  const groups = {
    plain: group,
    own: { ...group, pool: { connections: 9, attempts: 2 }, breaker: { exchanges: 10, waiting: 0, retries: 1 } },
  }
  const shared = shareLimits({ service: { listeners: [], groups, routes: [], rateLimits: {} } }, 4)
  assert.deepEqual(shared.service?.groups['plain'], group)
  assert.deepEqual(shared.service?.groups['own']?.pool, { connections: 3, attempts: 2 })
  assert.deepEqual(shared.service?.groups['own']?.breaker, { exchanges: 3, waiting: 0, retries: 1 })
})

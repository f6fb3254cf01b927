import assert from 'node:assert/strict'
import test from 'node:test'
import { limitTable, poolTable, resolveOptions } from '../../lib/core/options.ts'
import type { RateLimitOptions } from '../../lib/core/service-options.ts'
import { shareLimits } from '../../lib/workers/share-limits.ts'
import { groupOf, listener, serviceOf } from '../support/service.ts'

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

test('what listeners and groups have of their own is divided, and what they have not stays that of all', () => {
  const service = {
    ...serviceOf({ own: { ...groupOf(['a:1']), pool: { connections: 10 } }, plain: groupOf(['b:1']) }),
    listeners: [{ ...listener, limits: { connections: 9, trailerFields: 5 } }, listener],
  }
  const shared = shareLimits({ service }, 4).service!
  assert.deepEqual(shared.listeners, [{ ...listener, limits: { connections: 3, trailerFields: 5 } }, listener])
  assert.deepEqual(shared.groups, { own: { ...groupOf(['a:1']), pool: { connections: 3 } }, plain: groupOf(['b:1']) })
})

test('a rate limit for many clients is divided; one for each client is not, and neither is one that is shared in a store', () => {
  const row = (key: RateLimitOptions['key'], shared = false): RateLimitOptions => ({
    requests: 100,
    perMs: 1_000,
    burst: 10,
    key,
    ipv6Prefix: 64,
    shared,
  })
  const rateLimits = {
    all: row({ kind: 'all' }),
    route: row({ kind: 'route' }),
    client: row({ kind: 'client' }),
    field: row({ kind: 'header', name: 'x-key' }),
    shared: row({ kind: 'all' }, true),
  }
  const divided = { perMs: 4_000, burst: 3 }
  assert.deepEqual(shareLimits({ service: { ...serviceOf({}), rateLimits } }, 4).service!.rateLimits, {
    ...rateLimits,
    all: { ...rateLimits.all, ...divided },
    route: { ...rateLimits.route, ...divided },
  })
})

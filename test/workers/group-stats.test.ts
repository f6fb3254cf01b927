import assert from 'node:assert/strict'
import test from 'node:test'
import { zeroDesyncCounts } from '../../lib/core/desync.ts'
import { createProxy, type DesyncKind } from '../../lib/index.ts'
import { unusedServer } from '../support/server-stats.ts'
import { addCounters, noStats, sumStats, sumWith } from '../../lib/workers/group-stats.ts'

const desync = zeroDesyncCounts()
const [kind] = Object.keys(desync) as [DesyncKind]
const pool = { ...unusedServer, idle: 1, busy: 2, connecting: 3, waiting: 4, isQuarantined: false, desync }
const quarantined = { ...pool, isQuarantined: true }
const one = { ...noStats, connections: 2, connectionsTotal: 5, desync: { ...desync, [kind]: 2 }, upstreams: { 'a:1': pool } }
const other = {
  ...noStats,
  connections: 1,
  connectionsTotal: 7,
  desync: { ...desync, [kind]: 3 },
  upstreams: { 'a:1': quarantined, 'b:1': pool },
}

test('figures are added name by name, those of a server too', () => {
  const sum = sumStats([one, other])
  assert.equal(sum.connections, 3)
  assert.equal(sum.connectionsTotal, 12)
  assert.deepEqual(sum.upstreams, { 'a:1': { ...quarantined, idle: 2, busy: 4, connecting: 6, waiting: 8 }, 'b:1': pool })
  assert.deepEqual(sumStats([]), noStats)
})

test('of a worker that has ended the counters remain, and nothing else', () => {
  const sum = addCounters(addCounters(noStats, one), other)
  assert.equal(sum.connectionsTotal, 12)
  assert.equal(sum.connections, 0)
  assert.equal(sum.desync[kind], 5)
  assert.deepEqual(
    Object.keys(sum.upstreams['a:1']!).filter((name) => !name.endsWith('Total')),
    [],
  )
  assert.equal(sumStats([sum, one]).connectionsTotal, 17)
})

test('every figure of a proxy has its place', () => {
  assert.deepEqual(Object.keys(createProxy().stats), Object.keys(noStats))
})

test('what a worker counted of a server outlives it, for as long as somebody has that server', () => {
  const busy = { ...noStats, upstreams: { 'a:1': { ...pool, exchangesTotal: 7 }, 'gone:1': { ...pool, exchangesTotal: 1 } } }
  const departed = addCounters(noStats, busy)
  const sum = sumWith(departed, [one])
  assert.deepEqual(Object.keys(sum.upstreams), ['a:1'])
  assert.equal(sum.upstreams['a:1']?.exchangesTotal, 7)
  assert.equal(sum.upstreams['a:1']?.idle, 1)
  assert.equal(sum.upstreams['a:1']?.state, 'up')
  assert.equal(sum.connectionsTotal, 5)
})

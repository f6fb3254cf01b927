import assert from 'node:assert/strict'
import test from 'node:test'
import { createProxy } from '../../lib/index.ts'
import { addCounters, noStats, sumStats } from '../../lib/workers/group-stats.ts'

const pool = { idle: 1, busy: 2, connecting: 3, waiting: 4 }
const one = { ...noStats, connections: 2, connectionsTotal: 5, upstreams: { 'a:1': pool } }
const other = { ...noStats, connections: 1, connectionsTotal: 7, upstreams: { 'a:1': pool, 'b:1': pool } }

test('figures are added name by name, those of a server too', () => {
  const sum = sumStats([one, other])
  assert.equal(sum.connections, 3)
  assert.equal(sum.connectionsTotal, 12)
  assert.deepEqual(sum.upstreams, { 'a:1': { idle: 2, busy: 4, connecting: 6, waiting: 8 }, 'b:1': pool })
  assert.deepEqual(sumStats([]), noStats)
})

test('of a worker that has ended the counters remain, and nothing else', () => {
  const sum = addCounters(addCounters(noStats, one), other)
  assert.equal(sum.connectionsTotal, 12)
  assert.equal(sum.connections, 0)
  assert.equal(sumStats([sum, one]).connectionsTotal, 17)
})

test('every figure of a proxy has its place', () => {
  assert.deepEqual(Object.keys(createProxy().stats), Object.keys(noStats))
})

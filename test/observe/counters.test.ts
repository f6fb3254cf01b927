import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Counters, noFigures } from '../../lib/observe/counters.ts'

test('a proxy that has done nothing has nothing to tell', () => {
  assert.deepEqual(new Counters().figures, noFigures)
})

test('an exchange counts by route, class of its status, and how it ended', () => {
  const counters = new Counters()
  const shop = counters.route('shop')
  counters.countExchange(shop, 200, '--', '', 100, 200, 1, 2, 3, 6)
  counters.countExchange(shop, 204, '--', '', 1, 2, 1, 2, 3, 6)
  counters.countExchange(shop, 0, 'CD', 'ERR_EPROXY_CLIENT_ABORTED', 10, 20, 1, -1, -1, 1)
  counters.countExchange(counters.route('blog'), 502, 'SC', 'ERR_EPROXY_CONNECT_FAILED', 10, 20, 1, -1, -1, 1)
  const { requests, terminations, errors, bytes, head, upstream, total } = counters.figures
  assert.deepEqual(requests, { shop: { none: 1, '2xx': 2 }, blog: { '5xx': 1 } })
  assert.deepEqual(terminations, { '--': 2, CD: 1, SC: 1 })
  assert.deepEqual(errors, { ERR_EPROXY_CLIENT_ABORTED: 1, ERR_EPROXY_CONNECT_FAILED: 1 })
  assert.deepEqual(bytes.client, { in: 121, out: 242 })
  assert.deepEqual([head.count, upstream.count, total.count], [4, 2, 4])
})

test('a route keeps its counters under its name', () => {
  const counters = new Counters()
  assert.equal(counters.route('shop'), counters.route('shop'))
})

test('routes beyond a thousand share one row', () => {
  const counters = new Counters()
  for (let index = 0; index < 1_200; index++) counters.countExchange(counters.route(`r${index}`), 200, '--', '', 0, 0, 0, 0, 0, 0)
  const { requests } = counters.figures
  assert.equal(Object.keys(requests).length, 1_001)
  assert.deepEqual(requests['other'], { '2xx': 200 })
})

test('what is rare counts by its names', () => {
  const counters = new Counters()
  counters.countViolation('H1-HOST-MISSING', 'client', 'reject')
  counters.countViolation('H1-HOST-MISSING', 'client', 'reject')
  counters.countViolation('H1-HOST-MISSING', 'upstream', 'warn')
  counters.countConnection('client', 'accepted')
  const { violations, connections } = counters.figures
  assert.deepEqual(violations, { 'H1-HOST-MISSING': { client: { reject: 2 }, upstream: { warn: 1 } } })
  assert.deepEqual(connections, { client: { accepted: 1 }, upstream: {} })
})

/** Waiting for a connection is bounded in length and time by the group's own figures: then 503, with Retry-After. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { until } from '../support/patience.ts'
import { ProxyUnderTest } from '../support/proxy-under-test.ts'
import { get } from '../support/raw-client.ts'
import { answering, ScriptedOrigin, silent } from '../support/scripted-origin.ts'
import { groupOf, routeTo, serviceOf } from '../support/service.ts'

test('a group has a queue of its own: its length and its time, whatever the proxy has for others', async (t) => {
  const origin = await ScriptedOrigin.start(t, silent)
  const group = groupOf([origin.address], { pool: { connections: 1, waiting: 1 }, timeouts: { queue: 300 } })
  // Far beyond the patience of a test: only the group's own time can end the wait.
  const proxy = await ProxyUnderTest.start(t, { timeouts: { queue: 600_000 }, service: serviceOf({ app: group }, routeTo('app')) })
  const served = await proxy.client()
  served.send(get('/served'))
  const connection = await origin.connection()
  await until(
    () => connection.heads.length === 1,
    () => 'the first request to have the only connection',
  )
  const waiting = await proxy.client()
  waiting.send(get('/waiting'))
  const response = await waiting.response()
  assert.equal(response.status, 503)
  assert.equal(response.field('Retry-After'), '1')
  assert.match(response.field('Proxy-Status'), /error=connection_limit_reached/)
  const summary = await proxy.summary()
  assert.equal(summary.error, 'ERR_EPROXY_QUEUE_TIMEOUT')
  assert.equal(summary.termination, 'sQ')
  connection.respond(200, 'done')
  assert.equal((await served.response()).body, 'done')
})

test('who finds the queue of a group full is told so at once', async (t) => {
  const origin = await ScriptedOrigin.start(t, silent)
  const group = groupOf([origin.address], { pool: { connections: 1, waiting: 1 }, timeouts: { queue: 600_000 } })
  const proxy = await ProxyUnderTest.start(t, { service: serviceOf({ app: group }, routeTo('app')) })
  const clients = [await proxy.client(), await proxy.client(), await proxy.client()]
  clients[0]!.send(get('/served'))
  await until(
    () => origin.heads.length === 1,
    () => 'the first request to have the only connection',
  )
  clients[1]!.send(get('/waiting'))
  await until(
    () => proxy.pool.waiting === 1,
    () => 'the second request to wait',
  )
  const response = await clients[2]!.exchange(get('/refused'))
  assert.equal(response.status, 503)
  assert.equal(response.field('Retry-After'), '1')
  assert.equal((await proxy.summary()).error, 'ERR_EPROXY_QUEUE_FULL')
  const connection = await origin.connection()
  connection.respond(200, 'first')
  assert.equal((await clients[0]!.response()).body, 'first')
  await until(
    () => origin.heads.length === 2,
    () => 'the second request to have its turn',
  )
  connection.respond(200, 'second')
  assert.equal((await clients[1]!.response()).body, 'second')
})

test('who waits is served when its time is not over, however long the proxy lets others wait', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const group = groupOf([origin.address], { pool: { connections: 1 }, timeouts: { queue: 60_000 } })
  const proxy = await ProxyUnderTest.start(t, { timeouts: { queue: 1 }, service: serviceOf({ app: group }, routeTo('app')) })
  const clients = await Promise.all(Array.from({ length: 10 }, () => proxy.client()))
  const statuses = await Promise.all(clients.map(async (client) => (await client.exchange(get())).status))
  assert.deepEqual(
    statuses,
    clients.map(() => 200),
  )
})

/** Timers that a file gives to one route: they hold for its exchanges, on connections that other routes use as well. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { interpret } from '../../lib/config/load.ts'
import type { ServiceOptions } from '../../lib/core/service-options.ts'
import { until } from '../support/patience.ts'
import { ProxyUnderTest } from '../support/proxy-under-test.ts'
import { get } from '../support/raw-client.ts'
import { answeringWith, ScriptedOrigin, type OriginConnection } from '../support/scripted-origin.ts'

/** The route of /soon has the timers, and everything else waits for as long as the test could take. */
function serviceOf(origin: string, timeouts: string): ServiceOptions {
  const text = `
upstreams: { app: { servers: ['${origin}'], timeouts: { responseHead: 1h, responseBodyIdle: 1h } } }
routes:
  - { match: { path: /soon }, upstream: app, timeouts: ${timeouts} }
  - { upstream: app }
`
  return interpret({ path: 'a.yaml', overrides: [], environment: {} }, text).configuration.service
}

test('responseHead of a route: 504 there, while another route waits on for the same server', async (t) => {
  const waiting = new Map<string, OriginConnection>()
  const origin = await ScriptedOrigin.start(
    t,
    answeringWith(({ target }, connection) => {
      if (target === '/now') connection.respond(200, 'now')
      else waiting.set(target, connection)
    }),
  )
  const proxy = await ProxyUnderTest.start(t, { service: serviceOf(origin.address, '{ responseHead: 150ms }') })
  const patient = await proxy.client()
  patient.send(get('/late'))
  await until(
    () => waiting.has('/late'),
    () => 'the request that waits',
  )
  const hasty = await proxy.client()
  assert.equal((await hasty.exchange(get('/now'))).status, 200)
  assert.equal((await hasty.exchange(get('/soon'))).status, 504)
  assert.equal(origin.connections.length, 2, 'the connection was used before, with the timers of its group')
  waiting.get('/late')!.respond(200, 'late')
  assert.equal((await patient.response()).body, 'late')
  const errors = [await proxy.summary(), await proxy.summary(), await proxy.summary()].map(({ error }) => error)
  assert.deepEqual(errors, ['', 'ERR_EPROXY_RESPONSE_HEAD_TIMEOUT', ''])
})

test('responseBodyIdle of a route: a body that stands still is cut there', async (t) => {
  const origin = await ScriptedOrigin.start(
    t,
    answeringWith((_, connection) => connection.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello')),
  )
  const proxy = await ProxyUnderTest.start(t, { service: serviceOf(origin.address, '{ responseBodyIdle: 150ms }') })
  const client = await proxy.client()
  client.send(get('/soon'))
  await client.until('hello')
  assert.equal(await client.ended(), 'reset')
  assert.equal((await proxy.summary()).error, 'ERR_EPROXY_RESPONSE_BODY_TIMEOUT')
})

test('request of a route: its exchanges end in that time, or have no limit, whatever the listener says', async (t) => {
  const waiting = new Map<string, OriginConnection>()
  const origin = await ScriptedOrigin.start(
    t,
    answeringWith(({ target }, connection) => void waiting.set(target, connection)),
  )
  const holds = (target: string): Promise<void> =>
    until(
      () => waiting.has(target),
      () => `the server to have ${target}`,
    )
  const proxy = await ProxyUnderTest.start(t, { service: serviceOf(origin.address, '{ request: 150ms }') })
  const patient = await proxy.client()
  patient.send(get('/late'))
  await holds('/late')
  const hasty = await proxy.client()
  assert.equal((await hasty.exchange(get('/soon'))).status, 504)
  waiting.get('/late')!.respond(200, 'late')
  assert.equal((await patient.response()).body, 'late')
  assert.deepEqual([(await proxy.summary()).error, (await proxy.summary()).error], ['ERR_EPROXY_REQUEST_TIMEOUT', ''])

  waiting.clear()
  const limited = await ProxyUnderTest.start(t, {
    timeouts: { request: 150 },
    service: serviceOf(origin.address, '{ request: 0 }'),
  })
  const free = await limited.client()
  free.send(get('/soon'))
  await holds('/soon')
  const other = await limited.client()
  // It began later, and is over.
  assert.equal((await other.exchange(get('/late'))).status, 504)
  waiting.get('/soon')!.respond(200, 'soon')
  assert.equal((await free.response()).body, 'soon')
})

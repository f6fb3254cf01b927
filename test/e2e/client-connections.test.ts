/** Connections of one client at a time: one too many is told so, others are not concerned, and whoever leaves makes room. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { ListenerOptions } from '../../lib/core/service-options.ts'
import { until } from '../support/patience.ts'
import { groupOf, listener, routeTo, serviceOf } from '../support/service.ts'
import { ProxyUnderTest } from '../support/proxy-under-test.ts'
import { get } from '../support/raw-client.ts'
import { answeringWith, ScriptedOrigin } from '../support/scripted-origin.ts'
import { TemporaryFolder } from '../support/temporary-folder.ts'

async function start(t: TestContext, changes: Partial<ListenerOptions>, address = '127.0.0.1:0'): Promise<ProxyUnderTest> {
  const origin = await ScriptedOrigin.start(
    t,
    answeringWith((_, connection) => connection.respond(200, 'hello')),
  )
  const service = { ...serviceOf({ a: groupOf([origin.address]) }, routeTo('a')), listeners: [{ ...listener, address, ...changes }] }
  return ProxyUnderTest.start(t, { service, listen: address })
}

test('one connection too many of a client is answered with 429 and closed; when another one has ended there is room again', async (t) => {
  const proxy = await start(t, { connectionsPerClient: 2 })
  const [one, two] = [await proxy.client(), await proxy.client()]
  for (const client of [one, two]) assert.equal((await client.exchange(get('/'))).status, 200)
  const refused = await proxy.client()
  const answer = await refused.response()
  assert.equal(answer.status, 429)
  assert.equal(answer.field('Retry-After'), '1')
  assert.equal(answer.field('Connection'), 'close')
  assert.match(answer.field('Proxy-Status'), /error=connection_limit_reached/)
  await refused.ended()
  const { connections, connectionsTotal, connectionsRefusedTotal } = proxy.proxy.stats
  assert.deepEqual(
    { connections, connectionsTotal, connectionsRefusedTotal },
    { connections: 2, connectionsTotal: 2, connectionsRefusedTotal: 1 },
  )

  one.destroy()
  await until(
    () => proxy.proxy.stats.connections === 1,
    () => 'one connection to be gone',
  )
  const next = await proxy.client()
  assert.equal((await next.exchange(get('/'))).status, 200)
  assert.equal((await two.exchange(get('/'))).status, 200)
})

test('clients with other addresses are not concerned', async (t) => {
  const proxy = await start(t, { connectionsPerClient: 1 }, '[::]:0')
  const port = proxy.address.slice(proxy.address.lastIndexOf(':') + 1)
  for (const address of ['127.0.0.1', '[::1]']) {
    proxy.address = `${address}:${port}`
    const client = await proxy.client()
    assert.equal((await client.exchange(get('/'))).status, 200)
    assert.equal((await (await proxy.client()).response()).status, 429)
  }
})

test('where no answer is wanted the connection is closed without one', async (t) => {
  const proxy = await start(t, { connectionsPerClient: 1, overload: 'close' })
  const client = await proxy.client()
  assert.equal((await client.exchange(get('/'))).status, 200)
  const refused = await proxy.client()
  await refused.ended()
  assert.equal(refused.unread, '')
})

test('peers on a unix socket are not counted: they speak for many', async (t) => {
  using folder = new TemporaryFolder()
  const proxy = await start(t, { connectionsPerClient: 1 }, `unix:${folder.file('proxy.sock')}`)
  for (let i = 0; i < 3; i++) assert.equal((await (await proxy.client()).exchange(get('/'))).status, 200)
})

test('a trusted proxy is not counted: it speaks for many', async (t) => {
  const proxy = await start(t, { connectionsPerClient: 1, trustedProxies: ['127.0.0.0/8'] })
  for (let i = 0; i < 3; i++) assert.equal((await (await proxy.client()).exchange(get('/'))).status, 200)
})

test('a limit that a reload brings counts connections from then on', async (t) => {
  const proxy = await start(t, { connectionsPerClient: 0 })
  const old = await proxy.client()
  assert.equal((await old.exchange(get('/'))).status, 200)
  const { config } = proxy.proxy
  const service = { ...config.service!, listeners: [{ ...listener, connectionsPerClient: 1 }] }
  proxy.proxy.reload({ ...config, upstreams: [], service })
  const next = await proxy.client()
  assert.equal((await next.exchange(get('/'))).status, 200)
  assert.equal((await (await proxy.client()).response()).status, 429)
  old.destroy()
  await until(
    () => proxy.proxy.stats.connections === 1,
    () => 'the old connection to be gone',
  )
  assert.equal((await (await proxy.client()).response()).status, 429, 'one that was not counted makes no room')
})

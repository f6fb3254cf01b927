/**
 * Copies of requests for another group: the same octets, on connections of their own, with an answer that nobody hears. Whatever becomes of a
 * copy, the client's exchange is what it would be without.
 */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { RouteOptions, GroupOptions } from '../../lib/core/service-options.ts'
import { copiesMax } from '../../lib/upstream/mirror.ts'
import { until } from '../support/patience.ts'
import { ProxyUnderTest, type StartOptions } from '../support/proxy-under-test.ts'
import { get, withBody, type RawClient } from '../support/raw-client.ts'
import { RefusingAddress } from '../support/refusing-address.ts'
import { answering, answeringWith, ScriptedOrigin, silent, type Script } from '../support/scripted-origin.ts'
import { socketAccess } from '../support/socket-access.ts'
import { groupOf, routeTo, serviceOf } from '../support/service.ts'

interface Mirrored {
  readonly origin: ScriptedOrigin
  readonly shadow: ScriptedOrigin
  readonly proxy: ProxyUnderTest
  readonly client: RawClient
}

interface MirrorOptions {
  readonly share?: number
  readonly script?: Script
  readonly route?: Partial<RouteOptions>
  readonly shadowGroup?: Partial<GroupOptions>
  readonly proxy?: StartOptions
}

async function startMirrored(t: TestContext, shadowScript: Script, options: MirrorOptions = {}): Promise<Mirrored> {
  const origin = await ScriptedOrigin.start(t, options.script ?? answering())
  const shadow = await ScriptedOrigin.start(t, shadowScript)
  const service = serviceOf(
    { app: groupOf([origin.address]), shadow: groupOf([shadow.address], options.shadowGroup) },
    routeTo('app', { mirror: { group: 'shadow', share: options.share ?? 1 }, ...options.route }),
  )
  const proxy = await ProxyUnderTest.start(t, { ...options.proxy, service })
  return { origin, shadow, proxy, client: await proxy.client() }
}

function countsOf(proxy: ProxyUnderTest): { copies: number; failed: number; dropped: Record<string, number> } {
  const { copiesTotal, copiesFailedTotal, copiesDroppedTotal } = proxy.proxy.stats.groups['shadow']!
  const dropped = Object.fromEntries(Object.entries(copiesDroppedTotal).filter(([, count]) => count > 0))
  return { copies: copiesTotal, failed: copiesFailedTotal, dropped }
}

/** No copy is under way any more. */
async function settled(proxy: ProxyUnderTest): Promise<void> {
  await until(
    () => proxy.proxy.stats.groups['shadow']!.active === 0,
    () => `the copies to be over: ${JSON.stringify(proxy.proxy.stats.groups)}`,
  )
}

test('a copy has the octets of the original, body and trailers included, and its answer is heard by nobody', async (t) => {
  const { origin, shadow, proxy, client } = await startMirrored(t, answering('shadow'), { script: answering('real') })
  assert.equal((await client.exchange(get('/a?b', 'X-Odd-cASE: 1\r\n'))).body, 'real')
  assert.equal((await client.exchange(withBody('POST', 'order'))).body, 'real')
  const chunked = 'PUT / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n0\r\nX-Sum: 1\r\n\r\n'
  assert.equal((await client.exchange(chunked)).body, 'real')
  await settled(proxy)
  assert.deepEqual(shadow.heads.toSorted(), origin.heads.toSorted())
  assert.equal(shadow.bytesReceived, origin.bytesReceived)
  assert.deepEqual(countsOf(proxy), { copies: 3, failed: 0, dropped: {} })
  assert.equal(proxy.summaries.length, 3, 'a copy is no exchange of its own')
})

test('a body that comes in pieces is copied as a whole, when it is complete', async (t) => {
  const bodies: string[] = []
  const { shadow, proxy, client } = await startMirrored(
    t,
    answeringWith((request, connection) => {
      bodies.push(request.body)
      connection.respond(200, '')
    }),
  )
  const body = 'some words '.repeat(1_000)
  client.send(withBody('POST', body).slice(0, -5_000))
  await until(
    () => proxy.pool.busy > 0,
    () => 'the first part to be at the server',
  )
  assert.equal(shadow.connections.length, 0)
  client.send(body.slice(-5_000))
  assert.equal((await client.response()).status, 200)
  await settled(proxy)
  assert.deepEqual(bodies, [body])
})

test('a request with more than replayBytes has no copy, which is counted', async (t) => {
  const { shadow, proxy, client } = await startMirrored(t, answering(), { proxy: { limits: { replayBytes: 1_000 } } })
  assert.equal((await client.exchange(withBody('POST', 'x'.repeat(1_000)))).status, 200)
  assert.deepEqual(countsOf(proxy), { copies: 0, failed: 0, dropped: { 'too-large': 1 } })
  assert.equal(shadow.connections.length, 0)
})

test('a request that is cut has no copy', async (t) => {
  const { shadow, proxy, client } = await startMirrored(t, answering())
  client.send(withBody('POST', 'order').slice(0, -2))
  await until(
    () => proxy.pool.busy > 0,
    () => 'the request to be at the server',
  )
  client.destroy()
  await proxy.summary()
  assert.deepEqual(countsOf(proxy), { copies: 0, failed: 0, dropped: { incomplete: 1 } })
  assert.equal(shadow.connections.length, 0)
})

test('a share of 0 copies nothing', async (t) => {
  const { shadow, client } = await startMirrored(t, answering(), { share: 0 })
  assert.equal((await client.exchange(get())).status, 200)
  assert.equal(shadow.connections.length, 0)
})

test('a share of a half copies some and not all of many', async (t) => {
  const { proxy, client } = await startMirrored(t, answering(), { share: 0.5 })
  // All or none of 64 has a chance of 1 in 2^63.
  for (let i = 0; i < 64; i++) await client.exchange(get())
  const { copies } = countsOf(proxy)
  assert.ok(copies > 0 && copies < 64, String(copies))
  await settled(proxy)
})

const hostile: readonly { readonly name: string; readonly script: Script }[] = [
  {
    name: 'closes at once',
    script: async (connection) => connection.end(),
  },
  {
    name: 'resets',
    script: async (connection) => {
      await connection.head()
      connection.reset()
    },
  },
  {
    name: 'answers nonsense',
    script: async (connection) => {
      await connection.head()
      connection.send('what?\r\n\r\n')
    },
  },
  {
    name: 'switches to another protocol that nobody offered',
    script: async (connection) => {
      await connection.head()
      connection.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
      await connection.ended()
    },
  },
  {
    name: 'answers more than anyone would throw away',
    script: async (connection) => {
      await connection.head()
      connection.send(`HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n${'x'.repeat(400_000)}`)
      await connection.ended()
    },
  },
  {
    name: 'answers half a head and stalls',
    script: async (connection) => {
      await connection.head()
      connection.send('HTTP/1.1 200 OK\r\nX-')
      await connection.ended()
    },
  },
]

for (const { name, script } of hostile) {
  test(`a group for copies that ${name} is no matter to the client`, async (t) => {
    const { proxy, client } = await startMirrored(t, script, { shadowGroup: { timeouts: { responseHead: 500 } } })
    for (let i = 0; i < 3; i++) assert.equal((await client.exchange(get())).status, 200)
    await settled(proxy)
    assert.deepEqual(countsOf(proxy), { copies: 3, failed: 3, dropped: {} })
    for (const { termination, retries } of proxy.summaries) assert.deepEqual({ termination, retries }, { termination: '--', retries: 0 })
  })
}

test('a group for copies that refuses connections is no matter to the client', async (t) => {
  const refusing = await RefusingAddress.hold(t)
  const origin = await ScriptedOrigin.start(t, answering())
  const service = serviceOf(
    { app: groupOf([origin.address]), shadow: groupOf([refusing.address]) },
    routeTo('app', { mirror: { group: 'shadow', share: 1 } }),
  )
  const proxy = await ProxyUnderTest.start(t, { service })
  assert.equal((await (await proxy.client()).exchange(get())).status, 200)
  await settled(proxy)
  assert.equal(countsOf(proxy).failed, 1)
})

test('copies that nobody answers are bounded in number, and what is beyond is dropped', async (t) => {
  const { shadow, proxy, client } = await startMirrored(t, silent)
  for (let i = 0; i < copiesMax + 5; i++) assert.equal((await client.exchange(get())).status, 200)
  assert.deepEqual(countsOf(proxy), { copies: copiesMax, failed: 0, dropped: { busy: 5 } })
  assert.ok(shadow.connections.length <= copiesMax)
})

test('a connection that has carried a copy carries no request of a client', async (t) => {
  const { shadow, proxy, client } = await startMirrored(t, answering('shadow'), { script: answering('real') })
  assert.equal((await client.exchange(get('/copied'))).body, 'real')
  await settled(proxy)
  const { groups } = proxy.proxy.config.service!
  proxy.proxy.reload({ ...socketAccess, service: serviceOf(groups, routeTo('shadow')) })
  assert.equal((await client.exchange(get('/direct'))).body, 'shadow')
  assert.deepEqual(
    shadow.connections.map(({ heads }) => heads.map((head) => head.split(' ')[1])),
    [['/copied'], ['/direct']],
  )
})

test('a request that offers another protocol has no copy', async (t) => {
  const { shadow, client } = await startMirrored(t, answering())
  assert.equal((await client.exchange(get('/', 'Connection: Upgrade\r\nUpgrade: echo\r\n'))).status, 200)
  assert.equal(shadow.connections.length, 0)
})

test('copies that are under way end with the proxy', async (t) => {
  const { shadow, proxy, client } = await startMirrored(t, silent)
  assert.equal((await client.exchange(get())).status, 200)
  const connection = await shadow.connection()
  await proxy.proxy.close({ graceMs: 0 })
  await connection.ended()
  assert.equal(proxy.proxy.stats.groups['shadow']!.active, 0)
})

/**
 * A fault of our own, or of the code that uses the library, stays with the connection that it happened on: it is reported, that
 * connection ends, and everybody else goes on.
 */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { ProxyUnderTest } from '../support/proxy-under-test.ts'
import { get } from '../support/raw-client.ts'
import { answering, ScriptedOrigin, silent, type Script } from '../support/scripted-origin.ts'

/** A proxy with a listener that throws for every exchange with this target. */
async function startFaulty(t: TestContext, script: Script, target: string) {
  const origin = await ScriptedOrigin.start(t, script)
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], timeouts: { responseHead: 300 } })
  proxy.proxy.on('exchange', (summary) => {
    if (summary.target === target) throw new Error(`listener for ${target}`)
  })
  return { origin, proxy }
}

/** The faults that were asked for, and no others. */
function assertFaults(proxy: ProxyUnderTest, target: string, count: number): void {
  assert.deepEqual(
    proxy.faults.map(({ message }) => message),
    Array.from({ length: count }, () => `listener for ${target}`),
  )
  assert.equal(proxy.proxy.stats.faultsTotal, count)
  proxy.faults.length = 0
}

test("an 'exchange' listener that throws: the response is delivered, the client is not left hanging, others go on", async (t) => {
  const { proxy } = await startFaulty(t, answering(), '/faulty')
  const other = await proxy.client()
  assert.equal((await other.exchange(get('/before'))).status, 200)
  const client = await proxy.client()
  const response = await client.exchange(get('/faulty'))
  assert.equal(response.body, 'ok')
  // Its connection may end or go on, but it must do one of them.
  client.send(get('/after'))
  await Promise.race([client.ended(), client.until('\r\n\r\nok')])
  assert.equal((await other.exchange(get('/after'))).status, 200)
  assertFaults(proxy, '/faulty', 1)
  client.end()
  other.end()
  await proxy.quiet()
})

test("an 'exchange' listener that throws for a pipelined request: others go on", async (t) => {
  const { proxy } = await startFaulty(t, answering(), '/faulty')
  const client = await proxy.client()
  client.send(get('/faulty') + get('/behind'))
  assert.equal((await client.response()).status, 200)
  await Promise.race([client.ended(), client.until('\r\n\r\nok')])
  assertFaults(proxy, '/faulty', 1)
  assert.equal((await (await proxy.client()).exchange(get())).status, 200)
})

test("an 'exchange' listener that throws for a refused request: the client is closed", async (t) => {
  const { proxy } = await startFaulty(t, answering(), '')
  const client = await proxy.client()
  const response = await client.exchange('nonsense\r\n\r\n')
  assert.equal(response.status, 400)
  await client.closed()
  await proxy.quiet()
  assertFaults(proxy, '', 1)
})

test("an 'exchange' listener that throws for a timeout: the client is answered and nothing is left", async (t) => {
  const { origin, proxy } = await startFaulty(t, silent, '/faulty')
  const client = await proxy.client()
  assert.equal((await client.exchange(get('/faulty'))).status, 504)
  await (await origin.connection()).ended()
  client.end()
  await client.ended()
  await proxy.quiet()
  assertFaults(proxy, '/faulty', 1)
})

test("an 'exchange' listener that throws for a client that left: nothing is left", async (t) => {
  const { origin, proxy } = await startFaulty(t, silent, '/faulty')
  const client = await proxy.client()
  client.send(get('/faulty'))
  const connection = await origin.connection()
  await connection.ended().catch(() => {})
  client.reset()
  await proxy.quiet()
  proxy.faults.length = 0
})

test("an 'exchange' listener that throws for a tunnel: both sides are closed", async (t) => {
  const switching: Script = async (connection) => {
    await connection.request()
    connection.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\n')
  }
  const { origin, proxy } = await startFaulty(t, switching, '/faulty')
  const client = await proxy.client()
  assert.equal((await client.exchange(get('/faulty', 'Connection: Upgrade\r\nUpgrade: test\r\n'))).status, 101)
  const connection = await origin.connection()
  connection.end()
  await client.closed()
  await connection.ended()
  await proxy.quiet()
  assertFaults(proxy, '/faulty', 1)
})

test("a 'connection' listener that throws does not stop the proxy from accepting", async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  let connections = 0
  proxy.proxy.on('connection', () => {
    if (++connections === 1) throw new Error('listener for connections')
  })
  const first = await proxy.client()
  const second = await proxy.client()
  assert.equal((await second.exchange(get())).status, 200)
  first.send(get())
  await Promise.race([first.ended(), first.until('\r\n\r\nok')])
  assert.equal(proxy.faults.length, 1)
  proxy.faults.length = 0
})

test('a hundred faults in a row leak nothing', async (t) => {
  const { origin, proxy } = await startFaulty(t, answering(), '/faulty')
  for (let i = 0; i < 100; i++) {
    const client = await proxy.client()
    assert.equal((await client.exchange(get('/faulty'))).status, 200)
    client.end()
    await client.ended()
  }
  await proxy.quiet()
  assertFaults(proxy, '/faulty', 100)
  assert.ok(proxy.pool.idle <= origin.connections.length)
})

/** The size of a request body: refused at once where it is told, while it comes where it is not, and the server never takes a part for the whole. */
import assert from 'node:assert/strict'
import test, { type TestContext } from 'node:test'
import { patiently } from '../support/patience.ts'
import { ProxyUnderTest } from '../support/proxy-under-test.ts'
import { withBody } from '../support/raw-client.ts'
import { answering, ScriptedOrigin, type Script } from '../support/scripted-origin.ts'
import { serviceFor } from '../support/service.ts'

const chunked = 'POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n'

async function setUp(t: TestContext, requestBodyBytes: number, routeBytes?: number, script: Script = answering()) {
  const origin = await ScriptedOrigin.start(t, script)
  const route = routeBytes === undefined ? {} : { requestBodyBytes: routeBytes }
  const service = serviceFor(origin.address, { listener: { requestBodyBytes }, route })
  const proxy = await ProxyUnderTest.start(t, { service, via: '' })
  return { origin, proxy, client: await proxy.client() }
}

test('a body that is told to be too large is refused, and nothing of it reaches a server', async (t) => {
  const { origin, proxy, client } = await setUp(t, 10)
  assert.equal((await client.exchange(withBody('POST', 'a'.repeat(10)))).status, 200)
  const response = await client.exchange('POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 11\r\n\r\n')
  assert.equal(response.status, 413)
  assert.equal(response.field('Connection'), 'close')
  assert.match(response.body, /requestBodyBytes/)
  assert.equal(await client.closed(), 'fin')
  assert.equal(origin.heads.length, 1)
  await proxy.summary()
  const { error, status, termination } = await proxy.summary()
  assert.deepEqual([error, status, termination], ['ERR_EPROXY_REQUEST_BODY_SIZE', 413, 'PR'])
})

test('who asks before sending is told at once', async (t) => {
  const { origin, client } = await setUp(t, 10)
  const response = await client.exchange('POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n')
  assert.equal(response.status, 413)
  assert.equal(origin.connections.length, 0)
})

test('a chunked body is refused when it becomes too large, and the server gets no end of it', async (t) => {
  let hasArrived = (): void => {}
  const arrival = new Promise<void>((resolve) => (hasArrived = resolve))
  const { origin, proxy, client } = await setUp(t, 10, undefined, async (connection) => {
    await connection.until('0123456789')
    hasArrived()
  })
  client.send(`${chunked}a\r\n0123456789\r\n`)
  await patiently(arrival, () => 'the first chunk to arrive')
  client.send('1\r\nx\r\n0\r\n\r\n')
  const response = await client.response()
  assert.equal(response.status, 413)
  assert.equal(await client.closed(), 'fin')
  assert.equal(await origin.connections[0]!.ended(), 'reset')
  assert.doesNotMatch(origin.connections[0]!.unread, /\r\n0\r\n/)
  assert.equal((await proxy.summary()).error, 'ERR_EPROXY_REQUEST_BODY_SIZE')
})

test('a chunked body of exactly the size passes, and one of one octet more in one read does not', async (t) => {
  const { origin, client } = await setUp(t, 10)
  assert.equal((await client.exchange(`${chunked}a\r\n0123456789\r\n0\r\n\r\n`)).status, 200)
  assert.equal((await client.exchange(`${chunked}b\r\n0123456789x\r\n0\r\n\r\n`)).status, 413)
  assert.equal(origin.heads.length, 1)
})

test('a route has a size of its own', async (t) => {
  const larger = await setUp(t, 10, 20)
  assert.equal((await larger.client.exchange(withBody('POST', 'a'.repeat(20)))).status, 200)
  assert.equal((await larger.client.exchange(withBody('POST', 'a'.repeat(21)))).status, 413)
  const unlimited = await setUp(t, 10, 0)
  assert.equal((await unlimited.client.exchange(withBody('POST', 'a'.repeat(1_000)))).status, 200)
})

test('a response that has begun is cut instead', async (t) => {
  const { proxy, client } = await setUp(t, 10, undefined, async (connection) => {
    await connection.head()
    connection.send('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart')
  })
  client.send(`${chunked}a\r\n0123456789\r\n`)
  await client.until('part')
  client.send('1\r\nx\r\n')
  assert.equal(await client.ended(), 'reset')
  assert.equal((await proxy.summary()).error, 'ERR_EPROXY_REQUEST_BODY_SIZE')
})

/** Expect: 100-continue from end to end (RFC 9110 section 10.1.1): the origin decides, the proxy passes on what it says. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { ProxyUnderTest } from '../support/proxy-under-test.ts'
import { get } from '../support/raw-client.ts'
import { answering, ScriptedOrigin, type Script } from '../support/scripted-origin.ts'

const expecting = 'POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n'

/** Says 100 when a head asks for it, then answers with the body. */
const continuing: Script = async (connection) => {
  for (;;) {
    const request = await connection.head()
    if (request.field('Expect') !== '') connection.send('HTTP/1.1 100 Continue\r\nX-Origin: yes\r\n\r\n')
    const body = await connection.take(Number(request.field('Content-Length')))
    connection.respond(200, body)
  }
}

test('100 of the origin reaches the client, then the body reaches the origin', async (t) => {
  const origin = await ScriptedOrigin.start(t, continuing)
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  for (let i = 0; i < 2; i++) {
    const interim = await client.exchange(expecting)
    assert.equal(interim.status, 100)
    assert.equal(interim.field('X-Origin'), 'yes', 'it is the origin that says so')
    const final = await client.exchange('words')
    assert.equal(final.status, 200)
    assert.equal(final.body, 'words')
    assert.equal(final.field('Connection'), '')
  }
  assert.match(origin.heads[0]!, /\r\nExpect: 100-continue\r\n/)
  assert.equal(origin.connections.length, 1)
})

test('a client that never waits gets both answers, and its body arrives once', async (t) => {
  const origin = await ScriptedOrigin.start(t, continuing)
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  assert.equal((await client.exchange(expecting + 'words')).status, 100)
  assert.equal((await client.response()).body, 'words')
  assert.equal((await client.exchange(get())).status, 200)
})

test('an origin that ignores Expect answers when it has the body', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  assert.equal((await client.exchange(expecting + 'words')).status, 200)
})

test('417 of the origin reaches the client instead, and the connection ends without the body', async (t) => {
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    await connection.head()
    connection.respond(417, 'no')
  })
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  const response = await client.exchange(expecting)
  assert.equal(response.status, 417)
  assert.equal(response.body, 'no')
  assert.equal(response.field('Connection'), 'close')
  assert.equal(await client.closed(), 'fin')
  const summary = await proxy.summary()
  assert.equal(summary.status, 417)
  assert.equal(summary.termination, '--')
  await (await origin.connection()).ended()
  assert.equal(proxy.pool.idle, 0)
})

/*
 * 1. A client expects 100 and declares a body as long as the head of its next request.
 * 2. The origin answers 200 without a 100, so the client rightly keeps the body to itself (RFC 9110 section 10.1.1).
 * 3. Its next request was taken for that body, and the body of that request for a request.
 * The connection has to end with the answer: nobody knows any more where the next request begins.
 */
test('a final answer instead of 100 ends the connection, because the body may come or not', async (t) => {
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    await connection.head()
    connection.respond(200, 'no need')
  })
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  const response = await client.exchange(expecting)
  assert.equal(response.body, 'no need')
  assert.equal(response.field('Connection'), 'close')
  client.send(get('/next'))
  await client.closed()
  assert.equal(client.unread, '')
  assert.equal(origin.connections.length, 1, 'what followed reached no server')
})

test('other interim responses before and after 100 reach the client too', async (t) => {
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    await connection.head()
    connection.send('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n')
    await connection.take(5)
    connection.send('HTTP/1.1 102 Processing\r\n\r\n')
    connection.respond(200, 'done')
  })
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  assert.equal((await client.exchange(expecting)).status, 103)
  assert.equal((await client.response()).status, 100)
  assert.equal((await client.exchange('words')).status, 102)
  assert.equal((await client.response()).status, 200)
})

for (const value of ['200-ok', '100-continue, 200-ok', '100-continued', '']) {
  test(`the expectation ${JSON.stringify(value)} is not known: 417 of the proxy`, async (t) => {
    const origin = await ScriptedOrigin.start(t, answering())
    const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
    const client = await proxy.client()
    const response = await client.exchange(expecting.replace('100-continue', value))
    assert.equal(response.status, 417)
    assert.match(response.body, /H1-EXPECT at byte [0-9]+:/)
    assert.equal(await client.closed(), 'fin')
    assert.equal(origin.bytesReceived, 0)
  })
}

test('the expectation is not case-sensitive', async (t) => {
  const origin = await ScriptedOrigin.start(t, continuing)
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  assert.equal((await (await proxy.client()).exchange(expecting.replace('100-continue', '100-Continue'))).status, 100)
})

test('a 1.0 client expects nothing: the field is dropped, and it sees no 100', async (t) => {
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    await connection.head()
    connection.send('HTTP/1.1 100 Continue\r\n\r\n')
    await connection.take(5)
    connection.respond(200, 'done')
  })
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const response = await (await proxy.client()).exchange(expecting.replace('HTTP/1.1', 'HTTP/1.0') + 'words')
  assert.equal(response.status, 200)
  assert.doesNotMatch(origin.heads[0]!, /Expect/i)
})

test('a client that was told to go on and does not is late', async (t) => {
  const origin = await ScriptedOrigin.start(t, continuing)
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], timeouts: { requestBodyIdle: 150 } })
  const client = await proxy.client()
  assert.equal((await client.exchange(expecting)).status, 100)
  assert.equal((await client.response()).status, 408)
  assert.equal((await proxy.summary()).termination, 'cD')
  await client.closed()
})

test('a client that waits for 100 is not late as long as the origin thinks about it', async (t) => {
  let tell = (): void => {}
  const told = new Promise<void>((resolve) => (tell = resolve))
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    await connection.head()
    // As long as another client's body takes to be late.
    await told
    connection.send('HTTP/1.1 100 Continue\r\n\r\n')
    await connection.take(5)
    connection.respond(200, 'done')
  })
  const other = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address, other.address], timeouts: { requestBodyIdle: 150 } })
  const waiting = await proxy.client()
  waiting.send(expecting)
  await origin.connection()
  const late = await proxy.client()
  assert.equal((await late.exchange(expecting.replace('Expect: 100-continue\r\n', '') + 'w')).status, 408)
  tell()
  assert.equal((await waiting.response()).status, 100)
  assert.equal((await waiting.exchange('words')).body, 'done')
})

test('a client that begins to send without waiting is not held to the deadline of the server', async (t) => {
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    const { target } = await connection.head()
    // The clock of this test: the server's deadline, met by another request.
    if (target === '/silent') return
    connection.respond(200, await connection.take(5))
  })
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], timeouts: { responseHead: 150 } })
  const client = await proxy.client()
  client.send(expecting + 'wo')
  await origin.connection()
  const other = await proxy.client()
  assert.equal((await other.exchange(get('/silent'))).status, 504)
  assert.equal((await client.exchange('rds')).body, 'words')
})

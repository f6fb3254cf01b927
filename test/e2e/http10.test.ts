/** HTTP/1.0 on either side, and bodies that end with their connection: what is complete looks complete, what was cut looks cut. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { ProxyUnderTest } from '../support/proxy-under-test.ts'
import { get, withBody } from '../support/raw-client.ts'
import { answering, answeringWith, ScriptedOrigin, type Script } from '../support/scripted-origin.ts'
import { WireEnded } from '../support/wire.ts'

const untilClose: Script = async (connection) => {
  await connection.request()
  connection.send('HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhello')
}
const oldGet = 'GET / HTTP/1.0\r\nHost: test\r\n\r\n'

test('a 1.0 request is passed on as 1.1, with a Host if it has none', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], via: 'test' })
  const client = await proxy.client()
  const response = await client.exchange('GET /path HTTP/1.0\r\n\r\n')
  assert.equal(response.status, 200)
  assert.match(response.head, /^HTTP\/1\.1 200 /)
  assert.equal(response.field('Connection'), 'close')
  assert.equal(await client.closed(), 'fin')
  assert.equal(origin.heads[0], `GET /path HTTP/1.1\r\nHost: ${origin.address}\r\nVia: 1.0 test\r\n\r\n`)
  assert.equal((await proxy.summary()).version, '1.0')
})

test('a 1.0 client that asks for it keeps its connection', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  for (let i = 0; i < 3; i++) {
    const response = await client.exchange('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n')
    assert.equal(response.field('Connection'), 'keep-alive')
    assert.equal(response.body, 'ok')
  }
  assert.equal((await client.exchange(oldGet)).field('Connection'), 'close')
  await client.closed()
})

test('a 1.0 client gets a chunked body without chunks, ended by the close, also when it asked to keep the connection', async (t) => {
  const origin = await ScriptedOrigin.start(
    t,
    answeringWith((_, connection) =>
      connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\nX-T: 1\r\n\r\n'),
    ),
  )
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  for (const fields of ['', 'Connection: keep-alive\r\n']) {
    const client = await proxy.client()
    const response = await client.exchange(`GET / HTTP/1.0\r\n${fields}\r\n`)
    assert.equal(response.body, 'hello')
    assert.equal(response.ending, 'fin')
    assert.equal(response.field('Transfer-Encoding'), '')
    assert.equal(response.field('Trailer'), '')
    assert.equal(response.field('Connection'), 'close')
    client.end()
  }
  assert.equal(origin.connections.length, 1, 'the upstream connection has nothing to do with it')
})

test('a 1.0 client whose chunked body is cut sees a reset', async (t) => {
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    await connection.request()
    connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n')
  })
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  client.send(oldGet)
  await client.until('\r\n\r\nhello')
  ;(await origin.connection()).end()
  assert.equal(await client.ended(), 'reset')
  assert.equal((await proxy.summary()).termination, 'SD')
})

test('a 1.0 client sends a body of known length', async (t) => {
  const origin = await ScriptedOrigin.start(
    t,
    answeringWith((request, connection) => connection.respond(200, request.body)),
  )
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  assert.equal((await client.exchange(withBody('POST', 'words').replace('HTTP/1.1', 'HTTP/1.0'))).body, 'words')
})

test('a 1.0 client sees no interim responses', async (t) => {
  const origin = await ScriptedOrigin.start(
    t,
    answeringWith((_, connection) => {
      connection.send('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n')
      connection.respond(200, 'ok')
    }),
  )
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  assert.equal((await (await proxy.client()).exchange(oldGet)).status, 200)
})

test('a 1.0 client is offered no upgrade', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  assert.equal((await client.exchange('GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\n')).status, 200)
  assert.doesNotMatch(origin.heads[0]!, /upgrade/i)
})

test('a body that ends with the connection is chunked for a 1.1 client, which goes on', async (t) => {
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    await untilClose(connection, 0)
    connection.end()
  })
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  for (let i = 0; i < 2; i++) {
    const response = await client.exchange(get())
    assert.equal(response.body, 'hello')
    assert.equal(response.field('Transfer-Encoding'), 'chunked')
    assert.equal(response.field('Connection'), '')
  }
  assert.equal(origin.connections.length, 2)
})

test('a body that ends with the connection and is cut by RST has no last chunk', async (t) => {
  const origin = await ScriptedOrigin.start(t, untilClose)
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  client.send(get())
  await client.until('hello\r\n')
  ;(await origin.connection()).reset()
  await assert.rejects(client.until('0\r\n\r\n'), WireEnded)
  assert.equal(client.ending, 'reset')
  assert.equal((await proxy.summary()).error, 'ERR_EPROXY_RESPONSE_INCOMPLETE')
})

test('a body that ends with the connection stays what it is for a 1.0 client', async (t) => {
  const origin = await ScriptedOrigin.start(t, async (connection, index) => {
    await untilClose(connection, index)
    if (index === 0) connection.end()
  })
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const whole = await proxy.client()
  const response = await whole.exchange(oldGet)
  assert.equal(response.body, 'hello')
  assert.equal(response.ending, 'fin')
  assert.equal(response.field('Transfer-Encoding'), '')
  whole.end()
  const cut = await proxy.client()
  cut.send(oldGet)
  await cut.until('hello')
  ;(await origin.connection(1)).reset()
  assert.equal(await cut.ended(), 'reset')
})

test('an empty body that ends with the connection is complete', async (t) => {
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    await connection.request()
    connection.send('HTTP/1.0 200 OK\r\n\r\n')
    connection.end()
  })
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  assert.equal((await client.exchange(get())).body, '')
  assert.equal((await client.exchange(oldGet)).body, '')
})

test('a 1.0 response is passed on as 1.1, with its reason', async (t) => {
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    await connection.request()
    connection.send('HTTP/1.0 404 Nothing Here\r\nContent-Length: 2\r\n\r\nno')
  })
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], via: 'test' })
  const response = await (await proxy.client()).exchange(get())
  assert.match(response.head, /^HTTP\/1\.1 404 Nothing Here\r\n/)
  assert.equal(response.field('Via'), '1.0 test')
})

test('a 1.0 response with Transfer-Encoding is refused', async (t) => {
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    await connection.request()
    connection.send('HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n')
  })
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  assert.equal((await (await proxy.client()).exchange(get())).status, 502)
  assert.equal((await proxy.summary()).rule, 'H1-TE-HTTP10')
})

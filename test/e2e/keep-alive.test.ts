/** Client connections that carry many requests: when they go on, when they do not, and that they cost nothing more with every exchange. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { ProxyUnderTest } from '../support/proxy-under-test.ts'
import { get, withBody } from '../support/raw-client.ts'
import { answering, answeringWith, ScriptedOrigin } from '../support/scripted-origin.ts'

test('10 000 exchanges on four connections: no more sockets, deadlines or parser slots than at the start', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const clients = await Promise.all([proxy.client(), proxy.client(), proxy.client(), proxy.client()])
  const run = async (exchanges: number): Promise<void> => {
    await Promise.all(
      clients.map(async (client) => {
        for (let i = 0; i < exchanges / clients.length; i++) {
          client.send(get())
          assert.match(await client.until('\r\n\r\nok'), /^HTTP\/1\.1 200 /)
        }
      }),
    )
  }
  await run(1_000)
  const before = proxy.proxy.stats
  await run(9_000)
  const after = proxy.proxy.stats
  assert.equal(after.exchangesTotal, 10_000)
  assert.equal(after.connections, 4)
  assert.equal(after.connectionsTotal, 4)
  assert.equal(after.parserSlots, 0)
  assert.equal(after.parserMemoryBytes, before.parserMemoryBytes)
  assert.equal(after.faultsTotal + after.refusedTotal, 0)
  assert(Object.values(after.desync).every((count) => count === 0))
  // Two for each connection of either side at most, and those of the exchanges.
  assert.ok(after.deadlines <= 4 * 4 + 4 * 2, `${after.deadlines} deadlines, ${before.deadlines} before`)
  assert.ok(origin.connections.length <= 4, `${origin.connections.length} connections to the origin`)
  const sum = proxy.summaries.filter(({ status, termination }) => status === 200 && termination === '--').length
  assert.equal(sum, 10_000)
  assert.equal(new Set(proxy.summaries.map(({ id }) => id)).size, 10_000)
})

test('a 1.1 connection goes on after every kind of exchange that ends well', async (t) => {
  const origin = await ScriptedOrigin.start(
    t,
    answeringWith((request, connection) => {
      if (request.target === '/chunked') connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n')
      else if (request.target === '/none') connection.send('HTTP/1.1 204 No Content\r\n\r\n')
      else if (request.target === '/close') {
        connection.send('HTTP/1.1 200 OK\r\n\r\nok')
        connection.end()
      } else if (request.method === 'HEAD') connection.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n')
      else connection.respond(200, request.body === '' ? 'ok' : request.body)
    }),
  )
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  for (const [request, status, body] of [
    [get(), 200, 'ok'],
    [get('/chunked'), 200, 'ok'],
    [get('/none'), 204, ''],
    [get('/close'), 200, 'ok'],
    ['HEAD / HTTP/1.1\r\nHost: test\r\n\r\n', 200, ''],
    [withBody('POST', 'words'), 200, 'words'],
    ['POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwords\r\n0\r\n\r\n', 200, 'words'],
    // RFC 9112 section 2.2: an empty line before a request line is to be ignored.
    ['\r\n' + get(), 200, 'ok'],
  ] as const) {
    client.send(request)
    const response = await client.response({ toHead: request.startsWith('HEAD') })
    assert.equal(response.status, status, request)
    assert.equal(response.body, body, request)
    assert.equal(response.field('Connection'), '', request)
  }
})

for (const { what, request } of [
  { what: 'Connection: close', request: get('/', 'Connection: close\r\n') },
  { what: 'Connection: close among others', request: get('/', 'Connection: x, Close\r\n') },
  { what: 'a 1.0 request', request: 'GET / HTTP/1.0\r\n\r\n' },
]) {
  test(`after ${what} the connection is closed, and what was pipelined behind it is not looked at`, async (t) => {
    const origin = await ScriptedOrigin.start(t, answering())
    const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
    const client = await proxy.client()
    const response = await client.exchange(request + get('/behind'))
    assert.equal(response.status, 200)
    assert.equal(response.field('Connection'), 'close')
    assert.equal(await client.closed(), 'fin')
    assert.equal(client.unread, '')
    assert.equal(origin.heads.length, 1)
  })
}

test('Connection: close of the server is its own affair: the client goes on', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering('ok', 'Connection: close\r\n'))
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  for (let i = 0; i < 3; i++) {
    const response = await client.exchange(get())
    assert.equal(response.status, 200)
    assert.equal(response.field('Connection'), '')
  }
})

test('a refused request ends its connection, and what was pipelined behind it is not looked at', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  client.send(get('/good') + 'GET / HTTP/1.1\r\n\r\n' + get('/behind'))
  assert.equal((await client.response()).status, 200)
  assert.equal((await client.response()).status, 400)
  assert.equal(await client.closed(), 'fin')
  assert.deepEqual(
    origin.heads.map((head) => head.split(' ')[1]),
    ['/good'],
  )
})

test('a request split at every byte is one request', async (t) => {
  const origin = await ScriptedOrigin.start(
    t,
    answeringWith((request, connection) => connection.respond(200, request.body)),
  )
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  const request = 'POST /path HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nwords\r\n0\r\nX-T: 1\r\n\r\n'
  for (let at = 1; at < request.length; at++) {
    client.send(request.slice(0, at))
    // The answer to a pipelined request cannot come before the first part was looked at.
    await new Promise((resolve) => setImmediate(resolve))
    client.send(request.slice(at))
    assert.equal((await client.response()).body, 'words', `split at ${at}`)
  }
  assert.equal(proxy.proxy.stats.parserSlots, 0)
})

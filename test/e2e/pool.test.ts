/**
 * The pool of upstream connections as clients and servers see it: what is reused and what is not, how many there are, who waits and in
 * which order, and that nothing an idle connection says ever meets a request.
 */
import assert from 'node:assert/strict'
import test from 'node:test'
import { until } from '../support/patience.ts'
import { ProxyUnderTest } from '../support/proxy-under-test.ts'
import { get, withBody } from '../support/raw-client.ts'
import { answering, answeringWith, ScriptedOrigin, silent } from '../support/scripted-origin.ts'

test('one connection serves many requests of many clients, one after the other', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  for (let i = 0; i < 5; i++) {
    const client = await proxy.client()
    assert.equal((await client.exchange(get())).status, 200)
    const summary = await proxy.summary()
    assert.equal(summary.reused, i > 0)
    assert.equal(summary.upstreamConnection, proxy.summaries[0]!.upstreamConnection)
  }
  assert.equal(origin.connections.length, 1)
  assert.deepEqual(proxy.pool, { idle: 1, busy: 0, connecting: 0, waiting: 0 })
})

for (const { what, response, request = get() } of [
  { what: 'a body of known length', response: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok' },
  { what: 'a chunked body', response: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n' },
  { what: 'a 204', response: 'HTTP/1.1 204 No Content\r\n\r\n' },
  { what: 'a 304 with a length', response: 'HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n' },
  {
    what: 'the answer to a HEAD',
    response: 'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n',
    request: 'HEAD / HTTP/1.1\r\nHost: test\r\n\r\n',
  },
  { what: 'a 1.0 response that asks for it', response: 'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok' },
  { what: 'interim responses and a final one', response: 'HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n' },
]) {
  test(`after ${what} a connection is used again`, async (t) => {
    const origin = await ScriptedOrigin.start(
      t,
      answeringWith((_, connection) => connection.send(response)),
    )
    const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
    const client = await proxy.client()
    for (let i = 0; i < 3; i++) {
      client.send(request)
      const options = { toHead: request.startsWith('HEAD') }
      let received = await client.response(options)
      if (received.status === 103) received = await client.response(options)
      assert.equal(received.status, Number(/ ([2-5][0-9][0-9]) /.exec(response)![1]))
    }
    assert.equal(origin.connections.length, 1)
  })
}

for (const { what, response } of [
  { what: 'Connection: close', response: 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok' },
  {
    what: 'Connection: close among other options',
    response: 'HTTP/1.1 200 OK\r\nConnection: Keep-Alive, X-A, CLOSE\r\nContent-Length: 2\r\n\r\nok',
  },
  { what: 'a 1.0 response', response: 'HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok' },
  { what: 'bytes behind the response', response: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok!' },
  {
    what: 'a second response that nobody asked for',
    response: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil',
  },
]) {
  test(`after ${what} a connection is not used again`, async (t) => {
    const origin = await ScriptedOrigin.start(
      t,
      answeringWith((_, connection) => connection.send(response)),
    )
    const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
    for (let i = 0; i < 3; i++) {
      const client = await proxy.client()
      const { status, body } = await client.exchange(get())
      assert.equal(status, 200)
      assert.equal(body, 'ok')
      assert.equal(proxy.pool.idle, 0)
      await (await origin.connection(i)).ended()
    }
    assert.equal(origin.connections.length, 3)
  })
}

test('what an idle connection says is thrown away with it, and counted', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  assert.equal((await client.exchange(get())).status, 200)
  const poisoned = await origin.connection()
  poisoned.send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil')
  await poisoned.ended()
  assert.equal(proxy.proxy.stats.desync['excess-response'], 1)
  assert.equal(proxy.pool.idle, 0)
  assert.equal(await client.closed(), 'fin', 'the client whose request it followed')
  assert.equal((await (await proxy.client()).exchange(get())).body, 'ok')
  assert.equal(origin.connections.length, 2)
})

test('an idle connection that the server closes leaves the pool', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  for (const end of ['end', 'reset'] as const) {
    assert.equal((await client.exchange(get())).status, 200)
    assert.equal(proxy.pool.idle, 1)
    origin.connections.at(-1)![end]()
    await until(
      () => proxy.pool.idle === 0,
      () => `an empty pool; ${JSON.stringify(proxy.pool)}`,
    )
    const { retries, termination } = await proxy.summary()
    assert.deepEqual({ retries, termination }, { retries: 0, termination: '--' })
  }
})

test('as many connections as there are requests at one time, and the newest idle one is taken first', async (t) => {
  const origin = await ScriptedOrigin.start(t, silent)
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const clients = [await proxy.client(), await proxy.client(), await proxy.client()]
  for (const [index, client] of clients.entries()) {
    client.send(get(`/${index}`))
    await origin.connection(index)
  }
  assert.deepEqual(proxy.pool, { idle: 0, busy: 3, connecting: 0, waiting: 0 })
  for (const [index, client] of clients.entries()) {
    origin.connections[index]!.respond(200, `answer ${index}`)
    assert.equal((await client.response()).body, `answer ${index}`)
  }
  assert.deepEqual(proxy.pool, { idle: 3, busy: 0, connecting: 0, waiting: 0 })
  clients[0]!.send(get('/last'))
  await until(
    () => origin.heads.length === 4,
    () => 'the fourth request',
  )
  assert.equal(origin.connections[2]!.heads.length, 2)
})

test('no more connections than allowed: requests wait, and are served in the order in which they came', async (t) => {
  const origin = await ScriptedOrigin.start(t, silent)
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], pool: { connections: 2 } })
  const clients = []
  for (let i = 0; i < 6; i++) {
    const client = await proxy.client()
    clients.push(client)
    client.send(get(`/${i}`))
    await until(
      () => proxy.pool.busy + proxy.pool.waiting === i + 1,
      () => `request ${i} to wait; ${JSON.stringify(proxy.pool)}`,
    )
  }
  assert.deepEqual(proxy.pool, { idle: 0, busy: 2, connecting: 0, waiting: 4 })
  for (const [index, client] of clients.entries()) {
    const connection = await findConnection(origin, `/${index}`)
    connection.respond(200, `answer ${index}`)
    assert.equal((await client.response()).body, `answer ${index}`)
  }
  assert.equal(origin.connections.length, 2)
  assert.deepEqual(proxy.pool, { idle: 2, busy: 0, connecting: 0, waiting: 0 })
})

test('who waits is served by a new connection when the one in use cannot be used again', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering('ok', 'Connection: close\r\n'))
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], pool: { connections: 1 } })
  const clients = await Promise.all([proxy.client(), proxy.client(), proxy.client(), proxy.client()])
  const responses = await Promise.all(clients.map((client) => client.exchange(get())))
  assert.deepEqual(
    responses.map(({ status }) => status),
    [200, 200, 200, 200],
  )
  assert.equal(origin.connections.length, 4)
})

test('a queue that is full is 503 at once', async (t) => {
  const origin = await ScriptedOrigin.start(t, silent)
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], pool: { connections: 1, waiting: 1 } })
  const [busy, waiting, late] = [await proxy.client(), await proxy.client(), await proxy.client()]
  busy.send(get('/busy'))
  const connection = await origin.connection()
  waiting.send(get('/waiting'))
  await until(
    () => proxy.pool.waiting === 1,
    () => 'a request to wait',
  )
  const response = await late.exchange(get('/late'))
  assert.equal(response.status, 503)
  assert.notEqual(response.field('Retry-After'), '')
  const summary = await proxy.summary()
  assert.equal(summary.termination, 'SQ')
  assert.equal(summary.error, 'ERR_EPROXY_QUEUE_FULL')
  connection.respond(200, 'ok')
  assert.equal((await busy.response()).status, 200)
  await until(
    () => connection.heads.length === 2,
    () => 'the request that waited',
  )
  connection.respond(200, 'ok')
  assert.equal((await waiting.response()).status, 200)
})

test('a connection that was being made for a request that is given up is kept for the next one', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const refused = await proxy.client()
  // The head is good and starts the connecting; the body behind it, in the same segment, is not.
  const response = await refused.exchange('POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\nnonsense')
  assert.equal(response.status, 400)
  await until(
    () => proxy.pool.idle === 1,
    () => `an idle connection; ${JSON.stringify(proxy.pool)}`,
  )
  const client = await proxy.client()
  assert.equal((await client.exchange(get())).status, 200)
  assert.equal(origin.connections.length, 1)
  assert.equal(origin.heads.length, 1)
})

test('servers take turns', async (t) => {
  const origins = [
    await ScriptedOrigin.start(t, answering('a')),
    await ScriptedOrigin.start(t, answering('b')),
    await ScriptedOrigin.start(t, answering('c')),
  ]
  const proxy = await ProxyUnderTest.start(t, { upstreams: origins.map(({ address }) => address) })
  const client = await proxy.client()
  let bodies = ''
  for (let i = 0; i < 9; i++) bodies += (await client.exchange(get())).body
  assert.equal(bodies, 'abcabcabc')
  for (const origin of origins) assert.equal(origin.connections.length, 1)
})

test('a request whose body is not complete never shares its connection', async (t) => {
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    for (;;) {
      const request = await connection.head()
      connection.respond(200, request.target)
    }
  })
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const slow = await proxy.client()
  slow.send('POST /slow HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nGET /smuggled HTTP/1.1\r\n')
  assert.equal((await slow.response()).body, '/slow')
  const other = await proxy.client()
  assert.equal((await other.exchange(get('/other'))).body, '/other')
  assert.equal((await other.exchange(withBody('POST', 'x', '', '/more'))).body, '/more')
  assert.deepEqual(
    origin.heads.map((head) => head.split(' ')[1]),
    ['/slow', '/other', '/more'],
  )
})

/*
 * 1. The server ends each connection right behind its response, without saying so in the response.
 * 2. The end is read together with the response, but told only after a second look for a reset.
 * 3. In between the connection was in the pool, and the next POST, which must not be sent twice, was lost on it.
 */
test('a connection whose end has been read takes no other request', async (t) => {
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    await connection.request()
    connection.respond(200, 'ok')
    connection.end()
  })
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  for (let i = 0; i < 30; i++) assert.equal((await client.exchange(withBody('POST', 'x'))).status, 200)
})

async function findConnection(origin: ScriptedOrigin, target: string) {
  const find = () => origin.connections.find(({ heads }) => heads.at(-1)?.includes(` ${target} `))
  await until(
    () => find() !== undefined,
    () => `${target} at the origin; there are ${origin.heads.length} requests`,
  )
  return find()!
}

/**
 * What is sent again and what is not: an idempotent request that met a pooled connection at the end of its life, once, on a fresh
 * connection, as long as nothing of a response has come (RFC 9112 section 9.3.1); and a request for which connecting failed, at the
 * next server.
 */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { until } from '../support/patience.ts'
import { ProxyUnderTest, type StartOptions } from '../support/proxy-under-test.ts'
import { get, withBody, type RawClient } from '../support/raw-client.ts'
import { RefusingAddress } from '../support/refusing-address.ts'
import { answering, answeringWith, ScriptedOrigin, type OriginConnection, type OriginRequest } from '../support/scripted-origin.ts'
import { TemporaryFolder } from '../support/temporary-folder.ts'

interface Stale {
  readonly origin: ScriptedOrigin
  readonly proxy: ProxyUnderTest
  readonly client: RawClient
  /** Requests that later connections have had. */
  readonly replayed: OriginRequest[]
}

/** A proxy with one pooled connection on which the server answers no second request, but does what `end` does. */
async function startStale(t: TestContext, end: (connection: OriginConnection) => void, options: StartOptions = {}): Promise<Stale> {
  const replayed: OriginRequest[] = []
  const origin = await ScriptedOrigin.start(t, async (connection, index) => {
    if (index === 0) {
      await connection.request()
      connection.respond(200, 'first')
      await connection.head()
      return end(connection)
    }
    for (;;) {
      replayed.push(await connection.request())
      connection.respond(200, 'again')
    }
  })
  const proxy = await ProxyUnderTest.start(t, { ...options, upstreams: [origin.address] })
  const client = await proxy.client()
  assert.equal((await client.exchange(get())).body, 'first')
  await proxy.summary()
  assert.equal(proxy.pool.idle, 1)
  return { origin, proxy, client, replayed }
}

const ends = [
  { name: 'FIN', end: (connection: OriginConnection) => connection.end() },
  { name: 'RST', end: (connection: OriginConnection) => connection.reset() },
]

for (const { name, end } of ends) {
  test(`a GET that meets the ${name} of a pooled connection is sent once more, on a fresh one`, async (t) => {
    const { origin, proxy, client, replayed } = await startStale(t, end)
    assert.equal((await client.exchange(get('/stale'))).body, 'again')
    assert.equal(origin.connections.length, 2)
    assert.deepEqual(
      replayed.map(({ target }) => target),
      ['/stale'],
    )
    const summary = await proxy.summary()
    assert.equal(summary.retries, 1)
    assert.equal(summary.termination, '--')
    assert.equal(summary.reused, false)
    assert.equal(proxy.pool.idle, 1)
  })

  test(`a POST that meets the ${name} of a pooled connection is 502 and never sent again`, async (t) => {
    const { origin, proxy, client } = await startStale(t, end)
    const response = await client.exchange(withBody('POST', 'order'))
    assert.equal(response.status, 502)
    assert.match(response.field('Proxy-Status'), /error=connection_terminated/)
    const summary = await proxy.summary()
    assert.equal(summary.error, 'ERR_EPROXY_UPSTREAM_CLOSED')
    assert.equal(summary.termination, 'SH')
    assert.equal(summary.retries, 0)
    assert.equal(origin.connections.length, 1)
    // The client has done nothing wrong: its connection goes on.
    assert.equal((await client.exchange(get())).body, 'again')
  })
}

for (const method of ['HEAD', 'OPTIONS', 'DELETE', 'TRACE']) {
  test(`${method} is sent again`, async (t) => {
    const { origin, client, replayed } = await startStale(t, (connection) => connection.end())
    assert.equal((await client.exchange(`${method} /x HTTP/1.1\r\nHost: test\r\n\r\n`)).status, 200)
    assert.equal(replayed[0]!.method, method)
    assert.equal(origin.connections.length, 2)
  })
}

for (const method of ['PATCH', 'PROPFIND', 'LOCK']) {
  test(`${method} is not sent again`, async (t) => {
    const { origin, client } = await startStale(t, (connection) => connection.end())
    assert.equal((await client.exchange(withBody(method, 'x'))).status, 502)
    assert.equal(origin.connections.length, 1)
  })
}

test('a PUT with a small body is sent again with all of it', async (t) => {
  const { origin, client, replayed } = await startStale(t, (connection) => connection.reset())
  assert.equal((await client.exchange(withBody('PUT', 'some words'))).status, 200)
  assert.equal(replayed[0]!.body, 'some words')
  assert.equal(origin.connections.length, 2)
})

test('a chunked PUT is sent again with its trailers', async (t) => {
  const { client, replayed } = await startStale(t, (connection) => connection.end())
  const body = '4\r\nsome\r\n6\r\n words\r\n0\r\nX-Sum: 1\r\n\r\n'
  assert.equal((await client.exchange(`PUT / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n${body}`)).status, 200)
  assert.equal(replayed[0]!.body, 'some words')
  assert.equal(replayed[0]!.trailers, 'X-Sum: 1\r\n')
})

test('a PUT whose body is half sent goes on where it was, on the fresh connection', async (t) => {
  const { origin, client, replayed } = await startStale(t, (connection) => connection.end())
  client.send('PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nsome ')
  const fresh = await origin.connection(1)
  await until(
    () => fresh.unread === 'some ',
    () => `the first half of the body; ${fresh.unread}`,
  )
  client.send('words')
  assert.equal((await client.response()).status, 200)
  assert.equal(replayed[0]!.body, 'some words')
})

test('a PUT with more than replayBytes is not sent again', async (t) => {
  const { origin, client } = await startStale(t, (connection) => connection.end(), { limits: { replayBytes: 1_000 } })
  assert.equal((await client.exchange(withBody('PUT', 'x'.repeat(1_000)))).status, 502)
  assert.equal(origin.connections.length, 1)
})

test('replayBytes: 0 sends nothing again', async (t) => {
  const { origin, client } = await startStale(t, (connection) => connection.end(), { limits: { replayBytes: 0 } })
  assert.equal((await client.exchange(get())).status, 502)
  assert.equal(origin.connections.length, 1)
})

for (const { what, bytes } of [
  { what: 'one byte of a response', bytes: 'H' },
  { what: 'an interim response', bytes: 'HTTP/1.1 103 Early Hints\r\n\r\n' },
]) {
  test(`nothing is sent again after ${what}`, async (t) => {
    const { origin, proxy, client } = await startStale(t, (connection) => {
      connection.send(bytes)
      connection.end()
    })
    let response = await client.exchange(get())
    if (response.status === 103) response = await client.response()
    assert.equal(response.status, 502)
    assert.equal((await proxy.summary()).error, 'ERR_EPROXY_RESPONSE_INCOMPLETE')
    assert.equal(origin.connections.length, 1)
  })
}

test('nothing is sent a third time', async (t) => {
  const origin = await ScriptedOrigin.start(t, async (connection, index) => {
    if (index === 0) {
      await connection.request()
      connection.respond(200, 'first')
    }
    await connection.head()
    connection.end()
  })
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  assert.equal((await client.exchange(get())).status, 200)
  assert.equal((await client.exchange(get())).status, 502)
  assert.equal(origin.connections.length, 2)
  await proxy.summary()
  const summary = await proxy.summary()
  assert.equal(summary.retries, 1)
  assert.equal(summary.error, 'ERR_EPROXY_UPSTREAM_CLOSED')
})

test('a connection that was never used is not given a second chance', async (t) => {
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    await connection.head()
    connection.end()
  })
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  assert.equal((await (await proxy.client()).exchange(get())).status, 502)
  assert.equal(origin.connections.length, 1)
  assert.equal((await proxy.summary()).retries, 0)
})

test('a server that refuses connections is passed over, and marked down', async (t) => {
  const refusing = await RefusingAddress.hold(t)
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [refusing.address, origin.address] })
  const client = await proxy.client()
  for (let i = 0; i < 6; i++) {
    assert.equal((await client.exchange(get())).status, 200)
    const summary = await proxy.summary()
    assert.equal(summary.upstream, origin.address)
    assert.equal(summary.retries, i === 0 ? 1 : 0)
    assert.equal(summary.termination, '--')
  }
})

test('a request body goes to the next server when the first refuses', async (t) => {
  const refusing = await RefusingAddress.hold(t)
  const origin = await ScriptedOrigin.start(
    t,
    answeringWith((request, connection) => connection.respond(200, request.body)),
  )
  const proxy = await ProxyUnderTest.start(t, { upstreams: [refusing.address, origin.address] })
  const client = await proxy.client()
  assert.equal((await client.exchange(withBody('POST', 'some words'))).body, 'some words')
})

test('a server that is back is tried again', async (t) => {
  const folder = new TemporaryFolder()
  t.after(() => folder[Symbol.dispose]())
  const address = `unix:${folder.file('socket')}`
  const origin = await ScriptedOrigin.start(t, answering('other'))
  const proxy = await ProxyUnderTest.start(t, { upstreams: [address, origin.address], timeouts: { serverDown: 100 } })
  const client = await proxy.client()
  assert.equal((await client.exchange(get())).body, 'other')
  assert.equal((await proxy.summary()).retries, 1)
  await ScriptedOrigin.start(t, answering('back'), { listen: address })
  while ((await client.exchange(get())).body !== 'back');
  assert.equal(proxy.summaries.at(-1)!.upstream, address)
})

test('one server that refuses is 502', async (t) => {
  const refusing = await RefusingAddress.hold(t)
  const proxy = await ProxyUnderTest.start(t, { upstreams: [refusing.address] })
  const client = await proxy.client()
  // Also when it is marked down: there is nothing to lose.
  for (let i = 0; i < 2; i++) {
    const response = await client.exchange(get())
    assert.equal(response.status, 502)
    assert.match(response.field('Proxy-Status'), /error=connection_refused/)
    assert.equal(response.field('Connection'), '')
    const summary = await proxy.summary()
    assert.equal(summary.error, 'ERR_EPROXY_CONNECT_FAILED')
    assert.equal(summary.termination, 'SC')
    assert.equal(summary.retries, 0, 'attempts after the first')
  }
})

test('when all servers refuse, each is tried once and the answer is 502', async (t) => {
  const addresses = [await RefusingAddress.hold(t), await RefusingAddress.hold(t), await RefusingAddress.hold(t)]
  const proxy = await ProxyUnderTest.start(t, { upstreams: addresses.map(({ address }) => address), pool: { attempts: 16 } })
  const client = await proxy.client()
  for (let i = 0; i < 2; i++) {
    assert.equal((await client.exchange(get())).status, 502)
    const summary = await proxy.summary()
    assert.equal(summary.retries, 2, 'attempts after the first')
    assert.equal(summary.termination, 'SC')
  }
  assert.deepEqual(proxy.pool, { idle: 0, busy: 0, connecting: 0, waiting: 0 })
})

test('attempts bounds how many servers are tried', async (t) => {
  const refusing = [await RefusingAddress.hold(t), await RefusingAddress.hold(t)]
  const origin = await ScriptedOrigin.start(t, answering())
  const upstreams = [...refusing.map(({ address }) => address), origin.address]
  const proxy = await ProxyUnderTest.start(t, { upstreams, pool: { attempts: 2 } })
  const client = await proxy.client()
  assert.equal((await client.exchange(get())).status, 502)
  assert.equal((await client.exchange(get())).status, 200)
})

test('a name with an address that refuses is still served by its other address', async (t) => {
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    await connection.request()
    connection.respond(200, 'ok', 'Connection: close\r\n')
  })
  // RFC 6761: every name under localhost is 127.0.0.1 and ::1; only one of them listens.
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address.replace('127.0.0.1', 'test.localhost')] })
  const client = await proxy.client()
  const statuses: number[] = []
  for (let i = 0; i < 6; i++) statuses.push((await client.exchange(get())).status)
  assert.deepEqual(statuses, [200, 200, 200, 200, 200, 200])
})

/**
 * Every deadline of the engine fires: what the client is told, what the upstream sees of it and what the summary says. A test sets the
 * deadline that it is about to a short time and waits for the event, never for the time.
 */
import assert from 'node:assert/strict'
import test from 'node:test'
import { until } from '../support/patience.ts'
import { DeafServer } from '../support/deaf-server.ts'
import { ProxyUnderTest } from '../support/proxy-under-test.ts'
import { get } from '../support/raw-client.ts'
import { answering, ScriptedOrigin, silent, type Script } from '../support/scripted-origin.ts'
import { WireEnded } from '../support/wire.ts'

const megabyte = 1_048_576

test('firstByte: a connection that says nothing is closed without a word', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], timeouts: { firstByte: 100 } })
  const client = await proxy.client()
  assert.equal(await client.closed(), 'fin')
  assert.equal(client.unread, '')
  const summary = await proxy.summary()
  assert.equal(summary.termination, 'cR')
  assert.equal(summary.error, 'ERR_EPROXY_FIRST_BYTE_TIMEOUT')
  assert.equal(summary.status, 0)
})

test('requestHead: 408 however the bytes of the head drip in', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], timeouts: { requestHead: 300 } })
  const client = await proxy.client()
  client.send('GET /')
  const drip = setInterval(() => client.send('a'), 20)
  t.after(() => clearInterval(drip))
  const response = await client.response()
  clearInterval(drip)
  assert.equal(response.status, 408)
  assert.equal(response.field('Connection'), 'close')
  await client.closed()
  const summary = await proxy.summary()
  assert.equal(summary.termination, 'cR')
  assert.equal(summary.error, 'ERR_EPROXY_REQUEST_HEAD_TIMEOUT')
  assert.equal(summary.status, 408)
  assert.equal(origin.connections.length, 0)
})

test('requestHead: counts for the second request of a connection, and for a lone empty line', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], timeouts: { requestHead: 200 } })
  const pipelining = await proxy.client()
  assert.equal((await pipelining.exchange(get() + 'GET /second HT')).status, 200)
  assert.equal((await pipelining.response()).status, 408)
  await pipelining.closed()
  const idle = await proxy.client()
  assert.equal((await idle.exchange('\r\n')).status, 408)
  await idle.closed()
})

test('keepAlive: a connection that is idle between requests is closed without a word', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], timeouts: { keepAlive: 150 } })
  const client = await proxy.client()
  assert.equal((await client.exchange(get())).status, 200)
  assert.equal((await client.exchange(get())).status, 200)
  assert.equal(await client.closed(), 'fin')
  assert.equal(client.unread, '')
  assert.equal(proxy.summaries.length, 2)
})

test('requestBodyIdle: 408, and the upstream is cut', async (t) => {
  const origin = await ScriptedOrigin.start(t, async (connection) => void (await connection.request()))
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], timeouts: { requestBodyIdle: 150 } })
  const client = await proxy.client()
  client.send('POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n123')
  const response = await client.response()
  assert.equal(response.status, 408)
  assert.equal(response.field('Connection'), 'close')
  assert.equal(await (await origin.connection()).ended(), 'reset')
  const summary = await proxy.summary()
  assert.equal(summary.termination, 'cD')
  assert.equal(summary.error, 'ERR_EPROXY_REQUEST_BODY_TIMEOUT')
  await client.closed()
})

test('requestBodyIdle: counts anew with every read', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], timeouts: { requestBodyIdle: 500 } })
  const client = await proxy.client()
  client.send('POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 30\r\n\r\n')
  let sent = 0
  const drip = setInterval(() => {
    client.send('x')
    if (++sent === 30) clearInterval(drip)
  }, 40)
  t.after(() => clearInterval(drip))
  assert.equal((await client.response()).status, 200)
})

test('minRate: a body that keeps coming, too slowly, is 408 when the grace is over', async (t) => {
  const origin = await ScriptedOrigin.start(t, async (connection) => void (await connection.request()))
  const options = { upstreams: [origin.address], timeouts: { minRateGrace: 200 }, limits: { minRate: 1_000 } }
  const proxy = await ProxyUnderTest.start(t, options)
  const client = await proxy.client()
  client.send('POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\n')
  const drip = setInterval(() => client.send('x'), 50)
  t.after(() => clearInterval(drip))
  assert.equal((await client.response()).status, 408)
  clearInterval(drip)
  const summary = await proxy.summary()
  assert.equal(summary.termination, 'cD')
  assert.equal(summary.error, 'ERR_EPROXY_REQUEST_BODY_RATE')
  assert.equal(await (await origin.connection()).ended(), 'reset')
  await client.closed()
})

test('clientWriteIdle: a client that does not read its response is reset, and the upstream stopped', async (t) => {
  const origin = await ScriptedOrigin.start(t, sending(64 * megabyte))
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], timeouts: { clientWriteIdle: 200 } })
  const client = await proxy.client()
  client.pause()
  client.send(get())
  const summary = await proxy.summary()
  assert.equal(summary.termination, 'cD')
  assert.equal(summary.error, 'ERR_EPROXY_CLIENT_STALLED')
  assert.equal(summary.status, 200)
  assert.equal(await (await origin.connection()).ended(), 'reset')
  // A RST behind bytes that were not read is told to this client as an end; that it did not get all is what counts.
  client.resume()
  await assert.rejects(client.digest(64 * megabyte), WireEnded)
  await proxy.quiet()
})

test('clientWriteIdle: a client that reads slowly gets all of it', async (t) => {
  const bytes = 16 * megabyte
  const origin = await ScriptedOrigin.start(t, sending(bytes))
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], timeouts: { clientWriteIdle: 1_000 } })
  const client = await proxy.client()
  client.send(get())
  await client.until('\r\n\r\n')
  // A little at a time, for longer as a client may stand still.
  client.socket.on('data', () => client.pause())
  const read = setInterval(() => client.resume(), 10)
  t.after(() => clearInterval(read))
  await client.digest(bytes)
  assert.equal((await proxy.summary()).termination, '--')
})

test('request: an exchange that takes too long is 504', async (t) => {
  const origin = await ScriptedOrigin.start(t, silent)
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], timeouts: { request: 200 } })
  const client = await proxy.client()
  const response = await client.exchange(get())
  assert.equal(response.status, 504)
  assert.match(response.field('Proxy-Status'), /error=http_response_timeout/)
  const summary = await proxy.summary()
  assert.equal(summary.termination, 'sH')
  assert.equal(summary.error, 'ERR_EPROXY_REQUEST_TIMEOUT')
  assert.equal(await (await origin.connection()).ended(), 'reset')
})

test('request: a response that has begun is cut, not ended', async (t) => {
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    await connection.request()
    connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n')
  })
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], timeouts: { request: 250 } })
  const client = await proxy.client()
  client.send(get())
  await client.until('hello\r\n')
  assert.equal(await client.ended(), 'reset')
  assert.equal(client.unread, '')
  const summary = await proxy.summary()
  assert.equal(summary.termination, 'sD')
  assert.equal(summary.error, 'ERR_EPROXY_REQUEST_TIMEOUT')
})

test('request: counts while a connection is waited for', async (t) => {
  const origin = await ScriptedOrigin.start(t, silent)
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], timeouts: { request: 300 }, pool: { connections: 1 } })
  const first = await proxy.client()
  const second = await proxy.client()
  first.send(get('/first'))
  await origin.connection()
  second.send(get('/second'))
  assert.equal((await first.response()).status, 504)
  assert.equal((await second.response()).status, 504)
  assert.equal(proxy.pool.waiting, 0)
})

test('queue: 503 with Retry-After when no upstream connection becomes free', async (t) => {
  const origin = await ScriptedOrigin.start(t, silent)
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], timeouts: { queue: 150 }, pool: { connections: 1 } })
  const busy = await proxy.client()
  const waiting = await proxy.client()
  busy.send(get('/busy'))
  const connection = await origin.connection()
  const response = await waiting.exchange(get('/waiting'))
  assert.equal(response.status, 503)
  assert.notEqual(response.field('Retry-After'), '')
  assert.match(response.field('Proxy-Status'), /error=connection_limit_reached/)
  const summary = await proxy.summary()
  assert.equal(summary.termination, 'sQ')
  assert.equal(summary.error, 'ERR_EPROXY_QUEUE_TIMEOUT')
  connection.respond(200, 'late')
  assert.equal((await busy.response()).body, 'late')
  assert.equal(proxy.pool.waiting, 0)
  assert.deepEqual(connection.heads.length, 1)
})

test('connect: 504 when the server does not answer, and the next server when there is one', async (t) => {
  if (process.platform !== 'linux') return t.skip('only here it is known that a full backlog leaves a connection unanswered')
  const deaf = await DeafServer.start(t)
  const origin = await ScriptedOrigin.start(t, answering())
  const alone = await ProxyUnderTest.start(t, { upstreams: [deaf.address], timeouts: { connect: 200 } })
  const response = await (await alone.client()).exchange(get())
  assert.equal(response.status, 504)
  assert.match(response.field('Proxy-Status'), /error=connection_timeout/)
  const summary = await alone.summary()
  assert.equal(summary.termination, 'sC')
  assert.equal(summary.error, 'ERR_EPROXY_CONNECT_TIMEOUT')
  assert.equal(alone.pool.connecting, 0)

  const both = await ProxyUnderTest.start(t, { upstreams: [deaf.address, origin.address], timeouts: { connect: 200 } })
  assert.equal((await (await both.client()).exchange(get())).status, 200)
  const retried = await both.summary()
  assert.equal(retried.termination, '--')
  assert.equal(retried.retries, 1)
  assert.equal(retried.upstream, origin.address)
})

test('responseHead: 504 when the server says nothing', async (t) => {
  const origin = await ScriptedOrigin.start(t, silent)
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], timeouts: { responseHead: 150 } })
  const client = await proxy.client()
  const response = await client.exchange(get())
  assert.equal(response.status, 504)
  assert.equal(response.field('Connection'), '', 'the client did nothing wrong')
  const summary = await proxy.summary()
  assert.equal(summary.termination, 'sH')
  assert.equal(summary.error, 'ERR_EPROXY_RESPONSE_HEAD_TIMEOUT')
  assert.equal(await (await origin.connection()).ended(), 'reset')
})

test('responseHead: is not moved by a head that drips in', async (t) => {
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    await connection.request()
    connection.send('HTTP/1.1 200 OK\r\nX-Drip: ')
    const drip = setInterval(() => connection.send('x'), 20)
    await connection.ended()
    clearInterval(drip)
  })
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], timeouts: { responseHead: 300 } })
  assert.equal((await (await proxy.client()).exchange(get())).status, 504)
  assert.equal((await proxy.summary()).error, 'ERR_EPROXY_RESPONSE_HEAD_TIMEOUT')
})

test('responseHead: runs from the end of the request, not from its beginning', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], timeouts: { responseHead: 150 } })
  const client = await proxy.client()
  client.send('POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 20\r\n\r\n')
  let sent = 0
  const drip = setInterval(() => {
    client.send('x')
    if (++sent === 20) clearInterval(drip)
  }, 30)
  t.after(() => clearInterval(drip))
  assert.equal((await client.response()).status, 200)
})

test('responseHead: a client that waits for 100 and a server that says nothing do not wait for each other for ever', async (t) => {
  const origin = await ScriptedOrigin.start(t, silent)
  const timeouts = { responseHead: 200, requestBodyIdle: 200 }
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], timeouts })
  const client = await proxy.client()
  const response = await client.exchange('POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n')
  assert.ok([408, 504].includes(response.status), `the status is ${response.status}`)
  assert.equal(await (await origin.connection()).ended(), 'reset')
})

for (const { framing, head } of [
  { framing: 'a length', head: 'Content-Length: 100\r\n' },
  { framing: 'chunks', head: 'Transfer-Encoding: chunked\r\n' },
  { framing: 'nothing', head: '' },
]) {
  test(`responseBodyIdle: a body framed by ${framing} that stands still is cut, never ended`, async (t) => {
    const origin = await ScriptedOrigin.start(t, async (connection) => {
      await connection.request()
      connection.send(`HTTP/1.1 200 OK\r\n${head}\r\n${head.startsWith('T') ? '5\r\nhello\r\n' : 'hello'}`)
    })
    const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], timeouts: { responseBodyIdle: 150 } })
    const client = await proxy.client()
    client.send(get())
    await client.until('hello')
    assert.equal(await client.ended(), 'reset')
    assert.doesNotMatch(client.unread, /0\r\n/)
    const summary = await proxy.summary()
    assert.equal(summary.termination, 'sD')
    assert.equal(summary.error, 'ERR_EPROXY_RESPONSE_BODY_TIMEOUT')
    assert.equal(summary.status, 200)
    assert.equal(await (await origin.connection()).ended(), 'reset')
  })
}

test('responseBodyIdle: does not count while the client takes nothing', async (t) => {
  const origin = await ScriptedOrigin.start(t, sending(64 * megabyte))
  const timeouts = { responseBodyIdle: 100, clientWriteIdle: 500 }
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], timeouts })
  const client = await proxy.client()
  client.pause()
  client.send(get())
  assert.equal((await proxy.summary()).error, 'ERR_EPROXY_CLIENT_STALLED')
})

test('upstreamWriteIdle: 504 when the server takes nothing of a body, which the client is not blamed for', async (t) => {
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    await connection.head()
    connection.pause()
  })
  const timeouts = { upstreamWriteIdle: 500, requestBodyIdle: 100, minRateGrace: 0 }
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], timeouts, limits: { minRate: 1_073_741_824 } })
  const client = await proxy.client()
  const bytes = 64 * megabyte
  client.send(`POST / HTTP/1.1\r\nHost: test\r\nContent-Length: ${bytes}\r\n\r\n`)
  const pouring = client.pour(Buffer.alloc(bytes))
  const response = await client.response()
  assert.equal(response.status, 504)
  const summary = await proxy.summary()
  assert.equal(summary.error, 'ERR_EPROXY_UPSTREAM_WRITE_TIMEOUT')
  assert.equal(summary.termination, 'sD')
  client.destroy()
  await pouring
})

test('upstreamKeepAlive: an idle pooled connection is closed', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], timeouts: { upstreamKeepAlive: 150 } })
  assert.equal((await (await proxy.client()).exchange(get())).status, 200)
  assert.equal(proxy.pool.idle, 1)
  assert.equal(await (await origin.connection()).ended(), 'fin')
  assert.equal(proxy.pool.idle, 0)
})

test('upstreamKeepAlive: a server that says how long it keeps a connection is believed, less a second', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering('ok', 'Keep-Alive: timeout=2, max=100\r\n'))
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], timeouts: { upstreamKeepAlive: 600_000 } })
  assert.equal((await (await proxy.client()).exchange(get())).status, 200)
  assert.equal(proxy.pool.idle, 1)
  assert.equal(await (await origin.connection()).ended(), 'fin')

  const hasty = await ScriptedOrigin.start(t, answering('ok', 'Keep-Alive: timeout=1\r\n'))
  const other = await ProxyUnderTest.start(t, { upstreams: [hasty.address] })
  assert.equal((await (await other.client()).exchange(get())).status, 200)
  assert.equal(other.pool.idle, 0, 'a second less leaves nothing')
  assert.equal(await (await hasty.connection()).ended(), 'fin')
})

test('upstreamMaxAge: a connection that is old is not used again', async (t) => {
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    for (;;) {
      await connection.request()
      const from = performance.now()
      await until(
        () => performance.now() > from + 3,
        () => 'the clock to go on',
      )
      connection.respond(200, 'ok')
    }
  })
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], timeouts: { upstreamMaxAge: 1 } })
  const client = await proxy.client()
  assert.equal((await client.exchange(get())).status, 200)
  assert.equal((await client.exchange(get())).status, 200)
  assert.equal(origin.connections.length, 2)
})

test('tunnelIdle: a tunnel that carries nothing is closed on both sides', async (t) => {
  const origin = await ScriptedOrigin.start(t, switching)
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], timeouts: { tunnelIdle: 200 } })
  const client = await proxy.client()
  assert.equal((await client.exchange(get('/', 'Connection: Upgrade\r\nUpgrade: test\r\n'))).status, 101)
  await client.ended()
  await (await origin.connection()).ended()
  const summary = await proxy.summary()
  assert.equal(summary.termination, 'cT')
  assert.equal(summary.error, 'ERR_EPROXY_TUNNEL_IDLE')
  assert.equal(summary.tunnel, true)
})

test('tunnelIdle: every byte counts, either way', async (t) => {
  const origin = await ScriptedOrigin.start(t, switching)
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], timeouts: { tunnelIdle: 400 } })
  const client = await proxy.client()
  assert.equal((await client.exchange(get('/', 'Connection: Upgrade\r\nUpgrade: test\r\n'))).status, 101)
  const connection = await origin.connection()
  let turns = 0
  const drip = setInterval(() => (turns++ % 2 === 0 ? client : connection).send('x'), 30)
  t.after(() => clearInterval(drip))
  await Promise.all([client.take(15), connection.take(15)])
  clearInterval(drip)
  assert.equal(client.ending, undefined)
})

test('halfClose: a tunnel of which one side has ended is closed when the other says nothing', async (t) => {
  const origin = await ScriptedOrigin.start(t, switching)
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], timeouts: { halfClose: 200 } })
  const client = await proxy.client()
  assert.equal((await client.exchange(get('/', 'Connection: Upgrade\r\nUpgrade: test\r\n'))).status, 101)
  client.end()
  const connection = await origin.connection()
  assert.equal(await connection.ended(), 'fin')
  await client.ended()
  const summary = await proxy.summary()
  assert.equal(summary.termination, 'cT')
  assert.equal(summary.error, 'ERR_EPROXY_TUNNEL_HALF_CLOSED')
})

test('linger: a client that was refused and does not close is let go', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], timeouts: { linger: 200 } })
  const client = await proxy.client()
  assert.equal((await client.exchange('nonsense\r\n\r\n')).status, 400)
  assert.equal(await client.ended(), 'fin')
  // This side stays open, and the proxy does not wait for it.
  await proxy.quiet()
  assert.equal(client.socket.writable, true)
})

/** Switches to another protocol, and leaves the rest to the test. */
const switching: Script = async (connection) => {
  await connection.request()
  connection.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\n')
}

function sending(bytes: number): Script {
  return async (connection) => {
    await connection.request()
    connection.send(`HTTP/1.1 200 OK\r\nContent-Length: ${bytes}\r\n\r\n`)
    await connection.pour(Buffer.alloc(bytes))
    if (connection.ending !== undefined) throw new WireEnded(connection.ending, 'all was sent', '')
  }
}

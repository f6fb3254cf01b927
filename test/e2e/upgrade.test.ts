/**
 * Upgrade through 101 (RFC 9110 section 7.8): the bytes on both sides of the switch, half-close, back-pressure, what is never offered and
 * what is never believed.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import test from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import { patiently, until } from '../support/patience.ts'
import { ProxyUnderTest } from '../support/proxy-under-test.ts'
import { get, withBody } from '../support/raw-client.ts'
import { answering, answeringWith, ScriptedOrigin, type Script } from '../support/scripted-origin.ts'

const megabyte = 1_048_576
const upgrade = get('/tunnel', 'Connection: Upgrade\r\nUpgrade: test/1\r\n')
const switched = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: test/1\r\n\r\n'

/** Switches, with `ahead` in the same segment. */
function switching(ahead = ''): Script {
  return async (connection) => {
    await connection.request()
    connection.send(switched + ahead)
  }
}

test('bytes that follow the switch in the same segment arrive, on both sides', async (t) => {
  const origin = await ScriptedOrigin.start(t, switching('from the origin'))
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], via: 'test' })
  const client = await proxy.client()
  const response = await client.exchange(upgrade + 'from the client')
  assert.equal(response.status, 101)
  assert.equal(response.field('Connection'), 'Upgrade')
  assert.equal(response.field('Upgrade'), 'test/1')
  assert.equal(await client.take('from the origin'.length), 'from the origin')
  const connection = await origin.connection()
  assert.equal(await connection.take('from the client'.length), 'from the client')
  assert.match(origin.heads[0]!, /\r\nConnection: Upgrade\r\nUpgrade: test\/1\r\n/)
  connection.send('\0\xff\r\n\r\nHTTP/1.1 ')
  assert.equal(await client.take(15), '\0\xff\r\n\r\nHTTP/1.1 ')
  client.send('GET / HTTP/9.9\r\n\0')
  assert.equal(await connection.take(17), 'GET / HTTP/9.9\r\n\0')
  client.end()
  connection.end()
  const summary = await proxy.summary()
  assert.equal(summary.tunnel, true)
  assert.equal(summary.status, 101)
  assert.equal(summary.termination, '--')
  assert.equal(summary.bytesIn, upgrade.length + 'from the client'.length + 17)
  assert.equal(summary.bytesOut, response.head.length + 'from the origin'.length + 15)
})

for (const { first, second } of [
  { first: 'client', second: 'origin' },
  { first: 'origin', second: 'client' },
] as const) {
  test(`the ${first} ends its side, and the ${second} goes on`, async (t) => {
    const origin = await ScriptedOrigin.start(t, switching())
    const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
    const client = await proxy.client()
    assert.equal((await client.exchange(upgrade)).status, 101)
    const ends = { client, origin: await origin.connection() }
    ends[first].send('last words')
    ends[first].end()
    assert.equal(await ends[second].take(10), 'last words')
    assert.equal(await ends[second].ended(), 'fin')
    for (let i = 0; i < 3; i++) {
      ends[second].send('more')
      assert.equal(await ends[first].take(4), 'more')
    }
    const bytes = 4 * megabyte
    const pouring = ends[second].pour(Buffer.alloc(bytes, 'x'))
    await ends[first].digest(bytes)
    await pouring
    ends[second].end()
    assert.equal(await ends[first].ended(), 'fin')
    assert.equal((await proxy.summary()).termination, '--')
    await proxy.quiet()
  })
}

for (const { from, to } of [
  { from: 'client', to: 'origin' },
  { from: 'origin', to: 'client' },
] as const) {
  test(`a tunnel holds the ${from} back while the ${to} does not read, and loses nothing`, async (t) => {
    const bytes = 64 * megabyte
    const body = Buffer.alloc(bytes, 'some bytes')
    const origin = await ScriptedOrigin.start(t, async (connection) => {
      const { target } = await connection.request()
      if (target === '/tunnel') return connection.send(switched)
      for (;;) {
        connection.respond(200, 'ok')
        await connection.request()
      }
    })
    const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
    const client = await proxy.client()
    assert.equal((await client.exchange(upgrade)).status, 101)
    const ends = { client, origin: await origin.connection() }
    ends[to].pause()
    let sentBytes = 0
    const pouring = ends[from].pour(body, (bytesSoFar) => (sentBytes = bytesSoFar))
    // So much work of others that all of the body would be through if nothing held it.
    const other = await proxy.client()
    for (let i = 0; i < 2_000; i++) assert.equal((await other.exchange(get())).status, 200)
    assert.ok(sentBytes < bytes / 2, `${sentBytes} bytes went into the tunnel`)
    ends[to].resume()
    assert.equal(await ends[to].digest(bytes), createHash('sha256').update(body).digest('hex'))
    await pouring
  })
}

test('an upgrade that is refused is an ordinary exchange, and so is what is pipelined behind it', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering('no'))
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  client.send(upgrade + get('/behind'))
  for (let i = 0; i < 2; i++) {
    const response = await client.response()
    assert.equal(response.status, 200)
    assert.equal(response.body, 'no')
    assert.equal(response.field('Upgrade'), '')
  }
  assert.equal(origin.connections.length, 1)
  assert.equal((await proxy.summary()).tunnel, false)
})

test('426 says what to upgrade to', async (t) => {
  const origin = await ScriptedOrigin.start(
    t,
    answeringWith((_, connection) => connection.respond(426, 'no', 'Connection: Upgrade\r\nUpgrade: test/2\r\n')),
  )
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const response = await (await proxy.client()).exchange(upgrade)
  assert.equal(response.field('Upgrade'), 'test/2')
  assert.equal(response.field('Connection'), 'Upgrade')
})

for (const { offer, passedOn } of [
  { offer: 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n', passedOn: '' },
  { offer: 'Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n', passedOn: 'websocket' },
  { offer: 'Connection: Upgrade\r\nUpgrade: H2C\r\nUpgrade: test/1\r\n', passedOn: 'test/1' },
  { offer: 'Connection: Upgrade\r\nUpgrade: h2, HTTP/2.0, h2/1\r\n', passedOn: 'HTTP/2.0' },
  { offer: 'Upgrade: test/1\r\n', passedOn: '' },
  { offer: 'Connection: Upgrade\r\n', passedOn: '' },
]) {
  test(`of ${JSON.stringify(offer)} the origin is offered ${JSON.stringify(passedOn)}`, async (t) => {
    const origin = await ScriptedOrigin.start(
      t,
      answeringWith((request, connection) => connection.respond(200, request.field('Upgrade'))),
    )
    const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
    assert.equal((await (await proxy.client()).exchange(get('/', offer))).body, passedOn)
    assert.doesNotMatch(origin.heads[0]!, /h2c|HTTP2-Settings/i)
    if (passedOn === '') assert.doesNotMatch(origin.heads[0]!, /Connection|Upgrade/)
  })
}

for (const { what, request, answer } of [
  { what: 'that nobody asked for', request: get(), answer: switched },
  { what: 'to a protocol that was not offered', request: upgrade, answer: switched.replace('test/1', 'test/2') },
  { what: 'to more than was offered', request: upgrade, answer: switched.replace('test/1', 'test/1, other') },
  { what: 'that names no protocol', request: upgrade, answer: 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n' },
  { what: 'without Connection: Upgrade', request: upgrade, answer: 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: test/1\r\n\r\n' },
  { what: 'to h2c, which was not passed on', request: upgrade.replace('test/1', 'h2c'), answer: switched.replace('test/1', 'h2c') },
]) {
  test(`a 101 ${what} is 502, and nothing of it gets through`, async (t) => {
    const origin = await ScriptedOrigin.start(t, async (connection) => {
      await connection.request()
      connection.send(answer + 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil')
    })
    const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
    const client = await proxy.client()
    const response = await client.exchange(request)
    assert.equal(response.status, 502)
    assert.doesNotMatch(response.body + client.unread, /evil/)
    const summary = await proxy.summary()
    assert.equal(summary.rule, 'H1-SWITCH-UNASKED')
    assert.equal(summary.tunnel, false)
    assert.equal(await (await origin.connection()).ended(), 'reset')
    assert.equal(proxy.pool.idle, 0)
  })
}

test('a 101 before the request is complete is 502', async (t) => {
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    await connection.head()
    connection.send(switched)
  })
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  client.send('POST / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: test/1\r\nContent-Length: 10\r\n\r\n123')
  const response = await client.response()
  assert.equal(response.status, 502)
  assert.equal(response.field('Connection'), 'close')
  assert.equal((await proxy.summary()).rule, 'H1-SWITCH-UNASKED')
  await client.closed()
})

test('a request with a body can be upgraded when it is complete', async (t) => {
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    const { body } = await connection.request()
    connection.send(switched + body)
  })
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  const response = await client.exchange(withBody('POST', 'words', 'Connection: Upgrade\r\nUpgrade: test/1\r\n'))
  assert.equal(response.status, 101)
  assert.equal(await client.take(5), 'words')
})

test('a tunnel keeps its connection to itself when it is over', async (t) => {
  const origin = await ScriptedOrigin.start(t, switching())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  assert.equal((await client.exchange(upgrade)).status, 101)
  assert.deepEqual(proxy.pool, { idle: 0, busy: 1, connecting: 0, waiting: 0 })
  client.end()
  await (await origin.connection()).closed()
  await client.ended()
  await until(
    () => proxy.pool.busy === 0,
    () => `the tunnel to be gone; ${JSON.stringify(proxy.pool)}`,
  )
  assert.equal(proxy.pool.idle, 0)
})

test('WebSocket, with an ordinary client and an ordinary server', async (t) => {
  const http = createServer().listen(0, '127.0.0.1')
  await once(http, 'listening')
  const sockets = new WebSocketServer({ server: http })
  sockets.on('connection', (socket) => socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary })))
  t.after(() => {
    sockets.close()
    http.closeAllConnections()
    http.close()
  })
  const proxy = await ProxyUnderTest.start(t, { upstreams: [`127.0.0.1:${(http.address() as AddressInfo).port}`] })
  const socket = new WebSocket(`ws://${proxy.address}/chat`, { perMessageDeflate: true })
  t.after(() => socket.terminate())
  await patiently(once(socket, 'open'), () => 'the WebSocket to open')
  for (const message of ['hello', 'x'.repeat(1_000_000)]) {
    const echo = once(socket, 'message') as Promise<[Buffer]>
    socket.send(message)
    assert.equal(String((await patiently(echo, () => 'an echo'))[0]), message)
  }
  socket.close(1000, 'done')
  const [code, reason] = (await patiently(once(socket, 'close'), () => 'the WebSocket to close')) as [number, Buffer]
  assert.deepEqual([code, String(reason)], [1000, 'done'])
  const summary = await proxy.summary()
  assert.equal(summary.tunnel, true)
  assert.equal(summary.termination, '--')
})

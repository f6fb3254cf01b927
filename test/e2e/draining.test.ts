/** close() lets what runs finish and takes nothing new; destroy() cuts. Either way nothing is open when it is over. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import test from 'node:test'
import { ProxyError } from '../../lib/index.ts'
import { patiently, until } from '../support/patience.ts'
import { ProxyUnderTest } from '../support/proxy-under-test.ts'
import { get, RawClient } from '../support/raw-client.ts'
import { answering, ScriptedOrigin, silent } from '../support/scripted-origin.ts'

const forever = 3_600_000
const closed = (closing: Promise<void>): Promise<void> => patiently(closing, () => 'close() to resolve')

test('close() lets a running exchange finish, with Connection: close', async (t) => {
  const origin = await ScriptedOrigin.start(t, silent)
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const running = await proxy.client()
  running.send(get('/running'))
  const connection = await origin.connection()
  await until(
    () => origin.heads.length === 1,
    () => 'the request',
  )
  let isClosed = false
  const closing = proxy.proxy.close({ graceMs: forever }).then(() => (isClosed = true))
  connection.respond(200, 'all of it')
  const response = await running.response()
  assert.equal(response.body, 'all of it')
  assert.equal(response.field('Connection'), 'close')
  assert.equal(isClosed, false)
  assert.equal(await running.closed(), 'fin')
  await closed(closing.then(() => {}))
  assert.equal(proxy.proxy.stats.connections, 0)
  assert.equal((await proxy.summary()).termination, '--')
  assert.notEqual(await connection.ended(), 'here')
})

test('close() does not wait for clients that are idle, or have said nothing yet', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const idle = await proxy.client()
  assert.equal((await idle.exchange(get())).status, 200)
  const quiet = await proxy.client()
  await until(
    () => proxy.proxy.stats.connections === 2,
    () => 'both clients',
  )
  const closing = proxy.proxy.close({ graceMs: forever })
  assert.equal(await idle.closed(), 'fin')
  assert.equal(await quiet.closed(), 'fin')
  await closed(closing)
  await (await origin.connection()).ended()
  assert.deepEqual(proxy.pool, { idle: 0, busy: 0, connecting: 0, waiting: 0 })
})

test('close() with idleMs lets idle clients send one more request, and tells them that it was the last', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const [idle, quiet] = [await proxy.client(), await proxy.client()]
  assert.equal((await idle.exchange(get())).field('Connection'), '')
  const closing = proxy.proxy.close({ graceMs: forever, idleMs: forever })
  for (const client of [idle, quiet]) {
    const response = await client.exchange(get('/last'))
    assert.equal(response.status, 200)
    assert.equal(response.field('Connection'), 'close')
    assert.equal(await client.closed(), 'fin')
  }
  await closed(closing)
})

test('a client whose response began before close() with idleMs may send one more request', async (t) => {
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    await connection.request()
    connection.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345')
    await connection.request()
    connection.respond(200, 'last')
  })
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  client.send(get())
  await client.until('12345')
  const closing = proxy.proxy.close({ graceMs: forever, idleMs: forever })
  ;(await origin.connection()).send('67890')
  await client.until('67890')
  const response = await client.exchange(get('/last'))
  assert.equal(response.body, 'last')
  assert.equal(response.field('Connection'), 'close')
  await client.closed()
  await closed(closing)
})

test('clients that stay idle are closed when idleMs is over', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  await client.exchange(get())
  const closing = proxy.proxy.close({ graceMs: forever, idleMs: 20 })
  assert.equal(await client.closed(), 'fin')
  await closed(closing)
})

test('close() takes no new connections', async (t) => {
  const origin = await ScriptedOrigin.start(t, silent)
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const running = await proxy.client()
  running.send(get())
  const connection = await origin.connection()
  const closing = proxy.proxy.close({ graceMs: forever })
  await assert.rejects(RawClient.connect(proxy.address), { code: 'ECONNREFUSED' })
  connection.respond(200, 'ok')
  assert.equal((await running.response()).status, 200)
  await running.closed()
  await closed(closing)
})

test('a response that had begun before close() ends, and its connection with it', async (t) => {
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    await connection.request()
    connection.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345')
  })
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  client.send(get())
  assert.doesNotMatch(await client.until('12345'), /Connection/)
  const closing = proxy.proxy.close({ graceMs: forever })
  ;(await origin.connection()).send('67890')
  assert.equal(await client.until('67890'), '67890')
  assert.equal(await client.closed(), 'fin')
  await closed(closing)
})

test('a request whose head is on its way when close() begins is answered', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  client.send('GET / HTTP/1.1\r\nHo')
  await until(
    () => proxy.proxy.stats.parserSlots === 1,
    () => 'half a head to arrive',
  )
  const closing = proxy.proxy.close({ graceMs: forever })
  const response = await client.exchange('st: test\r\n\r\n')
  assert.equal(response.status, 200)
  assert.equal(response.field('Connection'), 'close')
  await client.closed()
  await closed(closing)
})

test('requests that wait for a connection when close() begins are answered', async (t) => {
  const origin = await ScriptedOrigin.start(t, silent)
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], pool: { connections: 1 } })
  const [first, second] = [await proxy.client(), await proxy.client()]
  first.send(get('/first'))
  const connection = await origin.connection()
  second.send(get('/second'))
  await until(
    () => proxy.pool.waiting === 1,
    () => 'a request to wait',
  )
  const closing = proxy.proxy.close({ graceMs: forever })
  connection.respond(200, 'one')
  assert.equal((await first.response()).body, 'one')
  await first.closed()
  const next = await origin.connection(1)
  await until(
    () => origin.heads.length === 2,
    () => 'the second request',
  )
  next.respond(200, 'two')
  assert.equal((await second.response()).body, 'two')
  await second.closed()
  await closed(closing)
})

test('when the grace is over, who waits for a response is told, and who is in one is cut', async (t) => {
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    const { target } = await connection.request()
    if (target === '/begun') connection.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345')
  })
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const begun = await proxy.client()
  begun.send(get('/begun'))
  await begun.until('12345')
  const waiting = await proxy.client()
  waiting.send(get('/waiting'))
  await until(
    () => origin.heads.length === 2,
    () => 'both requests',
  )
  await closed(proxy.proxy.close({ graceMs: 50 }))
  const response = await waiting.response()
  assert.equal(response.status, 503)
  assert.equal(response.field('Connection'), 'close')
  assert.equal(await begun.ended(), 'reset')
  for (let i = 0; i < 2; i++) {
    const summary = await proxy.summary()
    assert.equal(summary.error, 'ERR_EPROXY_DRAINED')
    assert.match(summary.termination, /^P/)
  }
})

test('a signal ends the grace', async (t) => {
  const origin = await ScriptedOrigin.start(t, silent)
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  client.send(get())
  await origin.connection()
  const abort = new AbortController()
  const closing = proxy.proxy.close({ graceMs: forever, signal: abort.signal })
  abort.abort()
  await closed(closing)
  await client.ended()
})

test('timeouts.drain is the grace when close() names none', async (t) => {
  const origin = await ScriptedOrigin.start(t, silent)
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], timeouts: { drain: 50 } })
  const client = await proxy.client()
  client.send(get())
  await origin.connection()
  await closed(proxy.proxy.close())
  assert.equal((await client.response()).status, 503)
})

test('destroy() cuts everything at once, and close() tells when it is done', async (t) => {
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    await connection.request()
    connection.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345')
  })
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  client.send(get())
  await client.until('12345')
  let closes = 0
  proxy.proxy.on('close', () => closes++)
  proxy.proxy.destroy()
  proxy.proxy.destroy()
  await closed(proxy.proxy.close())
  assert.equal(proxy.proxy.stats.connections, 0)
  assert.equal(closes, 1)
  assert.equal(await client.ended(), 'reset')
  assert.equal(await (await origin.connection()).ended(), 'reset')
})

test('close() may be called again and resolves as the first call does; listen() is refused from then on', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const first = proxy.proxy.close()
  const second = proxy.proxy.close({ graceMs: 0 })
  await assert.rejects(proxy.proxy.listen('127.0.0.1:0'), (error) => error instanceof ProxyError && error.code === 'ERR_EPROXY_STATE')
  await closed(first)
  await closed(second)
})

test('a tunnel may go on until the grace is over', async (t) => {
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    await connection.request()
    connection.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\n')
  })
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  assert.equal((await client.exchange(get('/', 'Connection: Upgrade\r\nUpgrade: test\r\n'))).status, 101)
  const abort = new AbortController()
  const closing = proxy.proxy.close({ graceMs: forever, signal: abort.signal })
  const connection = await origin.connection()
  client.send('still here')
  assert.equal(await connection.until('still here'), 'still here')
  abort.abort()
  await closed(closing)
  await client.ended()
  await connection.ended()
  const summary = await proxy.summary()
  assert.equal(summary.error, 'ERR_EPROXY_DRAINED')
  assert.equal(summary.tunnel, true)
})

test('the embedded origin, too, is gone when the proxy is', async (t) => {
  const proxy = await ProxyUnderTest.start(t, {})
  const client = await proxy.client()
  assert.equal((await client.exchange(get())).status, 200)
  const [address = ''] = Object.keys(proxy.proxy.stats.upstreams)
  const closing = proxy.proxy.close({ graceMs: forever })
  await client.closed()
  await closed(closing)
  await assert.rejects(RawClient.connect(address), { code: 'ECONNREFUSED' })
})

test('await using closes the proxy', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const closing = once(proxy.proxy, 'close')
  {
    await using disposed = proxy.proxy
    assert.equal(disposed.stats.connections, 0)
  }
  await patiently(closing, () => 'the close event')
})

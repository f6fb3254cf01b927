/** Unix sockets on either side: the same proxy, but for addresses, files and the RST that such sockets do not have. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, renameSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { test, type TestContext } from 'node:test'
import { ProxyError } from '../../lib/index.ts'
import { patiently, until } from '../support/patience.ts'
import { ProxyUnderTest } from '../support/proxy-under-test.ts'
import { get, withBody } from '../support/raw-client.ts'
import { answering, answeringWith, ScriptedOrigin, silent } from '../support/scripted-origin.ts'
import { TemporaryFolder } from '../support/temporary-folder.ts'
import { WireEnded } from '../support/wire.ts'

/** A path for a socket that nobody else uses, gone when the test is over. */
function freshPath(t: TestContext): string {
  const folder = new TemporaryFolder()
  t.after(() => folder[Symbol.dispose]())
  return folder.file('socket')
}

test('from a unix socket to a unix socket', async (t) => {
  const path = freshPath(t)
  const origin = await ScriptedOrigin.start(
    t,
    answeringWith((request, connection) => connection.respond(200, request.body)),
    { listen: `unix:${freshPath(t)}` },
  )
  const proxy = await ProxyUnderTest.start(t, { listen: `unix:${path}`, upstreams: [origin.address], via: '', forwarded: 'both' })
  assert.equal(proxy.address, `unix:${path}`)
  const client = await proxy.client()
  for (let i = 0; i < 3; i++) assert.equal((await client.exchange(withBody('POST', 'words'))).body, 'words')
  assert.equal(origin.connections.length, 1)
  const summary = await proxy.summary()
  assert.equal(summary.client, 'unix')
  assert.equal(summary.upstream, origin.address)
  assert.doesNotMatch(origin.heads[0]!, /X-Forwarded-For/)
  assert.match(origin.heads[0]!, /\r\nForwarded: for=unknown;host="test";proto=http\r\n/)
})

test('megabytes pass, both ways', async (t) => {
  const proxy = await ProxyUnderTest.start(t, { listen: `unix:${freshPath(t)}` })
  const client = await proxy.client()
  const bytes = 8 << 20
  client.send(`POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: ${bytes}\r\n\r\n`)
  const pouring = client.pour(Buffer.alloc(bytes, 'x'))
  await client.until('\r\n\r\n')
  await client.digest(bytes)
  await pouring
})

test('a socket file that nobody answers on is replaced; the file goes with the proxy', async (t) => {
  const path = freshPath(t)
  await leaveStaleSocket(path)
  assert.ok(existsSync(path))
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { listen: `unix:${path}`, upstreams: [origin.address] })
  const client = await proxy.client()
  assert.equal((await client.exchange(get())).status, 200)
  const closing = proxy.proxy.close()
  await client.closed()
  await patiently(closing, () => 'close() to resolve')
  assert.ok(!existsSync(path))
})

test('a socket that somebody answers on, or a file that is none, is left alone', async (t) => {
  const live = freshPath(t)
  const server = createServer().listen({ path: live })
  await once(server, 'listening')
  t.after(() => server.close())
  const file = freshPath(t)
  writeFileSync(file, 'precious')
  for (const path of [live, file]) {
    const starting = ProxyUnderTest.start(t, { listen: `unix:${path}` })
    await assert.rejects(starting, (error) => {
      assert.ok(error instanceof ProxyError)
      assert.equal(error.code, 'ERR_EPROXY_LISTEN')
      assert.equal((error.cause as NodeJS.ErrnoException).code, 'EADDRINUSE')
      return true
    })
    assert.ok(existsSync(path))
  }
})

test('a server that is not there is 502', async (t) => {
  const proxy = await ProxyUnderTest.start(t, { upstreams: [`unix:${freshPath(t)}`] })
  const client = await proxy.client()
  assert.equal((await client.exchange(get())).status, 502)
  assert.equal((await proxy.summary()).error, 'ERR_EPROXY_CONNECT_FAILED')
})

test('a client that leaves in the middle of a body stops a server behind a unix socket', async (t) => {
  const origin = await ScriptedOrigin.start(t, silent, { listen: `unix:${freshPath(t)}` })
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  client.send('POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n123')
  const connection = await origin.connection()
  await connection.until('123')
  client.reset()
  await connection.ended()
  assert.equal((await proxy.summary()).termination, 'CD')
  await proxy.quiet()
})

test('a server behind a unix socket that says nothing is given up', async (t) => {
  const origin = await ScriptedOrigin.start(t, silent, { listen: `unix:${freshPath(t)}` })
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], timeouts: { responseHead: 100 } })
  const client = await proxy.client()
  assert.equal((await client.exchange(get())).status, 504)
  await (await origin.connection()).ended()
  assert.equal(proxy.pool.busy, 0)
})

test('a response to a client on a unix socket that is cut does not look complete', async (t) => {
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    await connection.request()
    connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n')
  })
  const proxy = await ProxyUnderTest.start(t, { listen: `unix:${freshPath(t)}`, upstreams: [origin.address] })
  const client = await proxy.client()
  client.send(get())
  await client.until('hello\r\n')
  ;(await origin.connection()).reset()
  await assert.rejects(client.until('0\r\n\r\n'), WireEnded)
  assert.equal((await proxy.summary()).termination, 'SD')
  await proxy.quiet()
})

test('a client on a unix socket that does not read is cut', async (t) => {
  const bytes = 16 << 20
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    await connection.request()
    connection.send(`HTTP/1.1 200 OK\r\nContent-Length: ${bytes}\r\n\r\n`)
    await connection.pour(Buffer.alloc(bytes))
  })
  const options = { listen: `unix:${freshPath(t)}`, upstreams: [origin.address], timeouts: { clientWriteIdle: 150 } }
  const proxy = await ProxyUnderTest.start(t, options)
  const client = await proxy.client()
  client.pause()
  client.send(get())
  assert.equal((await proxy.summary()).error, 'ERR_EPROXY_CLIENT_STALLED')
  client.resume()
  await client.ended()
  await until(
    () => proxy.proxy.stats.connections === 0,
    () => 'the client to be let go',
  )
})

/** What a process that was killed leaves behind. A server that closes removes its file, unless that was renamed meanwhile. */
async function leaveStaleSocket(path: string): Promise<void> {
  const server = createServer().listen({ path: `${path}.live` })
  await once(server, 'listening')
  renameSync(`${path}.live`, path)
  server.close()
  await once(server, 'close')
  const [error] = (await patiently(once(connect({ path }), 'error'), () => 'a refusal')) as [NodeJS.ErrnoException]
  assert.equal(error.code, 'ECONNREFUSED')
}

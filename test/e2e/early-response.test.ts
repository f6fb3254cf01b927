/**
 * The response comes before the request is complete (RFC 9112 section 9.3). The client gets it at once; its connection goes on when the
 * rest of the body has gone by, or ends when the response is an error; the upstream connection is in the middle of a request and is
 * never used again.
 */
import assert from 'node:assert/strict'
import test from 'node:test'
import { ProxyUnderTest } from '../support/proxy-under-test.ts'
import { get } from '../support/raw-client.ts'
import { answeringWith, ScriptedOrigin, type Script } from '../support/scripted-origin.ts'

const megabyte = 1_048_576

/** Answers POST by its head alone. */
function answeringEarly(status: number): Script {
  return async (connection) => {
    for (;;) {
      const request = await connection.head()
      connection.respond(request.method === 'POST' ? status : 200, request.target)
    }
  }
}

for (const { framing, head, pieces } of [
  { framing: 'of known length', head: 'Content-Length: 10\r\n\r\n', pieces: ['123', '4567890'] },
  { framing: 'in chunks', head: 'Transfer-Encoding: chunked\r\n\r\n', pieces: ['3\r\n123\r\n', '7\r\n4567890\r\n0\r\nX-T: 1\r\n\r\n'] },
]) {
  test(`200 while a body ${framing} still comes: the rest is read, and the client goes on`, async (t) => {
    const origin = await ScriptedOrigin.start(t, answeringEarly(200))
    const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
    const client = await proxy.client()
    const response = await client.exchange(`POST /early HTTP/1.1\r\nHost: test\r\n${head}`)
    assert.equal(response.body, '/early')
    assert.equal(response.field('Connection'), '')
    await (await origin.connection()).ended()
    for (const piece of pieces) client.send(piece)
    assert.equal((await client.exchange(get('/next'))).body, '/next')
    const summary = await proxy.summary()
    assert.equal(summary.status, 200)
    assert.equal(summary.termination, '--')
    assert.equal(origin.connections.length, 2, 'a connection in the middle of a request was used again')
    assert.doesNotMatch(origin.connections[1]!.heads[0]!, /4567890/)
  })

  test(`413 while a body ${framing} still comes: the client is told to stop`, async (t) => {
    const origin = await ScriptedOrigin.start(t, answeringEarly(413))
    const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
    const client = await proxy.client()
    const response = await client.exchange(`POST /early HTTP/1.1\r\nHost: test\r\n${head}`)
    assert.equal(response.status, 413)
    assert.equal(response.field('Connection'), 'close')
    assert.equal(await client.closed(), 'fin')
    assert.equal((await proxy.summary()).status, 413)
    await (await origin.connection()).ended()
    await proxy.quiet()
    assert.equal(proxy.pool.idle, 0)
  })
}

test('413 while megabytes are on their way: the client that sends on still sees it', async (t) => {
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    await connection.head()
    connection.respond(413, 'too much')
    connection.pause()
  })
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  const bytes = 16 * megabyte
  client.send(`POST / HTTP/1.1\r\nHost: test\r\nContent-Length: ${bytes}\r\n\r\n`)
  const pouring = client.pour(Buffer.alloc(bytes))
  const response = await client.response()
  assert.equal(response.status, 413)
  assert.equal(response.body, 'too much')
  await client.ended()
  client.destroy()
  await pouring
  await proxy.quiet()
})

test('a pipelined request behind the rest of a body that nobody wants is answered', async (t) => {
  const origin = await ScriptedOrigin.start(t, answeringEarly(200))
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  assert.equal((await client.exchange('POST /early HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n12')).body, '/early')
  client.send('34567890' + get('/second') + get('/third'))
  assert.equal((await client.response()).body, '/second')
  assert.equal((await client.response()).body, '/third')
})

test('the rest of a body that does not come in time ends the connection', async (t) => {
  const origin = await ScriptedOrigin.start(t, answeringEarly(200))
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], timeouts: { linger: 150 } })
  const client = await proxy.client()
  assert.equal((await client.exchange('POST /early HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n12')).body, '/early')
  assert.equal(await client.closed(), 'fin')
  assert.equal((await proxy.summary()).status, 200)
  await proxy.quiet()
})

test('a rest that breaks a rule ends the connection, and is not answered a second time', async (t) => {
  const origin = await ScriptedOrigin.start(t, answeringEarly(200))
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  assert.equal((await client.exchange('POST /early HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n')).body, '/early')
  client.send('nonsense\r\n')
  assert.equal(await client.closed(), 'fin')
  assert.equal(client.unread, '')
  const summary = await proxy.summary()
  assert.equal(summary.status, 200)
  assert.equal(summary.rule, 'H1-CHUNK-SIZE')
  await proxy.quiet()
})

test('a client that leaves instead of sending the rest leaves nothing behind', async (t) => {
  const origin = await ScriptedOrigin.start(t, answeringEarly(200))
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  for (const leave of ['end', 'reset'] as const) {
    const client = await proxy.client()
    assert.equal((await client.exchange('POST /early HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n12')).body, '/early')
    client[leave]()
    assert.equal((await proxy.summary()).status, 200)
    await proxy.quiet()
  }
})

test('both ways at once: what comes back is not kept until all is sent', async (t) => {
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    await connection.head()
    connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
    for (;;) {
      const size = await connection.until('\r\n')
      const rest = await connection.take(Number.parseInt(size, 16) + 2)
      connection.send(size + rest)
      if (size === '0\r\n') return
    }
  })
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  client.send('POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n')
  await client.until('\r\n\r\n')
  for (let i = 0; i < 20; i++) {
    const chunk = `5\r\nabc${String(i).padStart(2, '0')}\r\n`
    client.send(chunk)
    assert.equal(await client.until(chunk), chunk)
  }
  client.send('0\r\n\r\n')
  assert.equal(await client.until('0\r\n\r\n'), '0\r\n\r\n')
  assert.equal((await proxy.summary()).termination, '--')
  assert.equal(proxy.pool.idle, 1)
})

test('the end of the request and the response in one read: both connections go on', async (t) => {
  const origin = await ScriptedOrigin.start(
    t,
    answeringWith((request, connection) => connection.respond(200, request.body)),
  )
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  for (let i = 0; i < 20; i++) {
    client.send('POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 6\r\n\r\nfoo')
    client.send('bar')
    assert.equal((await client.response()).body, 'foobar')
  }
  assert.equal(origin.connections.length, 1)
})

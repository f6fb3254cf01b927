/**
 * Either side goes away, by FIN or by RST, in each phase of an exchange: the other side is stopped at once, nothing that is cut looks
 * complete, nothing is left behind, and the summary says who ended it and when.
 */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { until } from '../support/patience.ts'
import { ProxyUnderTest, type StartOptions } from '../support/proxy-under-test.ts'
import { get, withBody, type RawClient } from '../support/raw-client.ts'
import { answering, answeringWith, ScriptedOrigin, silent, type OriginConnection, type Script } from '../support/scripted-origin.ts'
import { WireEnded, type Wire } from '../support/wire.ts'

const ways = [
  { way: 'FIN', leave: (wire: Wire) => wire.end() },
  { way: 'RST', leave: (wire: Wire) => wire.reset() },
]

async function start(t: TestContext, script: Script, options: StartOptions = {}) {
  const origin = await ScriptedOrigin.start(t, script)
  const proxy = await ProxyUnderTest.start(t, { ...options, upstreams: [origin.address] })
  return { origin, proxy, client: await proxy.client() }
}

/** Nothing is left of the exchange on either side. */
async function assertNothingIsLeft(proxy: ProxyUnderTest, client: RawClient): Promise<void> {
  client.end()
  await proxy.quiet()
  assert.equal(proxy.pool.idle, 0)
}

const withHead = (head: string, then: (connection: OriginConnection) => void): Script => {
  return async (connection) => {
    await connection.request()
    connection.send(head)
    then(connection)
  }
}
const nothing = (): void => {}

// The client goes away.

test('a client that leaves by FIN in the middle of a head is told so', async (t) => {
  const { origin, proxy, client } = await start(t, answering())
  client.send('GET / HTTP/1.1\r\nHo')
  client.end()
  const response = await client.response()
  assert.equal(response.status, 400)
  assert.match(response.body, /H1-INCOMPLETE/)
  const summary = await proxy.summary()
  assert.equal(summary.rule, 'H1-INCOMPLETE')
  assert.equal(summary.termination, 'PR')
  await assertNothingIsLeft(proxy, client)
  assert.equal(origin.connections.length, 0)
})

test('a client that leaves by RST in the middle of a head', async (t) => {
  const { origin, proxy, client } = await start(t, answering())
  client.send('GET / HTTP/1.1\r\nHo')
  await until(
    () => proxy.proxy.stats.parserSlots === 1,
    () => 'half a head to arrive',
  )
  client.reset()
  const summary = await proxy.summary()
  assert.equal(summary.termination, 'CR')
  assert.equal(summary.error, 'ERR_EPROXY_CLIENT_ABORTED')
  assert.equal(summary.status, 0)
  await assertNothingIsLeft(proxy, client)
  assert.equal(origin.connections.length, 0)
})

for (const { way, leave } of ways) {
  test(`a client that leaves by ${way} before it has said anything leaves no trace`, async (t) => {
    const { proxy, client } = await start(t, answering())
    leave(client)
    await proxy.quiet()
    assert.equal(proxy.summaries.length, 0)
  })

  test(`a client that leaves by ${way} between requests leaves no trace`, async (t) => {
    const { proxy, client } = await start(t, answering())
    assert.equal((await client.exchange(get())).status, 200)
    leave(client)
    await proxy.quiet()
    assert.equal(proxy.summaries.length, 1)
    assert.equal(proxy.pool.idle, 1)
  })

  for (const { framing, head } of [
    { framing: 'of known length', head: 'Content-Length: 10\r\n\r\n123' },
    { framing: 'in chunks', head: 'Transfer-Encoding: chunked\r\n\r\n3\r\n123\r\n' },
  ]) {
    test(`a client that leaves by ${way} in the middle of a body ${framing}: the upstream is reset`, async (t) => {
      const { origin, proxy, client } = await start(t, silent)
      client.send(`POST / HTTP/1.1\r\nHost: test\r\n${head}`)
      const connection = await origin.connection()
      await connection.until('123')
      leave(client)
      assert.equal(await connection.ended(), 'reset')
      const summary = await proxy.summary()
      if (way === 'FIN') {
        assert.equal((await client.response()).status, 400)
        assert.equal(summary.rule, 'H1-INCOMPLETE')
        assert.equal(summary.status, 400)
      } else {
        assert.equal(summary.termination, 'CD')
        assert.equal(summary.error, 'ERR_EPROXY_CLIENT_ABORTED')
      }
      await assertNothingIsLeft(proxy, client)
    })
  }

  test(`a client that leaves by ${way} while it waits for its response: the upstream is reset`, async (t) => {
    const { origin, proxy, client } = await start(t, silent)
    client.send(get())
    const connection = await origin.connection()
    await until(
      () => origin.heads.length === 1,
      () => 'the request',
    )
    leave(client)
    assert.equal(await connection.ended(), 'reset')
    const summary = await proxy.summary()
    assert.equal(summary.termination, 'CH')
    assert.equal(summary.error, 'ERR_EPROXY_CLIENT_ABORTED')
    assert.equal(summary.status, 0)
    await assertNothingIsLeft(proxy, client)
  })

  test(`a client that leaves by ${way} while it waits for a connection gives up its place`, async (t) => {
    const { origin, proxy, client } = await start(t, silent, { pool: { connections: 1 } })
    const busy = await proxy.client()
    busy.send(get('/busy'))
    const connection = await origin.connection()
    client.send(get('/waiting'))
    await until(
      () => proxy.pool.waiting === 1,
      () => 'a request to wait',
    )
    leave(client)
    const summary = await proxy.summary()
    assert.equal(summary.termination, 'CQ')
    assert.equal(summary.error, 'ERR_EPROXY_CLIENT_ABORTED')
    assert.equal(proxy.pool.waiting, 0)
    connection.respond(200, 'ok')
    assert.equal((await busy.response()).status, 200)
    assert.equal(origin.heads.length, 1)
  })

  for (const { framing, head } of [
    { framing: 'of known length', head: 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello' },
    { framing: 'in chunks', head: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n' },
    { framing: 'that ends with the connection', head: 'HTTP/1.1 200 OK\r\n\r\nhello' },
  ]) {
    test(`a client that leaves by ${way} in the middle of a response ${framing}: the upstream is reset`, async (t) => {
      const { origin, proxy, client } = await start(t, withHead(head, nothing))
      client.send(get())
      await client.until('hello')
      leave(client)
      assert.equal(await (await origin.connection()).ended(), 'reset')
      const summary = await proxy.summary()
      assert.equal(summary.termination, 'CD')
      assert.equal(summary.error, 'ERR_EPROXY_CLIENT_ABORTED')
      assert.equal(summary.status, 200)
      await assertNothingIsLeft(proxy, client)
    })
  }
}

test('a client that ends its side is still answered where that is wanted', async (t) => {
  const { origin, proxy, client } = await start(t, silent, { halfClosedClients: 'serve' })
  client.send(get())
  client.end()
  const connection = await origin.connection()
  await until(
    () => origin.heads.length === 1,
    () => 'the request',
  )
  connection.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345')
  await client.until('12345')
  connection.send('67890')
  await client.until('67890')
  assert.equal(await client.ended(), 'fin')
  const summary = await proxy.summary()
  assert.equal(summary.termination, '--')
  await proxy.quiet()
  assert.equal(proxy.pool.idle, 1)
})

test('all requests that came before the FIN are answered where half-closed clients are served', async (t) => {
  const answer = answeringWith(({ target }, connection) => connection.respond(200, target))
  const { client } = await start(t, answer, { halfClosedClients: 'serve' })
  client.send(get('/1') + get('/2') + get('/3'))
  client.end()
  for (const target of ['/1', '/2', '/3']) assert.equal((await client.response()).body, target)
  assert.equal(await client.closed(), 'fin')
})

test('half a request behind whole ones is refused where half-closed clients are served', async (t) => {
  const answer = answeringWith(({ target }, connection) => connection.respond(200, target))
  const { client } = await start(t, answer, { halfClosedClients: 'serve' })
  client.send(get('/1') + 'GET /2 HT')
  client.end()
  assert.equal((await client.response()).body, '/1')
  assert.equal((await client.response()).status, 400)
  assert.equal(await client.closed(), 'fin')
})

test('a client that leaves by RST is noticed where half-closed clients are served, too', async (t) => {
  const { origin, proxy, client } = await start(t, silent, { halfClosedClients: 'serve' })
  client.send(get())
  const connection = await origin.connection()
  await until(
    () => origin.heads.length === 1,
    () => 'the request',
  )
  client.reset()
  assert.equal(await connection.ended(), 'reset')
  assert.equal((await proxy.summary()).termination, 'CH')
})

// The upstream goes away.

for (const { way, leave } of ways) {
  test(`a server that leaves by ${way} before its response: 502`, async (t) => {
    const { proxy, client } = await start(t, async (connection) => {
      await connection.request()
      leave(connection)
    })
    const response = await client.exchange(get())
    assert.equal(response.status, 502)
    assert.match(response.field('Proxy-Status'), /error=connection_terminated/)
    assert.equal(response.field('Connection'), '')
    const summary = await proxy.summary()
    assert.equal(summary.termination, 'SH')
    assert.equal(summary.error, 'ERR_EPROXY_UPSTREAM_CLOSED')
    await assertNothingIsLeft(proxy, client)
  })

  test(`a server that leaves by ${way} in the middle of its head: 502`, async (t) => {
    const { origin, proxy, client } = await start(t, withHead('HTTP/1.1 200 OK\r\nX-A', nothing))
    client.send(get())
    const connection = await origin.connection()
    await until(
      () => proxy.proxy.stats.parserSlots === 1,
      () => 'half a head to arrive',
    )
    leave(connection)
    const response = await client.response()
    assert.equal(response.status, 502)
    assert.match(response.field('Proxy-Status'), /error=http_response_incomplete/)
    const summary = await proxy.summary()
    assert.match(summary.termination, /^S/)
    assert.equal(summary.error, 'ERR_EPROXY_RESPONSE_INCOMPLETE')
    await assertNothingIsLeft(proxy, client)
  })

  test(`a server that leaves by ${way} after an interim response: 502`, async (t) => {
    let tell = (): void => {}
    const hinted = new Promise<void>((resolve) => (tell = resolve))
    const { proxy, client } = await start(t, async (connection) => {
      await connection.request()
      connection.send('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n')
      await hinted
      leave(connection)
    })
    const interim = await client.exchange(get())
    assert.equal(interim.status, 103)
    tell()
    assert.equal((await client.response()).status, 502)
    assert.equal((await proxy.summary()).status, 502)
    await assertNothingIsLeft(proxy, client)
  })

  test(`a server that leaves by ${way} while a body is on its way: 502, and the client's connection ends`, async (t) => {
    const { origin, proxy, client } = await start(t, silent)
    client.send('POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n123')
    const connection = await origin.connection()
    await connection.until('123')
    leave(connection)
    const response = await client.response()
    assert.equal(response.status, 502)
    assert.equal(response.field('Connection'), 'close')
    assert.equal(await client.closed(), 'fin')
    assert.equal((await proxy.summary()).error, 'ERR_EPROXY_UPSTREAM_CLOSED')
    await assertNothingIsLeft(proxy, client)
  })

  for (const { framing, head } of [
    { framing: 'of known length', head: 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello' },
    { framing: 'in chunks', head: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n' },
    ...(way === 'RST' ? [{ framing: 'that ends with the connection', head: 'HTTP/1.1 200 OK\r\n\r\nhello' }] : []),
  ]) {
    test(`a server that leaves by ${way} in the middle of a response ${framing}: the client is reset`, async (t) => {
      const { origin, proxy, client } = await start(t, withHead(head, nothing))
      client.send(get())
      await client.until('hello')
      leave(await origin.connection())
      await assert.rejects(client.until('\r\n0\r\n'), WireEnded)
      assert.equal(client.ending, 'reset')
      const summary = await proxy.summary()
      assert.equal(summary.termination, 'SD')
      assert.equal(summary.error, 'ERR_EPROXY_RESPONSE_INCOMPLETE')
      assert.equal(summary.status, 200)
      await assertNothingIsLeft(proxy, client)
    })
  }

  test(`a server that leaves by ${way} right behind a complete response takes nothing from it`, async (t) => {
    const { proxy, client } = await start(t, async (connection) => {
      await connection.request()
      connection.respond(200, 'all of it')
      leave(connection)
    })
    // A RST may overtake bytes in the kernel: then there was no response.
    const { status, body } = await client.exchange(get())
    if (way === 'FIN' || status === 200) assert.deepEqual({ status, body }, { status: 200, body: 'all of it' })
    else assert.equal(status, 502)
    await proxy.summary()
    await assertNothingIsLeft(proxy, client)
  })
}

test('a body that ends with the connection is complete when the server leaves by FIN', async (t) => {
  const { proxy, client } = await start(
    t,
    withHead('HTTP/1.1 200 OK\r\n\r\nhello', (connection) => connection.end()),
  )
  assert.equal((await client.exchange(get())).body, 'hello')
  assert.equal((await proxy.summary()).termination, '--')
  await assertNothingIsLeft(proxy, client)
})

// Either side, in a tunnel.

const upgrade = get('/', 'Connection: Upgrade\r\nUpgrade: test\r\n')
const switched = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\n'

test('a client that resets its tunnel: the upstream is cut, and the client is the one that ended it', async (t) => {
  const { origin, proxy, client } = await start(t, withHead(switched, nothing))
  assert.equal((await client.exchange(upgrade)).status, 101)
  client.reset()
  await (await origin.connection()).ended()
  const summary = await proxy.summary()
  assert.equal(summary.error, 'ERR_EPROXY_TUNNEL_RESET')
  assert.match(summary.termination, /^C/)
  assert.equal(summary.tunnel, true)
  await assertNothingIsLeft(proxy, client)
})

test('a server that resets its tunnel: the client is reset, and the server is the one that ended it', async (t) => {
  const { origin, proxy, client } = await start(t, withHead(switched, nothing))
  assert.equal((await client.exchange(upgrade)).status, 101)
  ;(await origin.connection()).reset()
  assert.equal(await client.ended(), 'reset')
  const summary = await proxy.summary()
  assert.equal(summary.error, 'ERR_EPROXY_TUNNEL_RESET')
  assert.match(summary.termination, /^S/)
  await assertNothingIsLeft(proxy, client)
})

test('a tunnel that both sides end by FIN ended well', async (t) => {
  const { origin, proxy, client } = await start(t, withHead(switched, nothing))
  assert.equal((await client.exchange(upgrade)).status, 101)
  const connection = await origin.connection()
  client.end()
  assert.equal(await connection.ended(), 'fin')
  connection.end()
  assert.equal(await client.ended(), 'fin')
  const summary = await proxy.summary()
  assert.equal(summary.termination, '--')
  assert.equal(summary.error, '')
  await assertNothingIsLeft(proxy, client)
})

test('a thousand clients that leave at every moment leave nothing behind', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering('x'.repeat(5_000)))
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], pool: { connections: 8 } })
  const request = withBody('POST', 'y'.repeat(2_000))
  for (let round = 0; round < 20; round++) {
    const clients = await Promise.all(Array.from({ length: 50 }, () => proxy.client()))
    for (const [index, client] of clients.entries()) {
      client.send(request.slice(0, ((round * 50 + index) * 7) % (request.length + 1)))
      if (index % 2 === 0) client.end()
      else client.reset()
    }
    await proxy.quiet()
  }
  const { parserSlots, connections, faultsTotal } = proxy.proxy.stats
  assert.deepEqual({ parserSlots, connections, faultsTotal }, { parserSlots: 0, connections: 0, faultsTotal: 0 })
  assert.equal((await (await proxy.client()).exchange(get())).status, 200)
})

/**
 * Messages on their way through, with raw and with ordinary clients and servers: what stays as it came, what is for one hop only, Via and
 * its loops, bodies of any size and framing, and that neither side is ever fed faster than it eats.
 */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { Agent, createServer, request as httpRequest, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import test from 'node:test'
import { until } from '../support/patience.ts'
import { ProxyUnderTest } from '../support/proxy-under-test.ts'
import { get, withBody } from '../support/raw-client.ts'
import { answering, answeringWith, ScriptedOrigin } from '../support/scripted-origin.ts'

const megabyte = 1_048_576
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

test('a request without anything for this hop arrives octet for octet, plus Via', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], via: 'test' })
  const head = 'GET /a/../b//c?x=%41&y=1 HTTP/1.1\r\nhOST: Test:80\r\nx-b: 2\r\nX-A: 1\r\nX-a: \xe9\xff  z\r\nX-Empty: \r\n'
  const client = await proxy.client()
  assert.equal((await client.exchange(head + '\r\n')).status, 200)
  assert.equal(origin.heads[0], head + 'Via: 1.1 test\r\n\r\n')
})

test('a response without anything for this hop arrives octet for octet, plus Via', async (t) => {
  const head =
    'HTTP/1.1 299 R\xe9ason  x\r\nsERVER: x\r\nDate: today\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 3\r\nX-Z: \t.\r\n'
  const origin = await ScriptedOrigin.start(
    t,
    answeringWith((_, connection) => connection.send(`${head}\r\n\0\xff\n`)),
  )
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], via: 'test' })
  const response = await (await proxy.client()).exchange(get())
  assert.equal(response.head, head.replace('\t.', '.') + 'Via: 1.1 test\r\n\r\n')
  assert.equal(response.body, '\0\xff\n')
})

test('fields for one hop do not pass, either way', async (t) => {
  const hop = 'Connection: x-one, close\r\nKeep-Alive: timeout=9\r\nProxy-Connection: keep-alive\r\nX-One: 1\r\nX-Two: 2\r\n'
  const origin = await ScriptedOrigin.start(
    t,
    answeringWith((_, connection) => connection.send(`HTTP/1.1 200 OK\r\nContent-Length: 0\r\n${hop}\r\n`)),
  )
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  const response = await client.exchange(get('/', `${hop}TE: gzip\r\nProxy-Authorization: Basic eDp5\r\n`))
  for (const head of [origin.heads[0]!, response.head.replace('Connection: close\r\n', '')]) {
    assert.doesNotMatch(head, /^(?:Connection|Keep-Alive|Proxy-Connection|Proxy-Authorization|TE|X-One):/im)
    assert.match(head, /^X-Two: 2\r$/m)
  }
  await client.closed()
})

test('what a client nominates cannot be taken from the origin', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const fields = 'Connection: Host, Content-Length, Authorization, Via\r\nAuthorization: Basic eDp5\r\n'
  await (await proxy.client()).exchange(withBody('POST', 'words', fields))
  for (const name of ['Host: test', 'Content-Length: 5', 'Authorization: Basic eDp5']) assert.ok(origin.heads[0]!.includes(`${name}\r\n`))
})

test('TE: trailers is passed on, and trailers pass both ways', async (t) => {
  const origin = await ScriptedOrigin.start(
    t,
    answeringWith((request, connection) => {
      connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n')
      connection.send(`${request.body.length.toString(16)}\r\n${request.body}\r\n0\r\n${request.trailers}X-Sum: 1\r\n\r\n`)
    }),
  )
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const fields = 'Host: test\r\nTE: trailers\r\nConnection: TE\r\nTransfer-Encoding: chunked\r\n'
  const body = '3;ext="a;b"\r\nhel\r\n2\r\nlo\r\n0\r\nX-From: client\r\nX-two: \tb \r\n\r\n'
  const response = await (await proxy.client()).exchange(`POST / HTTP/1.1\r\n${fields}\r\n${body}`)
  assert.equal(response.body, 'hello')
  assert.equal(response.trailers, 'X-From: client\r\nX-two: b\r\nX-Sum: 1\r\n')
  assert.match(origin.heads[0]!, /\r\nConnection: TE\r\nTE: trailers\r\n/)
  assert.equal(response.field('Trailer'), 'X-Sum')
})

test('a response without Date gets one', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const response = await (await proxy.client()).exchange(get())
  const differenceMs = Math.abs(Date.parse(response.field('Date')) - Date.now())
  assert.ok(differenceMs < 60_000, response.field('Date'))
})

test('Via is added to what is there, and a request that comes back is 508', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering('ok', 'Via: 1.1 behind\r\n'))
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], via: 'here' })
  const client = await proxy.client()
  const response = await client.exchange(get('/', 'Via: 1.0 before (x, here), 1.1 heres\r\n'))
  assert.equal(response.status, 200)
  assert.equal(response.field('Via'), '1.1 behind, 1.1 here')
  assert.ok(origin.heads[0]!.endsWith('Via: 1.0 before (x, here), 1.1 heres\r\nVia: 1.1 here\r\n\r\n'))
  const looped = await client.exchange(get('/', 'Via: 1.0 before\r\nVia: 1.1 x, HTTP/1.1 here (eproxy)\r\n'))
  assert.equal(looped.status, 508)
  assert.equal((await client.closed()) === 'fin' && origin.heads.length, 1)
  await proxy.summary()
  assert.equal((await proxy.summary()).rule, 'H1-VIA-LOOP')
})

test('a proxy that is its own upstream finds out', async (t) => {
  const address = await freeAddress()
  const proxy = await ProxyUnderTest.start(t, { listen: address, upstreams: [address] })
  const response = await (await proxy.client()).exchange(get())
  assert.equal(response.status, 508)
  assert.equal(proxy.proxy.stats.connectionsTotal, 2)
})

test("via: '' adds nothing and finds no loops", async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], via: '' })
  const response = await (await proxy.client()).exchange(get('/', 'Via: 1.1 x\r\n'))
  assert.equal(response.status, 200)
  assert.equal(response.field('Via'), '')
  assert.equal(origin.heads[0], 'GET / HTTP/1.1\r\nHost: test\r\nVia: 1.1 x\r\n\r\n')
})

test('Max-Forwards counts down for OPTIONS and TRACE, and means nothing elsewhere', async (t) => {
  const origin = await ScriptedOrigin.start(
    t,
    answeringWith((request, connection) => connection.respond(200, request.field('Max-Forwards'))),
  )
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  for (const [method, before, after] of [
    ['OPTIONS', '5', '4'],
    ['TRACE', '1', '0'],
    ['GET', '0', '0'],
    ['POST', 'x', 'x'],
  ] as const) {
    const response = await client.exchange(withBody(method, '', `Max-Forwards: ${before}\r\n`))
    assert.equal(response.body, after, method)
  }
  assert.equal((await client.exchange(get('*', 'Max-Forwards: -1\r\n').replace('GET', 'OPTIONS'))).status, 400)
  await client.closed()
})

test('64 MiB to a server that stops reading for a while: all of it arrives, and no more is taken than fits', async (t) => {
  const bytes = 64 * megabyte
  const body = randomBytes(megabyte)
  const whole = Buffer.concat(Array.from({ length: 64 }, () => body))
  let digest = ''
  let tell = (): void => {}
  const othersAreDone = new Promise<void>((resolve) => (tell = resolve))
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    for (;;) {
      const { target } = await connection.head()
      if (target === '/big') {
        connection.pause()
        await othersAreDone
        connection.resume()
        digest = await connection.digest(bytes)
      }
      connection.respond(200, target)
    }
  })
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  let sentBytes = 0
  client.send(`POST /big HTTP/1.1\r\nHost: test\r\nContent-Length: ${bytes}\r\n\r\n`)
  const pouring = client.pour(whole, (bytesSoFar) => (sentBytes = bytesSoFar))
  await origin.connection()
  // So much work of others that all of the body would be taken if nothing held it.
  const other = await proxy.client()
  for (let i = 0; i < 2_000; i++) assert.equal((await other.exchange(get('/other'))).body, '/other')
  assert.ok(sentBytes < bytes / 2, `${sentBytes} bytes were taken`)
  tell()
  assert.equal((await client.response()).body, '/big')
  await pouring
  assert.equal(digest, sha256(whole))
})

test('64 MiB for a client that stops reading for a while: all of it arrives, and no more is taken than fits', async (t) => {
  const bytes = 64 * megabyte
  const body = Buffer.alloc(bytes, randomBytes(1_009))
  let sentBytes = 0
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    for (;;) {
      const { target } = await connection.request()
      if (target !== '/big') connection.respond(200, target)
      else {
        connection.send(`HTTP/1.1 200 OK\r\nContent-Length: ${bytes}\r\n\r\n`)
        await connection.pour(body, (bytesSoFar) => (sentBytes = bytesSoFar))
      }
    }
  })
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  client.send(get('/big'))
  await client.until('\r\n\r\n')
  client.pause()
  const other = await proxy.client()
  for (let i = 0; i < 2_000; i++) assert.equal((await other.exchange(get('/other'))).body, '/other')
  assert.ok(sentBytes < bytes / 2, `${sentBytes} bytes were taken`)
  client.resume()
  assert.equal(await client.digest(bytes), sha256(body))
  const find = () => proxy.summaries.find(({ target }) => target === '/big')
  await until(
    () => find() !== undefined,
    () => 'the exchange to end',
  )
  assert.equal(find()!.termination, '--')
})

test('a chunked upload of many sizes, echoed by the embedded origin, comes back whole', async (t) => {
  const proxy = await ProxyUnderTest.start(t, {})
  const client = await proxy.client()
  let text = ''
  let body = ''
  for (const size of [1, 2, 15, 16, 17, 255, 4_095, 4_096, 65_535, 65_536, 65_537, 200_000]) {
    const piece = String.fromCharCode(97 + (size % 26)).repeat(size)
    body += piece
    text += `${size.toString(16)}\r\n${piece}\r\n`
  }
  const response = await client.exchange(`POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n${text}0\r\n\r\n`)
  assert.equal(response.body.length, body.length)
  assert.equal(response.body, body)
  assert.equal((await client.exchange(get())).status, 200)
})

test('with no upstream named, the embedded origin says what arrived', async (t) => {
  const proxy = await ProxyUnderTest.start(t, { via: 'test' })
  const response = await (await proxy.client()).exchange(withBody('PUT', 'words', 'X-A: 1\r\n', '/path?q'))
  const arrival = JSON.parse(response.body) as { method: string; target: string; bodyBytes: number; fields: [string, string][] }
  assert.equal(arrival.method, 'PUT')
  assert.equal(arrival.target, '/path?q')
  assert.equal(arrival.bodyBytes, 5)
  assert.deepEqual(
    arrival.fields.map(([name]) => name),
    ['Host', 'Content-Length', 'X-A', 'Via'],
  )
})

test('an ordinary client and an ordinary server: many requests at one time, each with its own body', async (t) => {
  const server = createServer((request, response) => {
    const hash = createHash('sha256')
    request.on('data', (chunk: Buffer) => hash.update(chunk)).on('end', () => response.end(`${request.url} ${hash.digest('hex')}`))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const proxy = await ProxyUnderTest.start(t, { upstreams: [`127.0.0.1:${(server.address() as AddressInfo).port}`] })
  const agent = new Agent({ keepAlive: true, maxSockets: 8 })
  t.after(() => agent.destroy())
  const [host = '', port = ''] = proxy.address.split(':')
  const send = (index: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const body = randomBytes((index * 7_919) % 300_000)
      const request = httpRequest({ host, port, agent, method: 'POST', path: `/${index}` }, (response: IncomingMessage) => {
        let text = ''
        response
          .on('data', (chunk: Buffer) => (text += chunk))
          .on('end', () => (text === `/${index} ${sha256(body)}` ? resolve() : reject(new Error(`${index} got ${text}`))))
      })
      request.on('error', reject)
      // In two pieces and without a length: chunked.
      request.write(body.subarray(0, body.length / 2))
      request.end(body.subarray(body.length / 2))
    })
  await Promise.all(Array.from({ length: 200 }, (_, index) => send(index)))
  assert.equal(proxy.proxy.stats.exchangesTotal, 200)
  assert.ok(proxy.proxy.stats.connectionsTotal <= 8)
})

test('fetch works', async (t) => {
  const origin = await ScriptedOrigin.start(
    t,
    answeringWith((request, connection) => connection.respond(200, request.body, 'Content-Type: text/plain\r\n')),
  )
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const response = await fetch(`http://${proxy.address}/path`, { method: 'POST', body: 'words' })
  assert.equal(response.status, 200)
  assert.equal(await response.text(), 'words')
})

/** An address that was free a moment ago. */
async function freeAddress(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return `127.0.0.1:${port}`
}

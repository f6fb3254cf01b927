/**
 * Every size and count of the limit table, from both sides: what is just within a limit passes, what is one beyond it is refused with
 * the status and the rule of the table, the connection closes, and the other side has seen nothing of it.
 */
import assert from 'node:assert/strict'
import test from 'node:test'
import type { Limits, RuleId } from '../../lib/index.ts'
import { ProxyUnderTest } from '../support/proxy-under-test.ts'
import { get, withBody } from '../support/raw-client.ts'
import { answering, answeringWith, ScriptedOrigin } from '../support/scripted-origin.ts'
import { WireEnded } from '../support/wire.ts'

interface RequestRow {
  readonly limits: Partial<Limits>
  readonly within: string
  readonly beyond: string
  readonly status: number
  readonly rule: RuleId
}

const chunkedHead = 'POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n'
const requestLineOf = (bytes: number): string => `GET /${'a'.repeat(bytes - 'GET / HTTP/1.1'.length)} HTTP/1.1\r\nHost: test\r\n\r\n`
const headOf = (bytes: number): string => {
  const start = 'GET / HTTP/1.1\r\nHost: test\r\nX-Filler: '
  return `${start}${'a'.repeat(bytes - start.length - 4)}\r\n\r\n`
}

const requestRows: readonly RequestRow[] = [
  {
    limits: { requestLineBytes: 100 },
    within: requestLineOf(100),
    beyond: requestLineOf(101),
    status: 414,
    rule: 'H1-REQUEST-LINE-LENGTH',
  },
  { limits: { requestHeadBytes: 300 }, within: headOf(300), beyond: headOf(301), status: 431, rule: 'H1-HEAD-LENGTH' },
  {
    limits: { requestFields: 3 },
    within: get('/', 'A: 1\r\nB: 2\r\n'),
    beyond: get('/', 'A: 1\r\nB: 2\r\nC: 3\r\n'),
    status: 431,
    rule: 'H1-FIELD-COUNT',
  },
  {
    limits: { chunkSizeDigits: 3 },
    within: `${chunkedHead}001\r\nx\r\n0\r\n\r\n`,
    beyond: `${chunkedHead}0001\r\nx\r\n0\r\n\r\n`,
    status: 400,
    rule: 'H1-CHUNK-SIZE-LENGTH',
  },
  {
    limits: { chunkExtensionBytes: 8 },
    within: `${chunkedHead}1;abc=def\r\nx\r\n0\r\n\r\n`,
    beyond: `${chunkedHead}1;abc=defg\r\nx\r\n0\r\n\r\n`,
    status: 400,
    rule: 'H1-CHUNK-EXTENSION-LENGTH',
  },
  {
    limits: { messageExtensionBytes: 4 },
    within: `${chunkedHead}1;a\r\nx\r\n1;b\r\ny\r\n0\r\n\r\n`,
    beyond: `${chunkedHead}1;a\r\nx\r\n1;b\r\ny\r\n0;\r\n\r\n`,
    status: 400,
    rule: 'H1-CHUNK-EXTENSION-LENGTH',
  },
  {
    limits: { trailerFields: 2 },
    within: `${chunkedHead}0\r\nX-A: 1\r\nX-B: 2\r\n\r\n`,
    beyond: `${chunkedHead}0\r\nX-A: 1\r\nX-B: 2\r\nX-C: 3\r\n\r\n`,
    status: 431,
    rule: 'H1-TRAILER-COUNT',
  },
  {
    limits: { trailerBytes: 16 },
    within: `${chunkedHead}0\r\nX-Ab: 123456\r\n\r\n`,
    beyond: `${chunkedHead}0\r\nX-Ab: 1234567\r\n\r\n`,
    status: 431,
    rule: 'H1-TRAILER-LENGTH',
  },
]

for (const { limits, within, beyond, status, rule } of requestRows) {
  const [name, value] = Object.entries(limits)[0]!
  test(`${name}: a request within ${value} passes`, async (t) => {
    const origin = await ScriptedOrigin.start(t, answering())
    const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], limits })
    assert.equal((await (await proxy.client()).exchange(within)).status, 200)
  })

  for (const { way, split } of [
    { way: 'at once', split: false },
    { way: 'byte by byte', split: true },
  ]) {
    test(`${name}: a request beyond ${value}, sent ${way}, is ${status} ${rule}`, async (t) => {
      const origin = await ScriptedOrigin.start(t, answering())
      const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], limits })
      const client = await proxy.client()
      if (split) for (const octet of beyond) client.send(octet)
      else client.send(beyond)
      const response = await client.response()
      assert.equal(response.status, status)
      assert.equal(response.field('Connection'), 'close')
      assert.match(response.body, new RegExp(`${rule} at byte [0-9]+:`))
      await client.closed()
      const summary = await proxy.summary()
      assert.equal(summary.rule, rule)
      assert.equal(summary.termination, 'PR')
      assert.equal(summary.error, 'ERR_EPROXY_REQUEST_REFUSED')
      await proxy.quiet()
      // What is refused while it is read has got as far as it was good; what is refused at once has got nowhere.
      if (!split) assert.equal(origin.bytesReceived, 0)
      if (within.startsWith('GET')) assert.deepEqual(origin.heads, [])
      assert.equal(proxy.proxy.stats.refusedTotal, 1)
    })
  }
}

interface ResponseRow {
  readonly limits: Partial<Limits>
  readonly within: string
  readonly beyond: string
  readonly rule: RuleId
}

const interim = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'
const final = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'
const responseHeadOf = (bytes: number): string => {
  const start = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Filler: '
  return `${start}${'a'.repeat(bytes - start.length - 4)}\r\n\r\n`
}

const responseRows: readonly ResponseRow[] = [
  { limits: { responseHeadBytes: 300 }, within: responseHeadOf(300), beyond: responseHeadOf(301), rule: 'H1-HEAD-LENGTH' },
  {
    limits: { responseFields: 3 },
    within: 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: 1\r\nB: 2\r\n\r\n',
    beyond: 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n',
    rule: 'H1-FIELD-COUNT',
  },
  { limits: { interimResponses: 2 }, within: interim.repeat(2) + final, beyond: interim.repeat(3) + final, rule: 'H1-INTERIM-LIMIT' },
  {
    limits: { interimBytes: interim.length * 2 },
    within: interim.repeat(2) + final,
    beyond: interim.repeat(3) + final,
    rule: 'H1-INTERIM-LIMIT',
  },
]

for (const { limits, within, beyond, rule } of responseRows) {
  const [name, value] = Object.entries(limits)[0]!
  test(`${name}: a response within ${value} passes`, async (t) => {
    const origin = await ScriptedOrigin.start(
      t,
      answeringWith((_, connection) => connection.send(within)),
    )
    const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], limits })
    const client = await proxy.client()
    let response = await client.exchange(get())
    while (response.status < 200) response = await client.response()
    assert.equal(response.status, 200)
  })

  test(`${name}: a response beyond ${value} is 502 ${rule}`, async (t) => {
    const origin = await ScriptedOrigin.start(
      t,
      answeringWith((_, connection) => connection.send(beyond)),
    )
    const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], limits })
    const client = await proxy.client()
    let response = await client.exchange(get())
    while (response.status < 200) response = await client.response()
    assert.equal(response.status, 502)
    assert.match(response.body, new RegExp(rule))
    assert.match(response.field('Proxy-Status'), /error=http_protocol_error/)
    const summary = await proxy.summary()
    assert.equal(summary.rule, rule)
    assert.equal(summary.termination, 'PH')
    assert.equal(summary.error, 'ERR_EPROXY_RESPONSE_REFUSED')
    assert.equal(await (await origin.connection()).ended(), 'reset')
    assert.equal(proxy.pool.idle, 0)
  })
}

test('connections: one too many is told 503 and closed, and there is room again when one leaves', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], limits: { connections: 2 } })
  const first = await proxy.client()
  const second = await proxy.client()
  assert.equal((await first.exchange(get())).status, 200)
  assert.equal((await second.exchange(get())).status, 200)
  const third = await proxy.client()
  const response = await third.response()
  assert.equal(response.status, 503)
  assert.equal(response.field('Connection'), 'close')
  assert.notEqual(response.field('Retry-After'), '')
  assert.match(response.field('Proxy-Status'), /error=connection_limit_reached/)
  await third.closed()
  assert.equal(proxy.proxy.stats.connections, 2)
  first.end()
  await first.closed()
  for (;;) {
    const next = await proxy.client()
    const { status } = await next.exchange(get())
    if (status === 200) break
    assert.equal(status, 503)
    await next.closed()
  }
  assert.equal((await second.exchange(get())).status, 200)
})

test('lingerBytes: a client that goes on sending after a refusal is cut off', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const options = { upstreams: [origin.address], limits: { lingerBytes: 1_000 }, timeouts: { linger: 60_000 } }
  const proxy = await ProxyUnderTest.start(t, options)
  const client = await proxy.client()
  assert.equal((await client.exchange('nonsense\r\n\r\n')).status, 400)
  await client.ended()
  client.send('x'.repeat(1_000))
  assert.equal(proxy.proxy.stats.connections, 1)
  client.send('x'.repeat(1_000))
  await proxy.quiet()
})

test('lingerBytes: the rest of a request that was answered early is read no further than that', async (t) => {
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    await connection.head()
    connection.respond(200, 'enough')
  })
  const options = { upstreams: [origin.address], limits: { lingerBytes: 1_000 }, timeouts: { linger: 60_000 } }
  const proxy = await ProxyUnderTest.start(t, options)
  const client = await proxy.client()
  client.send('POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\n\r\n')
  assert.equal((await client.response()).body, 'enough')
  client.send('x'.repeat(2_000))
  await client.closed()
  assert.equal((await proxy.summary()).status, 200)
})

test('a limit on heads holds for each request of a connection, not for their sum', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], limits: { requestHeadBytes: 300, messageExtensionBytes: 4 } })
  const client = await proxy.client()
  for (let i = 0; i < 5; i++) assert.equal((await client.exchange(headOf(300))).status, 200)
  for (let i = 0; i < 5; i++) assert.equal((await client.exchange(`${chunkedHead}1;a\r\nx\r\n1;b\r\ny\r\n0\r\n\r\n`)).status, 200)
})

test('a request head that ends beyond every limit never costs more than its limit', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], limits: { requestHeadBytes: 1_024 } })
  const client = await proxy.client()
  client.send('GET / HTTP/1.1\r\nHost: test\r\n')
  const flood = client.pour(Buffer.from(`X-Filler: ${'a'.repeat(8 << 20)}\r\n\r\n`))
  assert.equal((await client.response()).status, 431)
  const summary = await proxy.summary()
  assert.ok(summary.bytesIn <= 1_048_576, `${summary.bytesIn} bytes were counted`)
  client.destroy()
  await flood
})

test('a declared length that no number can hold is refused before any of it comes', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  for (const [request, rule] of [
    [withBody('POST', '', 'X: y\r\n').replace('Content-Length: 0', 'Content-Length: 9007199254740993'), 'H1-CL-OVERFLOW'],
    [`${chunkedHead}FFFFFFFFFFFFFFFF\r\n`, 'H1-CHUNK-SIZE-OVERFLOW'],
  ] as const) {
    const client = await proxy.client()
    const response = await client.exchange(request)
    assert.equal(response.status, 413)
    assert.match(response.body, new RegExp(rule))
    await client.closed()
  }
  assert.equal(origin.bytesReceived, 0)
})

test('a response that is refused in its body is cut: the client cannot take it for complete', async (t) => {
  const origin = await ScriptedOrigin.start(
    t,
    answeringWith((_, connection) => connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n')),
  )
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], limits: { chunkSizeDigits: 3 } })
  const client = await proxy.client()
  client.send(get())
  await client.until('hello\r\n')
  const connection = await origin.connection()
  connection.send('00001\r\nx\r\n0\r\n\r\n')
  await assert.rejects(client.until('0\r\n\r\n'), WireEnded)
  const summary = await proxy.summary()
  assert.equal(summary.rule, 'H1-CHUNK-SIZE-LENGTH')
  assert.equal(summary.termination, 'PD')
})

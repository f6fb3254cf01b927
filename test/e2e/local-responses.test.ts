/**
 * What the proxy says in its own name: plain text that names the rule, its RFC section and the byte; the same in Proxy-Status (RFC 9209);
 * no body for HEAD; and a connection that goes on exactly when the client has done nothing wrong.
 */
import assert from 'node:assert/strict'
import test from 'node:test'
import { ProxyUnderTest } from '../support/proxy-under-test.ts'
import { get, withBody, type RawResponse } from '../support/raw-client.ts'
import { RefusingAddress } from '../support/refusing-address.ts'
import { answering, ScriptedOrigin } from '../support/scripted-origin.ts'

function assertShape(response: RawResponse, status: number, error: string): void {
  assert.equal(response.status, status)
  assert.match(response.head, /^HTTP\/1\.1 [0-9]{3} [A-Z][A-Za-z' -]+\r\n/)
  assert.equal(response.field('Content-Type'), 'text/plain; charset=utf-8')
  assert.match(response.field('Date'), /^[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT$/)
  assert.match(response.field('Proxy-Status'), /^eproxy; error=[a-z_]+; details="(?:[^"\\]|\\["\\])*"$/)
  assert.match(response.field('Proxy-Status'), new RegExp(`error=${error};`))
}

test('a refusal names the rule, the section and the byte, in the body and in Proxy-Status', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  const request = 'GET / HTTP/1.1\r\nHost: test\r\nX-A : 1\r\n\r\n'
  const response = await client.exchange(request)
  assertShape(response, 400, 'http_request_error')
  const offset = request.indexOf(' : 1')
  const expected = `H1-FIELD-NAME-SPACE at byte ${offset}: white space between a field name and its colon (RFC 9112 section 5.1)`
  assert.equal(response.body, `400 Bad Request\n${expected}\n`)
  assert.ok(response.field('Proxy-Status').includes(`details="${expected}"`))
  assert.equal(response.field('Connection'), 'close')
  assert.equal(await client.closed(), 'fin')
})

test('quotes and backslashes in the explanation do not break Proxy-Status', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  const response = await client.exchange('GET / HTTP/1.1\r\nHost: "\r\n\r\n')
  assertShape(response, 400, 'http_request_error')
  assert.ok(response.field('Proxy-Status').includes('\\"'))
  assert.ok(response.body.includes('uri-host [":" port]'))
  await client.closed()
})

test('no octet that a client sent comes back', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  for (const request of [
    'GET /<script>alert HTTP/1.1\r\nHost: test\r\n\r\n',
    get('/', 'X-<script>: alert\r\n'),
    get('/', 'Expect: <script>\r\n'),
  ]) {
    const client = await proxy.client()
    const response = await client.exchange(request)
    assert.ok(response.status >= 400, request)
    assert.doesNotMatch(response.head + response.body, /script|alert/)
    await client.closed()
  }
})

test('after a failure of the upstream the client goes on', async (t) => {
  const refusing = await RefusingAddress.hold(t)
  const proxy = await ProxyUnderTest.start(t, { upstreams: [refusing.address] })
  const client = await proxy.client()
  for (const request of [get(), withBody('POST', 'words'), get()]) {
    const response = await client.exchange(request)
    assertShape(response, 502, 'connection_refused')
    assert.equal(response.field('Connection'), '')
    // Where servers are is nothing that a client has to know.
    assert.ok(!response.body.includes('127.0.0.1'))
  }
})

test('the answer to HEAD has the length of a body and none, and the client goes on', async (t) => {
  const refusing = await RefusingAddress.hold(t)
  const proxy = await ProxyUnderTest.start(t, { upstreams: [refusing.address] })
  const client = await proxy.client()
  for (let i = 0; i < 3; i++) {
    const response = await client.exchange('HEAD / HTTP/1.1\r\nHost: test\r\n\r\n')
    assertShape(response, 502, 'connection_refused')
    assert.ok(Number(response.field('Content-Length')) > 0)
    assert.equal(client.unread, '')
  }
  assert.equal((await client.exchange(get())).status, 502)
})

test('a HEAD that is refused by one of its fields has no body either', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], via: 'test' })
  const client = await proxy.client()
  const response = await client.exchange('HEAD / HTTP/1.1\r\nHost: test\r\nVia: 1.1 test\r\n\r\n')
  assertShape(response, 508, 'http_request_error')
  assert.equal(await client.closed(), 'fin')
  assert.equal(client.unread, '')
})

test('a 1.0 client that is answered by the proxy is closed', async (t) => {
  const refusing = await RefusingAddress.hold(t)
  const proxy = await ProxyUnderTest.start(t, { upstreams: [refusing.address] })
  const client = await proxy.client()
  const response = await client.exchange('GET / HTTP/1.0\r\n\r\n')
  assert.equal(response.status, 502)
  assert.equal(response.field('Connection'), 'close')
  await client.closed()
})

test('a 1.0 client that keeps its connection is told that it is kept', async (t) => {
  const refusing = await RefusingAddress.hold(t)
  const proxy = await ProxyUnderTest.start(t, { upstreams: [refusing.address] })
  const client = await proxy.client()
  const response = await client.exchange('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n')
  assert.equal(response.status, 502)
  // Without the word a 1.0 client waits for a close: either it is said, or it comes.
  if (response.field('Connection') !== 'keep-alive') {
    assert.equal(response.field('Connection'), 'close')
    assert.equal(await client.closed(), 'fin')
  }
})

test('an answer to a request with a body that has not come ends the connection', async (t) => {
  const refusing = await RefusingAddress.hold(t)
  const proxy = await ProxyUnderTest.start(t, { upstreams: [refusing.address] })
  const client = await proxy.client()
  const response = await client.exchange('POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n123')
  assert.equal(response.status, 502)
  assert.equal(response.field('Connection'), 'close')
  assert.equal(await client.closed(), 'fin')
})

test('Max-Forwards: 0 is answered here', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  for (const target of ['*', '/path']) {
    const options = await client.exchange(`OPTIONS ${target} HTTP/1.1\r\nHost: test\r\nMax-Forwards: 0\r\n\r\n`)
    assert.equal(options.status, 204)
    assert.equal(options.field('Content-Length'), '')
    assert.equal(options.field('Proxy-Status'), '')
  }
  const trace = await client.exchange('TRACE / HTTP/1.1\r\nHost: test\r\nMax-Forwards: 0\r\nCookie: secret\r\n\r\n')
  assert.equal(trace.status, 405)
  assert.doesNotMatch(trace.field('Allow'), /TRACE/)
  assert.doesNotMatch(trace.body, /secret/)
  assert.equal((await client.exchange(withBody('OPTIONS', 'words', 'Max-Forwards: 0\r\n'))).status, 204)
  assert.equal((await client.exchange(get())).status, 200)
  assert.equal(origin.heads.length, 1)
})

test('pipelined requests behind an answer of the proxy are answered in their order', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const client = await proxy.client()
  const local = 'OPTIONS * HTTP/1.1\r\nHost: test\r\nMax-Forwards: 0\r\n\r\n'
  client.send(local + get() + local + local + get())
  for (const status of [204, 200, 204, 204, 200]) assert.equal((await client.response()).status, status)
})

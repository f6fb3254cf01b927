/** Absolute-form targets (RFC 9112 section 3.2.2): the origin gets origin-form, and the authority of the target replaces Host. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { ProxyUnderTest } from '../support/proxy-under-test.ts'
import { answering, ScriptedOrigin } from '../support/scripted-origin.ts'

for (const { request, line, host } of [
  { request: 'GET http://example.org/path?q HTTP/1.1\r\nHost: example.org', line: 'GET /path?q HTTP/1.1', host: 'example.org' },
  { request: 'GET http://example.org HTTP/1.1\r\nHost: example.org', line: 'GET / HTTP/1.1', host: 'example.org' },
  { request: 'GET http://example.org?q HTTP/1.1\r\nHost: example.org', line: 'GET /?q HTTP/1.1', host: 'example.org' },
  { request: 'GET HTTP://Example.org:8080/a HTTP/1.1\r\nHost: other.example', line: 'GET /a HTTP/1.1', host: 'Example.org:8080' },
  { request: 'GET https://example.org/a HTTP/1.1\r\nHost: evil.example', line: 'GET /a HTTP/1.1', host: 'example.org' },
  { request: 'GET http://[::1]:80/a HTTP/1.1\r\nHost: x', line: 'GET /a HTTP/1.1', host: '[::1]:80' },
  { request: 'OPTIONS http://example.org HTTP/1.1\r\nHost: example.org', line: 'OPTIONS * HTTP/1.1', host: 'example.org' },
  { request: 'OPTIONS http://example.org/ HTTP/1.1\r\nHost: example.org', line: 'OPTIONS / HTTP/1.1', host: 'example.org' },
  { request: 'GET http://example.org/a HTTP/1.0', line: 'GET /a HTTP/1.1', host: 'example.org' },
  {
    request: 'GET http://example.org/http://other.example/ HTTP/1.1\r\nHost: x',
    line: 'GET /http://other.example/ HTTP/1.1',
    host: 'example.org',
  },
]) {
  test(`${JSON.stringify(request)} becomes ${line} for ${host}`, async (t) => {
    const origin = await ScriptedOrigin.start(t, answering())
    const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], via: '' })
    const client = await proxy.client()
    assert.equal((await client.exchange(`${request}\r\n\r\n`)).status, 200)
    assert.equal(origin.heads[0], `${line}\r\nHost: ${host}\r\n\r\n`)
    assert.equal((await proxy.summary()).target, request.split(' ')[1])
  })
}

for (const { request, rule } of [
  { request: 'GET ftp://example.org/ HTTP/1.1\r\nHost: example.org', rule: 'H1-TARGET-SCHEME' },
  { request: 'GET http:///path HTTP/1.1\r\nHost: example.org', rule: 'H1-TARGET-AUTHORITY' },
  { request: 'GET http://user@example.org/ HTTP/1.1\r\nHost: example.org', rule: 'H1-TARGET-AUTHORITY' },
  { request: 'GET http://user:secret@example.org/ HTTP/1.1\r\nHost: example.org', rule: 'H1-TARGET-AUTHORITY' },
  { request: 'GET http://example.org:99999/ HTTP/1.1\r\nHost: example.org', rule: 'H1-TARGET-AUTHORITY' },
  { request: 'GET http://exa\\mple.org/ HTTP/1.1\r\nHost: example.org', rule: 'H1-TARGET-FORM' },
  { request: 'GET http://example.org/#top HTTP/1.1\r\nHost: example.org', rule: 'H1-TARGET-FRAGMENT' },
  { request: 'GET http://example.org/ HTTP/1.1', rule: 'H1-HOST-MISSING' },
  { request: 'GET http://example.org/ HTTP/1.1\r\nHost: a\r\nHost: b', rule: 'H1-HOST-MULTIPLE' },
]) {
  test(`${JSON.stringify(request)} is refused by ${rule}`, async (t) => {
    const origin = await ScriptedOrigin.start(t, answering())
    const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
    const client = await proxy.client()
    const response = await client.exchange(`${request}\r\n\r\n`)
    assert.equal(response.status, 400)
    assert.equal((await proxy.summary()).rule, rule)
    assert.equal(origin.bytesReceived, 0)
    await client.closed()
  })
}

/**
 * Forwarded (RFC 7239) and X-Forwarded-*: what the origin is told about the client, that nobody but a trusted proxy can tell it otherwise, and
 * whom the proxy itself takes for the client.
 */
import assert from 'node:assert/strict'
import test from 'node:test'
import type { ForwardedMode } from '../../lib/index.ts'
import { ProxyUnderTest } from '../support/proxy-under-test.ts'
import { answering, ScriptedOrigin } from '../support/scripted-origin.ts'
import { serviceFor } from '../support/service.ts'

const fromClient =
  'X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\nForwarded: for=192.0.2.1\r\n'
const xForwarded =
  'X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: example.org:8080\r\nX-Forwarded-Port: 8080\r\nX-Forwarded-Proto: http\r\n'
const forwarded = 'Forwarded: for=127.0.0.1;host="example.org:8080";proto=http\r\n'

const rows: readonly { mode: ForwardedMode | undefined; sent: string; arrives: string }[] = [
  { mode: undefined, sent: '', arrives: '' },
  { mode: undefined, sent: fromClient, arrives: fromClient },
  { mode: 'off', sent: fromClient, arrives: fromClient },
  { mode: 'off', sent: 'x_forwarded_for: 1\r\n', arrives: 'x_forwarded_for: 1\r\n' },
  { mode: 'x-forwarded', sent: '', arrives: xForwarded },
  { mode: 'x-forwarded', sent: fromClient, arrives: xForwarded },
  { mode: 'forwarded', sent: '', arrives: forwarded },
  { mode: 'forwarded', sent: fromClient, arrives: forwarded },
  { mode: 'both', sent: fromClient, arrives: xForwarded + forwarded },
  // A gateway that makes variables of fields would take these for the others.
  { mode: 'x-forwarded', sent: 'X_Forwarded_For: 6.6.6.6\r\nx-forwarded_proto: https\r\nX: y\r\n', arrives: 'X: y\r\n' + xForwarded },
  // Nominated fields are the client's own, not those that are added here.
  {
    mode: 'both',
    sent: 'Connection: X-Forwarded-For, X-Forwarded-Proto, Forwarded\r\n' + fromClient,
    arrives: xForwarded + forwarded,
  },
]

for (const { mode, sent, arrives } of rows) {
  test(`forwarded: ${mode ?? 'not set'}, and the client sends ${sent === '' ? 'none' : JSON.stringify(sent)}`, async (t) => {
    const origin = await ScriptedOrigin.start(t, answering())
    const options = { upstreams: [origin.address], via: '', ...(mode !== undefined && { forwarded: mode }) }
    const proxy = await ProxyUnderTest.start(t, options)
    const client = await proxy.client()
    assert.equal((await client.exchange(`GET / HTTP/1.1\r\nHost: example.org:8080\r\n${sent}\r\n`)).status, 200)
    assert.equal(origin.heads[0], `GET / HTTP/1.1\r\nHost: example.org:8080\r\n${arrives}\r\n`)
    assert.match((await proxy.summary()).client, /^127\.0\.0\.1:[0-9]+$/)
  })
}

test('the host that is told is that of an absolute target', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], via: '', forwarded: 'both' })
  await (await proxy.client()).exchange('GET http://real.example/ HTTP/1.1\r\nHost: other.example\r\n\r\n')
  assert.match(origin.heads[0]!, /X-Forwarded-Host: real\.example\r\n/)
  assert.match(origin.heads[0]!, /;host="real\.example";/)
})

test('a 1.0 client without Host has no host to tell', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], via: '', forwarded: 'both' })
  await (await proxy.client()).exchange('GET / HTTP/1.0\r\n\r\n')
  assert.ok(
    origin.heads[0]!.endsWith(
      'X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Port: 80\r\nX-Forwarded-Proto: http\r\nForwarded: for=127.0.0.1;proto=http\r\n\r\n',
    ),
  )
})

/** What arrives when 127.0.0.1 is a trusted proxy, as are 10.0.0.0/8, and whom the log calls the client. */
const trustedRows: readonly { mode: ForwardedMode; sent: string; arrives: string; client: string }[] = [
  {
    mode: 'x-forwarded',
    sent: 'X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example\r\nX-Forwarded-Port: 443\r\n',
    arrives:
      'X-Forwarded-For: 203.0.113.9, 127.0.0.1\r\nX-Forwarded-Host: shop.example\r\nX-Forwarded-Port: 443\r\nX-Forwarded-Proto: https\r\n',
    client: '203.0.113.9',
  },
  // From the right: what a client has written itself stands left of what the trusted proxies have.
  {
    mode: 'x-forwarded',
    sent: 'X-Forwarded-For: 6.6.6.6, 203.0.113.9\r\nx-forwarded-for: 10.1.2.3\r\n',
    arrives:
      'X-Forwarded-For: 6.6.6.6, 203.0.113.9, 10.1.2.3, 127.0.0.1\r\nX-Forwarded-Host: a\r\nX-Forwarded-Port: 80\r\nX-Forwarded-Proto: http\r\n',
    client: '203.0.113.9',
  },
  {
    mode: 'x-forwarded',
    sent: 'X-Forwarded-For: 6.6.6.6, nonsense, 10.1.2.3\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n',
    arrives:
      'X-Forwarded-For: 6.6.6.6, nonsense, 10.1.2.3, 127.0.0.1\r\nX-Forwarded-Host: a\r\nX-Forwarded-Port: 80\r\nX-Forwarded-Proto: http\r\n',
    client: '10.1.2.3',
  },
  {
    mode: 'forwarded',
    sent: 'Forwarded: for=6.6.6.6, for="[2001:db8::1]:4711";proto=https;host=shop.example\r\nX-Forwarded-For: 7.7.7.7\r\n',
    arrives: 'Forwarded: for=6.6.6.6, for="[2001:db8::1]:4711";proto=https;host=shop.example, for=127.0.0.1\r\n',
    client: '2001:db8::1',
  },
  // What breaks the grammar could swallow what is appended.
  {
    mode: 'forwarded',
    sent: 'Forwarded: for="6.6.6.6\r\n',
    arrives: 'Forwarded: for=127.0.0.1;host="a";proto=http\r\n',
    client: '',
  },
  {
    mode: 'both',
    sent: 'X-Forwarded-For: 203.0.113.9, 10.1.2.3\r\nX-Forwarded-Proto: https\r\nForwarded: for=7.7.7.7\r\n',
    arrives:
      'X-Forwarded-For: 203.0.113.9, 10.1.2.3, 127.0.0.1\r\nX-Forwarded-Host: a\r\nX-Forwarded-Port: 443\r\nX-Forwarded-Proto: https\r\n' +
      'Forwarded: for=203.0.113.9;host="a";proto=https, for=10.1.2.3, for=127.0.0.1\r\n',
    client: '203.0.113.9',
  },
  // Nothing is touched, and still it is known who the client is.
  { mode: 'off', sent: 'X-Forwarded-For: 203.0.113.9\r\n', arrives: 'X-Forwarded-For: 203.0.113.9\r\n', client: '203.0.113.9' },
]

for (const { mode, sent, arrives, client: expected } of trustedRows) {
  test(`forwarded: ${mode}, and a trusted proxy sends ${JSON.stringify(sent)}`, async (t) => {
    const origin = await ScriptedOrigin.start(t, answering())
    const service = serviceFor(origin.address, { listener: { forwarded: mode, trustedProxies: ['127.0.0.0/8', '10.0.0.0/8'] } })
    const proxy = await ProxyUnderTest.start(t, { service, via: '' })
    const client = await proxy.client()
    assert.equal((await client.exchange(`GET / HTTP/1.1\r\nHost: a\r\n${sent}\r\n`)).status, 200)
    assert.equal(origin.heads[0], `GET / HTTP/1.1\r\nHost: a\r\n${arrives}\r\n`)
    const told = (await proxy.summary()).client
    if (expected === '') assert.match(told, /^127\.0\.0\.1:[0-9]+$/)
    else assert.equal(told, expected)
  })
}

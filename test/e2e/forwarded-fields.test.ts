/** Forwarded (RFC 7239) and X-Forwarded-*: what the origin is told about the client, and that a client cannot tell it otherwise. */
import assert from 'node:assert/strict'
import test from 'node:test'
import type { ForwardedMode } from '../../lib/index.ts'
import { ProxyUnderTest } from '../support/proxy-under-test.ts'
import { answering, ScriptedOrigin } from '../support/scripted-origin.ts'

const fromClient =
  'X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\nForwarded: for=192.0.2.1\r\n'
const kept = 'X-Forwarded-For: 192.0.2.1\r\nForwarded: for=192.0.2.1\r\n'
const xForwarded = 'X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: example.org:80\r\nX-Forwarded-Proto: http\r\n'
const forwarded = 'Forwarded: for=127.0.0.1;host="example.org:80";proto=http\r\n'

const rows: readonly { mode: ForwardedMode | undefined; sent: string; arrives: string }[] = [
  { mode: undefined, sent: '', arrives: '' },
  { mode: undefined, sent: fromClient, arrives: fromClient },
  { mode: 'off', sent: fromClient, arrives: fromClient },
  { mode: 'x-forwarded', sent: '', arrives: xForwarded },
  { mode: 'x-forwarded', sent: fromClient, arrives: kept + xForwarded },
  { mode: 'forwarded', sent: '', arrives: forwarded },
  { mode: 'forwarded', sent: fromClient, arrives: kept + forwarded },
  { mode: 'both', sent: fromClient, arrives: kept + xForwarded + forwarded },
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
    assert.equal((await client.exchange(`GET / HTTP/1.1\r\nHost: example.org:80\r\n${sent}\r\n`)).status, 200)
    assert.equal(origin.heads[0], `GET / HTTP/1.1\r\nHost: example.org:80\r\n${arrives}\r\n`)
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
    origin.heads[0]!.endsWith('X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nForwarded: for=127.0.0.1;proto=http\r\n\r\n'),
  )
})

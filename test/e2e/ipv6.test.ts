/** IPv6 on either side, where the machine has it. */
import assert from 'node:assert/strict'
import { networkInterfaces } from 'node:os'
import test from 'node:test'
import { ProxyUnderTest } from '../support/proxy-under-test.ts'
import { get, RawClient } from '../support/raw-client.ts'
import { answering, ScriptedOrigin } from '../support/scripted-origin.ts'

const hasIpv6 = Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ address }) => address === '::1'))
const skip = hasIpv6 ? false : 'no ::1 on this machine'

test('from ::1 to ::1', { skip }, async (t) => {
  const origin = await ScriptedOrigin.start(t, answering(), { listen: '[::1]:0' })
  const proxy = await ProxyUnderTest.start(t, { listen: '[::1]:0', upstreams: [origin.address], via: '', forwarded: 'both' })
  assert.match(proxy.address, /^\[::1\]:[0-9]+$/)
  const client = await proxy.client()
  assert.equal((await client.exchange(get())).status, 200)
  assert.match(origin.heads[0]!, /\r\nX-Forwarded-For: ::1\r\n/)
  // RFC 7239 section 6: brackets and quotes, for the colons.
  assert.match(origin.heads[0]!, /\r\nForwarded: for="\[::1\]";host="test";proto=http\r\n/)
  const summary = await proxy.summary()
  assert.equal(summary.client, `[::1]:${client.socket.localPort}`)
  assert.equal(summary.upstream, origin.address)
})

test('a 1.0 request without Host gets that of an IPv6 server in brackets', { skip }, async (t) => {
  const origin = await ScriptedOrigin.start(t, answering(), { listen: '[::1]:0' })
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], via: '' })
  await (await proxy.client()).exchange('GET / HTTP/1.0\r\n\r\n')
  assert.equal(origin.heads[0], `GET / HTTP/1.1\r\nHost: ${origin.address}\r\n\r\n`)
})

test('an IPv4 client of a socket for both is known by its IPv4 address', { skip }, async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { listen: '[::]:0', upstreams: [origin.address], via: '', forwarded: 'both' })
  const client = await RawClient.connect(proxy.address.replace('[::]', '127.0.0.1'))
  t.after(() => client.destroy())
  assert.equal((await client.exchange(get())).status, 200)
  assert.equal((await proxy.summary()).client, `127.0.0.1:${client.socket.localPort}`)
  assert.match(origin.heads[0]!, /X-Forwarded-For: 127\.0\.0\.1\r\n/)
})

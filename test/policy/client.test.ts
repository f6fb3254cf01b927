/** Whom a request comes from, against every way in which somebody may claim to be somebody else. */
import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { addressOf } from '../../lib/net/stream-handle.ts'
import { forwardedLines, readClient, TrustedPeers, checkTrustedPeers } from '../../lib/policy/client.ts'
import { parseRequestHead } from '../support/parsed-head.ts'

const trusted = new TrustedPeers(['10.0.0.0/8', 'fd00::/8', 'unix'])
const peerAt = (remote: string) => ({ remote, remoteAddress: addressOf(remote) })
const headOf = (lines: string) => parseRequestHead(`GET / HTTP/1.1\r\nHost: a.test\r\n${lines}\r\n`)

function clientOf(lines: string, remote = '10.0.0.1:5000'): string {
  return readClient(headOf(lines), peerAt(remote), 'x-forwarded', trusted).address
}

test('the word of a peer that is not trusted counts for nothing', () => {
  const { address, remote, scheme, host, isTrusted } = readClient(
    headOf('X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: b.test\r\n'),
    peerAt('192.0.2.7:5000'),
    'x-forwarded',
    trusted,
  )
  assert.deepEqual([address, remote, scheme, host, isTrusted], ['192.0.2.7', '192.0.2.7:5000', 'http', 'a.test', false])
})

test('past the trusted proxies, from the right, stands the client', () => {
  assert.equal(clientOf(''), '10.0.0.1')
  assert.equal(clientOf('X-Forwarded-For: 192.0.2.1\r\n'), '192.0.2.1')
  assert.equal(clientOf('X-Forwarded-For: 6.6.6.6,192.0.2.1 , 10.9.9.9\r\n'), '192.0.2.1')
  assert.equal(clientOf('X-Forwarded-For: 10.1.1.1, 10.2.2.2\r\n'), '10.1.1.1')
  assert.equal(clientOf('X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 192.0.2.1\r\n'), '192.0.2.1')
  assert.equal(clientOf('X-Forwarded-For: 192.0.2.1:4711\r\n'), '192.0.2.1')
  assert.equal(clientOf('X-Forwarded-For: [2001:db8::1]:4711\r\n'), '2001:db8::1')
  assert.equal(clientOf('X-Forwarded-For: 2001:db8::1, fd00::1\r\n', '[fd00::2]:80'), '2001:db8::1')
  assert.equal(clientOf('X-Forwarded-For: 192.0.2.1\r\n', 'unix'), '192.0.2.1')
  assert.equal(clientOf('X-Forwarded-For: , ,\r\n'), '10.0.0.1')
})

test('a chain does not vanish because Connection names it: the client would pass for a trusted proxy', () => {
  assert.equal(clientOf('Connection: X-Forwarded-For\r\nX-Forwarded-For: 192.0.2.1\r\n'), '192.0.2.1')
})

test('what is no address ends the search', () => {
  for (const nonsense of [
    'unknown',
    '_hidden',
    '1.2.3',
    '1.2.3.4.5',
    '01.2.3.4',
    '[::1',
    '::1%eth0',
    '"1.2.3.4"',
    'for=1.2.3.4',
    '1.2.3.4;',
  ]) {
    assert.equal(clientOf(`X-Forwarded-For: 6.6.6.6, ${nonsense}\r\n`), '10.0.0.1', nonsense)
    assert.equal(clientOf(`X-Forwarded-For: 6.6.6.6, ${nonsense}, 10.9.9.9\r\n`), '10.9.9.9', nonsense)
  }
})

test('proto, host and port count when there is one of each, and it is sane', () => {
  const factsOf = (lines: string): unknown[] => {
    const { scheme, host, toldPort } = readClient(headOf(lines), peerAt('10.0.0.1:5000'), 'x-forwarded', trusted)
    return [scheme, host, toldPort]
  }
  assert.deepEqual(factsOf('X-Forwarded-Proto: HTTPS\r\nX-Forwarded-Host: b.test:8443\r\nX-Forwarded-Port: 8443\r\n'), [
    'https',
    'b.test:8443',
    '8443',
  ])
  assert.deepEqual(factsOf('X-Forwarded-Proto: https\r\nX-Forwarded-Proto: https\r\n'), ['http', 'a.test', ''])
  assert.deepEqual(factsOf('X-Forwarded-Proto: https, http\r\nX-Forwarded-Host: b.test, c\r\nX-Forwarded-Port: 0\r\n'), [
    'http',
    'a.test',
    '',
  ])
  assert.deepEqual(factsOf('X-Forwarded-Host: "b"\r\nX-Forwarded-Port: 65536\r\n'), ['http', 'a.test', ''])
})

test('Forwarded is read by its grammar, and not at all when it breaks it', () => {
  const factsOf = (value: string): unknown[] => {
    const { address, scheme, host, forwarded } = readClient(
      headOf(`Forwarded: ${value}\r\n`),
      peerAt('10.0.0.1:5000'),
      'forwarded',
      trusted,
    )
    return [address, scheme, host, forwarded]
  }
  assert.deepEqual(factsOf('for=192.0.2.1;proto=https;host=b.test'), [
    '192.0.2.1',
    'https',
    'b.test',
    'for=192.0.2.1;proto=https;host=b.test',
  ])
  assert.deepEqual(factsOf('For="192.0.2.1:80" ; Proto="https", for=10.9.9.9'), [
    '192.0.2.1',
    'https',
    'a.test',
    'For="192.0.2.1:80" ; Proto="https", for=10.9.9.9',
  ])
  assert.deepEqual(factsOf('for="a, for=6.6.6.6"'), ['10.0.0.1', 'http', 'a.test', 'for="a, for=6.6.6.6"'])
  assert.deepEqual(factsOf('for="\\1\\92.0.2.1"').slice(0, 1), ['192.0.2.1'])
  for (const broken of [
    'for="192.0.2.1',
    'for=192.0.2.1;for=6.6.6.6',
    'for',
    'for=',
    ';for=192.0.2.1',
    'for=192.0.2.1 proto=https',
    '=a',
    'for=192.0.2.1"',
  ])
    assert.deepEqual(factsOf(broken), ['10.0.0.1', 'http', 'a.test', ''], broken)
})

test('one line of each leaves, whatever is claimed, and each ends in what is known', () => {
  const octet = fc.constantFrom(...'abf01.:,;="[]\\_ -%\x80'.split(''))
  const value = fc.string({ unit: octet, maxLength: 30 })
  fc.assert(
    fc.property(value, value, fc.constantFrom('x-forwarded', 'forwarded', 'both'), fc.boolean(), (first, second, mode, isTrusted) => {
      const head = headOf(`X-Forwarded-For: ${first}\r\nX-Forwarded-For: ${second}\r\nForwarded: ${first}\r\nForwarded: ${second}\r\n`)
      const remote = isTrusted ? '10.0.0.1:5000' : '192.0.2.7:5000'
      const client = readClient(head, peerAt(remote), mode, trusted)
      const lines = forwardedLines(client, mode, 0).split('\r\n').slice(0, -1)
      const names = lines.map((line) => line.slice(0, line.indexOf(':')))
      assert.equal(new Set(names).size, names.length)
      const peer = remote.slice(0, -5)
      for (const line of lines) {
        if (line.startsWith('X-Forwarded-For: ')) assert(line.endsWith(` ${peer}`), line)
        if (line.startsWith('Forwarded: ') && isTrusted) assert.match(line, /for=10\.0\.0\.1(?:;host="a\.test";proto=http)?$/)
        if (line.startsWith('Forwarded: ') && !isTrusted) assert.equal(line, 'Forwarded: for=192.0.2.7;host="a.test";proto=http')
      }
      if (!isTrusted) assert.equal(client.address, peer)
    }),
  )
})

test('what a route writes itself is not written twice', () => {
  const client = readClient(headOf(''), peerAt('192.0.2.7:5000'), 'both', trusted)
  const all = forwardedLines(client, 'both', -1)
  assert.equal(all, '')
})

test('a network that is none is told with its listener', () => {
  assert.throws(() => checkTrustedPeers({ address: ':80', trustedProxies: ['10.0.0.0/33'] }), {
    code: 'ERR_EPROXY_OPTION',
    message: /^listener :80: trustedProxies: "10\.0\.0\.0\/33" is not a network/,
  })
  checkTrustedPeers({ address: ':80', trustedProxies: ['unix', '::1'] })
})

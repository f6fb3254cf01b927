/** Hosts as requests give them, and as routes write them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseHostPattern, readHost } from '../../lib/route/host.ts'
import { parseRequestHead } from '../support/parsed-head.ts'

test('case, port and one dot at the end mean nothing', () => {
  const hosts: readonly (readonly [string, string])[] = [
    ['a.test', 'a.test'],
    ['A.Test:80', 'a.test'],
    ['a.test.', 'a.test'],
    ['a.test.:', 'a.test'],
    ['a.test..', 'a.test.'],
    ['80', '80'],
    ['192.0.2.1:80', '192.0.2.1'],
    ['[2001:DB8::1]:80', '[2001:db8::1]'],
    ['[2001:db8::80]', '[2001:db8::80]'],
    ['.', '.'],
  ]
  for (const [field, host] of hosts) assert.equal(readHost(parseRequestHead(`GET / HTTP/1.1\r\nHost: ${field}\r\n\r\n`)), host, field)
  assert.equal(readHost(parseRequestHead('GET http://B.test:1/ HTTP/1.1\r\nHost: a.test\r\n\r\n')), 'b.test')
  assert.equal(readHost(parseRequestHead('GET / HTTP/1.0\r\n\r\n')), '')
})

test('a route writes a name, a wildcard in front of one, or an address', () => {
  assert.deepEqual(parseHostPattern('Example.COM.'), { isWildcard: false, name: 'example.com' })
  assert.deepEqual(parseHostPattern('*.Example.com'), { isWildcard: true, name: 'example.com' })
  assert.deepEqual(parseHostPattern('b\u00fccher.example'), { isWildcard: false, name: 'xn--bcher-kva.example' })
  assert.deepEqual(parseHostPattern('[2001:DB8::1]'), { isWildcard: false, name: '[2001:db8::1]' })
  assert.deepEqual(parseHostPattern('my_service'), { isWildcard: false, name: 'my_service' })
  for (const text of [
    '',
    '*',
    '*.',
    'a.*',
    '**.a',
    'a*.b',
    'a:80',
    '*.a:80',
    'a/b',
    'a b',
    '.a',
    'a..b',
    '[::1',
    '*.[::1]',
    'a%41',
    'x'.repeat(300),
  ]) {
    assert.throws(() => parseHostPattern(text), { code: 'ERR_EPROXY_OPTION', message: /is not the host of a route/ }, text)
  }
})

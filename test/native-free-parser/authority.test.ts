/** uri-host and port, RFC 3986 section 3.2: tables of both verdicts, and IPv6 against the reading of Node itself. */
import assert from 'node:assert/strict'
import { isIPv6 } from 'node:net'
import test from 'node:test'
import fc from 'fast-check'
import { findAuthorityFault, isIpLiteral } from '../../native-free-parser/authority.ts'

const fault = (text: string): number => findAuthorityFault(text, 0, text.length)

test('hosts and ports of every form are accepted', () => {
  const names = ['a', 'a.test', 'A-1.test.', '1.2.3.4', '999.1', 'a_b', "!$&'()*+,;=~", '%41%2e', 'xn--a', '-', '.']
  const literals = ['[::]', '[::1]', '[1:2:3:4:5:6:7:8]', '[::ffff:1.2.3.4]', '[v1.a]', '[vF.a:b]', '[V0a.~!]', '[ABCD::ef01]']
  for (const host of [...names, ...literals])
    for (const port of ['', ':', ':0', ':80', ':65535', ':00080']) assert.equal(fault(host + port), -1, host + port)
})

test('what is no host or no port is refused at the first octet that is wrong', () => {
  const faults: [string, number][] = [
    ...([
      ['', 0],
      [':80', 0],
      ['a b', 1],
      ['a/b', 1],
      ['a?', 1],
      ['a#', 1],
      ['u@a', 1],
      ['a:b', 2],
      ['a:80x', 4],
      ['a:80:90', 4],
    ] as [string, number][]),
    ...([
      ['a:65536', 2],
      ['a:99999', 2],
      ['a:000080', 2],
      ['a:-1', 2],
      ['a: 80', 2],
      ['a%', 1],
      ['a%4', 1],
      ['a%4g', 1],
      ['%zz', 0],
    ] as [string, number][]),
    ...([
      ['[', 0],
      ['[]', 0],
      ['[::1', 0],
      ['[1.2.3.4]', 0],
      ['[::1]a', 5],
      ['[::1]:x', 6],
      ['[::1]]', 5],
      ['[[::1]]', 0],
      ['[fe80::1%25eth0]', 0],
    ] as [string, number][]),
    ...([
      ['a[', 1],
      ['a]', 1],
      ['a\\b', 1],
      ['a"', 1],
      ['<a>', 0],
      ['a^', 1],
      ['a`', 1],
      ['{a}', 0],
      ['a|b', 1],
      ['a\x7f', 1],
      ['\xe9', 0],
      ['a\0', 1],
    ] as [string, number][]),
    ...([
      ['[v.a]', 0],
      ['[v1]', 0],
      ['[v1.]', 0],
      ['[vg.a]', 0],
      ['[v1.a@]', 0],
    ] as [string, number][]),
  ]
  for (const [text, offset] of faults) assert.equal(fault(text), offset, text)
})

test('only the given range of the text is looked at', () => {
  assert.equal(findAuthorityFault('x@a.test:80/y', 2, 11), -1)
  assert.equal(findAuthorityFault('//[::1]:80', 2, 6), 2)
  assert.equal(findAuthorityFault('a%41', 0, 3), 1)
  assert.equal(findAuthorityFault('a:8080', 0, 3), -1)
  assert.equal(findAuthorityFault('[', 0, 0), 0)
})

test('IPv6 addresses are those that Node takes for ones', () => {
  const group = fc.oneof(
    fc.string({ unit: fc.constantFrom(...'0123456789abcdefABCDEF'.split('')), minLength: 1, maxLength: 5 }),
    fc.constant(''),
    fc.constant('g'),
  )
  const number = fc.oneof(fc.nat(300).map(String), fc.constantFrom('', '00', '01', 'a'))
  const ipv4 = fc.array(number, { minLength: 3, maxLength: 5 }).map((parts) => parts.join('.'))
  const made = fc
    .tuple(fc.array(group, { maxLength: 9 }), fc.option(ipv4, { nil: undefined }))
    .map(([groups, last]) => [...groups, ...(last === undefined ? [] : [last])].join(':'))
  const gapped = fc.tuple(made, made).map(([left, right]) => `${left}::${right}`)
  const mutated = fc
    .tuple(fc.ipV6(), fc.nat(40), fc.constantFrom('', ':', '::', '.', '0', 'f', '1.2.3.4'))
    .map(([text, at, more]) => text.slice(0, at) + more + text.slice(at))
  fc.assert(
    fc.property(fc.oneof(made, gapped, mutated, fc.ipV6(), fc.ipV4()), (text) => {
      // Node takes a zone for a part of the address; the grammar of a URI has none.
      assert.equal(isIpLiteral(text), isIPv6(text), JSON.stringify(text))
    }),
    { numRuns: 5_000 },
  )
  assert(!isIpLiteral('fe80::1%eth0'))
})

test('every arrangement of a gap in short addresses agrees with Node', () => {
  const pieces = ['', '1', ':', '::', '1.2.3.4', 'ffff']
  const build = (text: string, depth: number): void => {
    assert.equal(isIpLiteral(text), isIPv6(text), JSON.stringify(text))
    if (depth > 0) for (const piece of pieces.slice(1)) build(text + piece, depth - 1)
  }
  build('', 6)
})

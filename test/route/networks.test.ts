/** Which addresses are in which networks: told by hand, and by node's own block list. */
import assert from 'node:assert/strict'
import { BlockList, isIP } from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import { NetworkSet, readAddress } from '../../lib/route/networks.ts'

test('a network holds its first and its last address, and no neighbour', () => {
  const set = new NetworkSet(['10.0.0.0/8', '192.0.2.7', '2001:db8::/32', '::1'])
  for (const inside of ['10.0.0.0', '10.255.255.255', '192.0.2.7', '2001:db8::', '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff', '::1']) {
    assert(set.has(inside), inside)
  }
  for (const outside of ['9.255.255.255', '11.0.0.0', '192.0.2.6', '192.0.2.8', '2001:db7:ffff::', '2001:db9::', '::', '::2']) {
    assert(!set.has(outside), outside)
  }
})

test('an IPv4-mapped address is the IPv4 address that it holds, in a network, too', () => {
  assert(new NetworkSet(['10.0.0.0/8']).has('::ffff:10.1.2.3'))
  assert(new NetworkSet(['10.0.0.0/8']).has('::ffff:a01:203'))
  assert(new NetworkSet(['::ffff:10.0.0.0/104']).has('10.1.2.3'))
  assert(new NetworkSet(['0.0.0.0/0']).has('::ffff:8.8.8.8'))
  assert(!new NetworkSet(['::/0']).has('::ffff:8.8.8.8'), 'all of IPv6 is not all of IPv4')
  assert(!new NetworkSet(['0.0.0.0/0']).has('::8.8.8.8'), 'compatible addresses are IPv6')
})

test('a zone is no part of the address, and what is no address is in no network', () => {
  const all = new NetworkSet(['0.0.0.0/0', '::/0'])
  assert(all.has('fe80::1%eth0'))
  assert(new NetworkSet(['fe80::/10']).has('fe80::1%3'))
  for (const text of [
    '',
    'unix',
    '1.2.3',
    '1.2.3.4.5',
    '01.2.3.4',
    '1.2.3.256',
    '1.2.3.4%eth0',
    '[::1]',
    ':::',
    '1::2::3',
    'example.org',
  ]) {
    assert(!all.has(text), text)
  }
  assert(!new NetworkSet([]).has('127.0.0.1'))
  assert(!new NetworkSet([]).has('::1'))
})

test('what is not a network is refused in words', () => {
  const refusals: readonly (readonly [string, RegExp])[] = [
    ['10.1.2.3/8', /bits behind its prefix; the network is 10\.0\.0\.0\/8, and this one address is 10\.1\.2\.3/],
    ['2001:db8::1/32', /the network is 2001:db8::\/32/],
    ['ffff::1/0', /the network is ::\/0/],
    ['::ffff:10.1.2.3/104', /the network is 10\.0\.0\.0\/8/],
    ['10.0.0.0/33', /from 0 to 32/],
    ['::/129', /from 0 to 128/],
    ['10.0.0.0/', /from 0 to 32/],
    ['10.0.0.0/08', /from 0 to 32/],
    ['10.0.0.0/-1', /from 0 to 32/],
    ['10.0.0.0/8/8', /from 0 to 32/],
    ['::ffff:0:0/95', /96 bits at least/],
    ['10.0.0/8', /write an address/],
    ['fe80::1%eth0', /write an address/],
    ['localhost', /write an address/],
    ['', /write an address/],
    ['x'.repeat(200), /^"x{64}…" is not a network/],
  ]
  for (const [text, message] of refusals) {
    assert.throws(() => new NetworkSet([text]), { code: 'ERR_EPROXY_OPTION', message }, text)
  }
})

test('reads exactly the addresses that node takes for addresses', () => {
  const words = new Uint32Array(4)
  const near = fc.string({ unit: fc.constantFrom('0', '1', '9', 'a', 'F', ':', '::', '.', '255', 'ffff', 'g'), maxLength: 12 })
  fc.assert(
    fc.property(fc.oneof(near, fc.ipV4(), fc.ipV6(), fc.string()), (text) => {
      fc.pre(!text.includes('%'))
      const family = readAddress(text, words)
      assert.equal(family !== 0, isIP(text) !== 0, text)
      if (family === 6 || !text.includes(':')) assert.equal(family, isIP(text))
    }),
    { numRuns: 3_000 },
  )
})

test('agrees with the block list of node', () => {
  // Few different octets, so that addresses meet networks.
  const octet = fc.constantFrom(0, 1, 127, 128, 255)
  const group = fc.constantFrom(0, 1, 0x8000, 0xffff)
  const address4 = fc.array(octet, { minLength: 4, maxLength: 4 })
  const address6 = fc.array(group, { minLength: 8, maxLength: 8 }).filter((groups) => !isMapped(groups))
  const network4 = fc.record({ octets: address4, prefix: fc.integer({ min: 0, max: 32 }) })
  const network6 = fc.record({ groups: address6, prefix: fc.integer({ min: 0, max: 128 }) })
  fc.assert(
    fc.property(
      fc.array(network4, { maxLength: 12 }),
      fc.array(network6, { maxLength: 12 }),
      fc.array(address4, { minLength: 1, maxLength: 20 }),
      fc.array(address6, { minLength: 1, maxLength: 20 }),
      (networks4, networks6, addresses4, addresses6) => {
        const texts: string[] = []
        // One for each family: node counts all of IPv4 as part of ::/0.
        const oracle4 = new BlockList()
        const oracle6 = new BlockList()
        for (const { octets, prefix } of networks4) {
          const network = cut(octets, 8, prefix).join('.')
          texts.push(`${network}/${prefix}`)
          oracle4.addSubnet(network, prefix, 'ipv4')
        }
        for (const { groups, prefix } of networks6) {
          const cutGroups = cut(groups, 16, prefix)
          // Cut short, it may have become a mapped one with a prefix that is refused.
          if (isMapped(cutGroups)) continue
          const network = formatGroups(cutGroups)
          texts.push(`${network}/${prefix}`)
          oracle6.addSubnet(network, prefix, 'ipv6')
        }
        const set = new NetworkSet(texts)
        for (const octets of addresses4) assert.equal(set.has(octets.join('.')), oracle4.check(octets.join('.'), 'ipv4'), octets.join('.'))
        for (const groups of addresses6) {
          const text = formatGroups(groups)
          assert.equal(set.has(text), oracle6.check(text, 'ipv6'), text)
        }
      },
    ),
  )
})

function isMapped(groups: readonly number[]): boolean {
  return groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff
}

function formatGroups(groups: readonly number[]): string {
  return groups.map((group) => group.toString(16)).join(':')
}

/** Only the first `prefix` bits stay. */
function cut(parts: readonly number[], width: number, prefix: number): number[] {
  return parts.map((part, index) => {
    const kept = Math.min(width, Math.max(0, prefix - index * width))
    return part & ~((1 << (width - kept)) - 1)
  })
}

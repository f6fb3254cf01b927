/** Keys of limits: one client is one key however its address is written, and nobody who does not know the secret finds two keys that meet. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatClientNetwork, KeyHasher } from '../../lib/limit/key-hasher.ts'

const secret = Buffer.from('0001020304050607', 'hex')

function hashAddress(hasher: KeyHasher, address: string, ipv6Prefix = 64): string {
  hasher.hashAddress(address, ipv6Prefix)
  return `${hasher.high}:${hasher.low}`
}

function hashText(hasher: KeyHasher, text: string): string {
  hasher.hashText(text)
  return `${hasher.high}:${hasher.low}`
}

test('an IPv4 address is the same key on a socket of either family', () => {
  const hasher = new KeyHasher(secret)
  assert.equal(hashAddress(hasher, '::ffff:203.0.113.7'), hashAddress(hasher, '203.0.113.7'))
  assert.notEqual(hashAddress(hasher, '203.0.113.8'), hashAddress(hasher, '203.0.113.7'))
})

test('IPv6 addresses of one prefix are one key, those of two are two', () => {
  const hasher = new KeyHasher(secret)
  const one = hashAddress(hasher, '2001:db8:0:1::1')
  assert.equal(hashAddress(hasher, '2001:0db8:0000:0001:ffff:ffff:ffff:ffff'), one)
  assert.notEqual(hashAddress(hasher, '2001:db8:0:2::1'), one)
  assert.notEqual(hashAddress(hasher, '2001:db8:0:1::1', 128), hashAddress(hasher, '2001:db8:0:1::2', 128))
  assert.equal(hashAddress(hasher, '2001:db8:0:1f0::1', 60), hashAddress(hasher, '2001:db8:0:1ff::1', 60))
  assert.equal(hashAddress(hasher, '2001:db8::1', 0), hashAddress(hasher, 'fe80::1', 0))
})

test('addresses, and texts of any length, do not meet', () => {
  const hasher = new KeyHasher(secret)
  const seen = new Set<string>()
  let count = 0
  const add = (key: string): void => {
    seen.add(key)
    count++
  }
  for (let i = 0; i < 20_000; i++) {
    add(hashAddress(hasher, `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`))
    add(hashAddress(hasher, `2001:db8:${i.toString(16)}::1`))
    add(hashText(hasher, `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`))
  }
  for (let length = 0; length < 300; length++) add(hashText(hasher, '\0'.repeat(length)))
  assert.equal(seen.size, count)
})

test('every bit of a key depends on every bit of an address', () => {
  const hasher = new KeyHasher(secret)
  const flips = new Array<number>(64).fill(0)
  const tries = 2_000
  for (let i = 0; i < tries; i++) {
    hasher.hashAddress(`198.51.${i >> 8}.${i & 254}`, 64)
    const { high, low } = hasher
    hasher.hashAddress(`198.51.${i >> 8}.${(i & 254) + 1}`, 64)
    for (let bit = 0; bit < 32; bit++) {
      flips[bit]! += ((high ^ hasher.high) >>> bit) & 1
      flips[32 + bit]! += ((low ^ hasher.low) >>> bit) & 1
    }
  }
  for (const count of flips) assert(count > tries * 0.4 && count < tries * 0.6, `a bit changed ${count} times of ${tries}`)
})

test('another secret makes other keys, the same secret the same', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 70 }), (text) => {
      assert.equal(hashText(new KeyHasher(secret), text), hashText(new KeyHasher(secret), text))
      assert.notEqual(hashText(new KeyHasher(), text), hashText(new KeyHasher(), text))
    }),
  )
})

test('the network of a client is one text for all ways to write its address', () => {
  assert.equal(formatClientNetwork('::ffff:192.0.2.1', 64), '192.0.2.1')
  assert.equal(formatClientNetwork('2001:db8::1', 64), '20010db8000000000000000000000000/64')
  assert.equal(formatClientNetwork('2001:db8:0:0:ffff::', 64), '20010db8000000000000000000000000/64')
  assert.equal(formatClientNetwork('unix', 64), 'unix')
})

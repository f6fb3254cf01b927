/** Addresses of stores: what is read from them, and what is refused without a word of what is written there. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findStoreFault, readStoreUrl } from '../../lib/limit/store-url.ts'

test('host, port, name, password, database and TLS are read from it', () => {
  const plain = { host: 'store.example', port: 6_379, username: '', password: '', db: 0, isSecure: false }
  assert.deepEqual(readStoreUrl('redis://store.example'), plain)
  assert.deepEqual(readStoreUrl('redis://store.example/'), plain)
  assert.deepEqual(readStoreUrl('rediss://store.example:7/12'), { ...plain, port: 7, db: 12, isSecure: true })
  assert.deepEqual(readStoreUrl('redis://:p%40ss%2F%25@[2001:db8::1]'), { ...plain, host: '2001:db8::1', password: 'p@ss/%' })
  assert.deepEqual(readStoreUrl('redis://user:word@h/0'), { ...plain, host: 'h', username: 'user', password: 'word' })
})

test('what would be read in another way than it is meant is refused, and not repeated', () => {
  for (const url of [
    '',
    'store.example',
    'store.example:6379',
    'http://store.example',
    'redis://',
    'redis:///3',
    'redis://store.example/cache',
    'redis://store.example/1/2',
    'redis://store.example/9999999999',
    'redis://store.example?db=3',
    'redis://store.example/3#x',
    'redis://:hid%den@store.example',
    'redis://:hid#den@store.example',
    'redis://:hid/den@store.example',
    'redis://store.example:hidden',
  ]) {
    const fault = findStoreFault({ url, deadlineMs: 20, onError: 'local', prefix: '' })
    assert.equal(fault?.key, 'url', url)
    assert.doesNotMatch(fault.message, /hid/)
  }
})

test('what is for TLS is refused where there is none, and when it is no certificate and no key', () => {
  const base = { deadlineMs: 20, onError: 'local', prefix: '' } as const
  const faultOf = (more: object, url = 'rediss://h'): string | undefined => findStoreFault({ ...base, url, ...more })?.key
  assert.equal(faultOf({}), undefined)
  assert.equal(faultOf({ ca: 'x' }, 'redis://h'), 'ca')
  assert.equal(faultOf({ ca: 'x' }), 'ca')
  assert.equal(faultOf({ ca: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----' }), 'ca')
  assert.equal(faultOf({ certificate: 'x' }), 'certificate')
  assert.equal(faultOf({ key: 'x' }), 'key')
  assert.equal(faultOf({ certificate: 'x', key: 'x' }), 'certificate')
})

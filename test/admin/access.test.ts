import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bearsToken, isOwnHost } from '../../lib/admin/access.ts'
import { readAdminAddress } from '../../lib/admin/admin-address.ts'

test('an address that other machines can reach has to be meant', () => {
  for (const address of ['127.0.0.1:9901', '127.8.0.1:0', '[::1]:9901', 'localhost:9901', 'unix:/run/admin.sock'])
    assert.doesNotThrow(() => readAdminAddress({ address, public: false }), address)
  for (const address of [':9901', '0.0.0.0:9901', '[::]:9901', '192.0.2.1:9901', 'localhost.example:9901', '127.0.0.1.example:9901'])
    assert.throws(() => readAdminAddress({ address, public: false }), { code: 'ERR_EPROXY_OPTION', message: /other machines/ }, address)
  for (const address of [':9901', '0.0.0.0:9901']) assert.doesNotThrow(() => readAdminAddress({ address, public: true }), address)
})

test('a page that had its own name resolved to our address is not answered', () => {
  for (const field of [
    '127.0.0.1:9901',
    '127.0.0.1',
    '192.0.2.7:9901',
    '[::1]:9901',
    '[2001:db8::1]',
    'localhost:9901',
    'LOCALHOST',
    'proxy-7:9901',
  ])
    assert.equal(isOwnHost(field, ['proxy-7']), true, field)
  for (const field of [
    undefined,
    '',
    'example.com',
    'example.com:9901',
    '127.0.0.1.example.com',
    'localhost.example.com',
    '[::1',
    '[example.com]',
  ])
    assert.equal(isOwnHost(field, ['proxy-7']), false, field)
})

test('a change needs the very token', () => {
  const token = 'a-token-of-some-length'
  assert.equal(bearsToken(`Bearer ${token}`, token), true)
  assert.equal(bearsToken(`bearer   ${token}`, token), true)
  for (const field of [
    undefined,
    '',
    token,
    `Basic ${token}`,
    'Bearer',
    'Bearer ',
    `Bearer ${token}x`,
    `Bearer ${token.slice(1)}`,
    `Bearer ${token} ${token}`,
  ])
    assert.equal(bearsToken(field, token), false, field)
})

test('no token is no token that is empty', () => {
  assert.equal(bearsToken('Bearer ', ''), false)
  assert.equal(bearsToken(undefined, ''), false)
})

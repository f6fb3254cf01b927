import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bearsToken, isFromElsewhere, isOwnHost, knowsToken } from '../../lib/admin/access.ts'
import { isGuarded, readAdminAddress } from '../../lib/admin/admin-address.ts'

test('an address that other machines can reach has to be meant', () => {
  for (const address of ['127.0.0.1:9901', '127.8.0.1:0', '[::1]:9901', 'localhost:9901', 'unix:/run/admin.sock'])
    assert.doesNotThrow(() => readAdminAddress({ address, public: false }), address)
  for (const address of [':9901', '0.0.0.0:9901', '[::]:9901', '192.0.2.1:9901', 'localhost.example:9901', '127.0.0.1.example:9901'])
    assert.throws(() => readAdminAddress({ address, public: false }), { code: 'ERR_EPROXY_OPTION', message: /other machines/ }, address)
  for (const address of [':9901', '0.0.0.0:9901']) assert.doesNotThrow(() => readAdminAddress({ address, public: true }), address)
})

test('an address that other machines can reach needs a token, for whoever looks', () => {
  const others = { kind: 'tcp', host: '0.0.0.0', port: 9901 } as const
  assert.throws(() => isGuarded(others, ''), { code: 'ERR_EPROXY_OPTION', message: /0\.0\.0\.0:9901 .* needs a token/ })
  assert.equal(isGuarded(others, 'a-token-of-some-length'), true)
  assert.equal(isGuarded({ kind: 'tcp', host: '127.0.0.1', port: 9901 }, ''), false)
  assert.equal(isGuarded({ kind: 'unix', path: '/run/admin.sock' }, 'a-token-of-some-length'), false)
})

test('a page of another site is told from ours, from a followed link and from programs', () => {
  const host = '127.0.0.1:9901'
  for (const [method, more] of [
    ['GET', {}],
    ['GET', { 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors', origin: `http://${host}` }],
    ['GET', { 'sec-fetch-site': 'none', 'sec-fetch-mode': 'navigate' }],
    ['GET', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }],
    ['POST', { 'sec-fetch-site': 'same-origin', origin: `http://${host}` }],
  ] as const)
    assert.equal(isFromElsewhere(method, { host, ...more }), false, JSON.stringify(more))
  for (const [method, more] of [
    ['GET', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' }],
    ['GET', { 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'cors', origin: 'http://127.0.0.1:3000' }],
    ['POST', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }],
    ['POST', { origin: 'null' }],
    ['POST', { origin: 'https://elsewhere.example' }],
    ['GET', { origin: `http://${host}.elsewhere.example` }],
  ] as const)
    assert.equal(isFromElsewhere(method, { host, ...more }), true, JSON.stringify(more))
})

test('who looks may send the token as a password, too', () => {
  const token = 'a-token-of-some-length'
  const basic = (pair: string): string => `Basic ${Buffer.from(pair).toString('base64')}`
  for (const field of [`Bearer ${token}`, basic(`me:${token}`), basic(`:${token}`)]) assert.equal(knowsToken(field, token), true, field)
  for (const field of [undefined, '', basic(token.slice(1)), basic(`${token}:`), basic('me:'), basic(`me:${token}x`), `Basic ${token}`])
    assert.equal(knowsToken(field, token), false, field)
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

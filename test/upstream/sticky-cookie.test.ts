/** The cookie of a client that stays with its server. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findCookieFault, formatStickyCookie, plainCookie } from '../../lib/upstream/sticky-cookie.ts'

test('the cookie has the attributes that are asked for, and when nothing is said those that are safe', () => {
  assert.equal(formatStickyCookie('srv', 'abc'), 'Set-Cookie: srv=abc; Path=/; HttpOnly; SameSite=Lax\r\n')
  assert.equal(
    formatStickyCookie('srv', 'abc', {
      path: '/app',
      domain: 'example.com',
      maxAgeMs: 1_500,
      secure: true,
      httpOnly: false,
      sameSite: 'None',
    }),
    'Set-Cookie: srv=abc; Path=/app; Domain=example.com; Max-Age=2; Secure; SameSite=None\r\n',
  )
})

test('a cookie that browsers throw away, or that is more than a cookie, is a fault', () => {
  assert.equal(findCookieFault('srv', plainCookie), '')
  assert.equal(findCookieFault('__Host-srv', { ...plainCookie, secure: true }), '')
  const wrong: readonly (readonly [string, Partial<typeof plainCookie>])[] = [
    ['a b', {}],
    ['srv', { path: 'app' }],
    ['srv', { path: '/a; Domain=com' }],
    ['srv', { path: '/a\r\nX: y' }],
    ['srv', { domain: 'a;b' }],
    ['srv', { sameSite: 'None' }],
    ['__Secure-srv', {}],
    ['__Host-srv', {}],
    ['__Host-srv', { secure: true, path: '/app' }],
    ['__host-srv', { secure: true, domain: 'example.com' }],
  ]
  for (const [name, more] of wrong)
    assert.notEqual(findCookieFault(name, { ...plainCookie, ...more }), '', `${name} ${JSON.stringify(more)}`)
})

/** Who is let in. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AccessList } from '../../lib/route/access.ts'

test('denied wins, an allow list denies everybody else, and without one everybody is allowed', () => {
  const both = new AccessList(['10.0.0.0/8', '2001:db8::/32'], ['10.1.0.0/16'])
  assert(both.admits('10.2.0.1') && both.admits('::ffff:10.2.0.1') && both.admits('2001:db8::1'))
  assert(!both.admits('10.1.0.1') && !both.admits('::ffff:10.1.0.1') && !both.admits('192.0.2.1'))
  const denying = new AccessList([], ['10.0.0.0/8'])
  assert(denying.admits('192.0.2.1') && denying.admits('unix') && !denying.admits('10.0.0.1'))
})

test('peers on a Unix socket are named as such, and an address that is none is on no list', () => {
  const allowing = new AccessList(['unix', '::/0'], [])
  assert(allowing.admits('unix') && allowing.admits('::1'))
  assert(!allowing.admits('10.0.0.1') && !allowing.admits('unknown') && !allowing.admits(''))
  assert(!new AccessList(['0.0.0.0/0', '::/0'], []).admits('unix'))
  assert(!new AccessList([], ['unix']).admits('unix'))
  assert.throws(() => new AccessList(['unix:'], []), { code: 'ERR_EPROXY_OPTION' })
})

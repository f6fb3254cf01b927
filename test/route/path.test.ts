/** What a path is for routes, and what else it could be read as. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { findPathEnd, normalizePath, otherReadings, readRoutePath } from '../../lib/route/path.ts'

const piece = fc.constantFrom(
  '/',
  '//',
  '.',
  '..',
  '/..',
  '/.',
  'a',
  'b',
  ';',
  '%2e',
  '%2F',
  '%5c',
  '%41',
  '%25',
  '%252e',
  '%252f',
  '%3b',
  '%C3%A9',
  '%20',
)
const path = fc.array(piece, { maxLength: 10 }).map((pieces) => `/${pieces.join('')}`)

test('the normal form decodes what needs no escape, merges slashes and removes dot segments', () => {
  const forms: readonly (readonly [string, string])[] = [
    ['/', '/'],
    ['/a/b', '/a/b'],
    ['/%61%2D%7E', '/a-~'],
    ['/caf%c3%a9%2f', '/caf%C3%A9%2F'],
    ['/%40scope%3a', '/@scope:'],
    ['/a//b///c//', '/a/b/c/'],
    ['/a/./b/../c', '/a/c'],
    ['/a/%2e%2E/c', '/c'],
    ['/..', '/'],
    ['/../../a', '/a'],
    ['/a/b/..', '/a/'],
    ['/a/.', '/a/'],
    ['/.../..a/.b', '/.../..a/.b'],
    ['/a;x/b', '/a;x/b'],
    ['/100%25', '/100%25'],
  ]
  for (const [raw, normal] of forms) assert.equal(normalizePath(raw), normal, raw)
})

test('a normal form is its own normal form, and without "//" it is what a browser makes of it', () => {
  fc.assert(
    fc.property(path, (raw) => {
      const normal = normalizePath(raw)
      assert.equal(normalizePath(normal), normal)
      assert.doesNotMatch(normal, /\/\/|\/\.\.?(?:\/|$)/)
      if (raw.includes('//')) return
      const seen = new URL(`http://host${raw}`).pathname
        .replace(/%41/g, 'A')
        .replace(/%2e/gi, '.')
        .replace(/%[0-9a-f]{2}/gi, (one) => one.toUpperCase())
      assert.equal(normal, seen)
    }),
  )
})

test('a path that can be read in one way only is found to be so, and ends where its query begins', () => {
  assert.equal(findPathEnd('GET /a.b/c?d//e HTTP', 4, 15), 10)
  assert.equal(findPathEnd('/plain/path', 0, 11), 11)
  for (const odd of ['/a//b', '/.', '/a/../b', '/a%20', '/a;b', '//']) assert.equal(findPathEnd(odd, 0, odd.length), ~odd.length, odd)
  fc.assert(
    fc.property(path, (raw) => {
      if (findPathEnd(raw, 0, raw.length) < 0) return
      assert.equal(normalizePath(raw), raw)
      assert.deepEqual(otherReadings(raw, raw), [])
    }),
  )
})

test('other readings are what other servers make of the path', () => {
  const readings = (raw: string): readonly string[] | undefined => otherReadings(raw, normalizePath(raw))
  assert.deepEqual(readings('/caf%C3%A9/a%20b'), [])
  assert.deepEqual(readings('/a/../b'), ['/a/../b'])
  assert.deepEqual(readings('/x%2Fy'), ['/x/y'])
  assert.deepEqual(readings('/100%25'), [])
  assert.deepEqual(readings('/a%3Fb'), ['/a'])
  assert(readings('/x/..;/y')!.includes('/y'))
  assert(readings('/x/%2e%2e%3b/y')!.includes('/y'))
  assert(readings('/x%5c..%5cy')!.includes('/y'))
  assert(readings('/x/a%5cb%2f..%2f..%2fy')!.includes('/y'), 'a backslash that parts nothing goes with its segment')
  assert(readings('/x%252f..%252fy')!.includes('/y'))
  assert(readings('/a;v=1/b')!.includes('/a/b'))
  assert(readings('/a//../b')!.includes('/a/b'), 'dot segments before slashes')
  assert.equal(normalizePath('/a//../b'), '/b', 'slashes before dot segments')
  assert(readings('/a/..//b')!.includes('//b'), 'dot segments alone')
  assert.equal(readings('/a%00b'), undefined)
  assert.equal(readings('/a%2500b'), undefined)
  assert.equal(readings(`/%${'25'.repeat(60)}2e`), undefined)
})

test('a long path of nothing but tricks is worked through in time that grows with it', () => {
  for (const raw of ['/..'.repeat(20_000), '//'.repeat(30_000), '%25'.repeat(20_000), '/;'.repeat(30_000), '%2f'.repeat(20_000)]) {
    const readings = otherReadings(`/${raw}`, normalizePath(`/${raw}`))
    assert(readings === undefined || readings.every((one) => one.length <= raw.length + 1))
  }
})

test('the path of a route is written as people write it, and what no request could match is refused', () => {
  assert.equal(readRoutePath('/'), '/')
  assert.equal(readRoutePath('/api/'), '/api/')
  assert.equal(readRoutePath('/caf\u00e9 \u{1f600}'), '/caf%C3%A9%20%F0%9F%98%80')
  assert.equal(readRoutePath('/caf%c3%a9'), '/caf%C3%A9')
  assert.equal(readRoutePath('/%61'), '/a')
  assert.equal(readRoutePath('/100%'), '/100%25')
  for (const text of ['', 'a', '/a//b', '/a/../b', '/.', '/a?b', '/a#b', '/a;b', '/a%2fb', '/a%5cb', '/a\\b', '/a%00', '/%252e']) {
    assert.throws(() => readRoutePath(text), { code: 'ERR_EPROXY_OPTION' }, text)
  }
})

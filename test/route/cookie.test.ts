/** One cookie among what clients send. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { readCookie } from '../../lib/route/cookie.ts'

test('a cookie is found by its whole name, wherever it stands', () => {
  assert.equal(readCookie('a=1; b=2; c=3', 'a'), '1')
  assert.equal(readCookie('a=1; b=2; c=3', 'b'), '2')
  assert.equal(readCookie('a=1;b=2;\tc=3 ', 'c'), '3')
  assert.equal(readCookie('ab=1; b=2', 'b'), '2')
  assert.equal(readCookie('b=1; b=2', 'b'), '1')
  assert.equal(readCookie('b="x=y"', 'b'), '"x=y"')
})

test('what is no such cookie is passed over', () => {
  for (const field of ['', ';', ';;=', 'b', 'b ; c', 'B=1', 'bb=1', 'c=b=1', '  ', 'b;=1']) assert.equal(readCookie(field, 'b'), '', field)
  assert.equal(readCookie('b=', 'b'), '')
})

test('any text gives what a naive reader finds in it', () => {
  const pieces = fc.array(fc.constantFrom('b', 'bb', '=', ';', ' ', '\t', '1', 'b=', '; b=2'), { maxLength: 12 })
  fc.assert(
    fc.property(pieces, (list) => {
      const field = list.join('')
      const pair = field.split(';').find((part) => part.replace(/^[ \t]+/, '').startsWith('b='))
      assert.equal(readCookie(field, 'b'), pair === undefined ? '' : pair.replace(/^[ \t]*b=/, '').replace(/[ \t]+$/, ''))
    }),
  )
})

/** Ids and traces: which are taken over, and what the ones that are made look like. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { hasTraceparent, isTraceparent, makeTraceparent, RandomHex, readRequestId } from '../../lib/policy/request-marks.ts'
import { parseRequestHead } from '../support/parsed-head.ts'

const trace = '0af7651916cd43dd8448eb211c80319c'
const parent = 'b7ad6b7169203331'

test('a traceparent of version 00 is exactly four groups of hex digits in lower case', () => {
  assert(isTraceparent(`00-${trace}-${parent}-01`))
  assert(isTraceparent(`00-${trace}-${parent}-00`))
  for (const wrong of [
    '',
    `00-${trace}-${parent}`,
    `00-${trace}-${parent}-1`,
    `00-${trace}-${parent}-01-`,
    `00-${trace}-${parent}-01-more`,
    `00-${trace.toUpperCase()}-${parent}-01`,
    `00-${'0'.repeat(32)}-${parent}-01`,
    `00-${trace}-${'0'.repeat(16)}-01`,
    `ff-${trace}-${parent}-01`,
    `00_${trace}-${parent}-01`,
    `0g-${trace}-${parent}-01`,
    `00-${trace}-${parent}-0\r`,
  ])
    assert(!isTraceparent(wrong), wrong)
})

test('a traceparent of a higher version may go on behind another hyphen', () => {
  assert(isTraceparent(`01-${trace}-${parent}-01`))
  assert(isTraceparent(`cc-${trace}-${parent}-01-what-the-future-brings`))
  assert(!isTraceparent(`cc-${trace}-${parent}-01.what`))
})

test('two traceparents are none', () => {
  const line = `Traceparent: 00-${trace}-${parent}-01\r\n`
  assert(hasTraceparent(parseRequestHead(`GET / HTTP/1.1\r\nHost: a\r\n${line}\r\n`)))
  assert(!hasTraceparent(parseRequestHead(`GET / HTTP/1.1\r\nHost: a\r\n${line}${line}\r\n`)))
  assert(!hasTraceparent(parseRequestHead('GET / HTTP/1.1\r\nHost: a\r\n\r\n')))
})

test('a trace that is made is valid, and none is like another', () => {
  const random = new RandomHex()
  const made = new Set(Array.from({ length: 1_000 }, () => makeTraceparent(random)))
  assert.equal(made.size, 1_000)
  for (const one of made) assert(isTraceparent(one), one)
})

test('random digits are as many as were asked for, beyond what the store holds at once', () => {
  const random = new RandomHex()
  const taken = Array.from({ length: 2_000 }, (_, index) => random.take(1 + (index % 48)))
  taken.forEach((text, index) => assert.match(text, new RegExp(`^[0-9a-f]{${1 + (index % 48)}}$`)))
  assert.equal(new Set(taken.filter((text) => text.length >= 32)).size, taken.filter((text) => text.length >= 32).length)
})

test('an id is taken over when it stands there once, and is made of harmless characters', () => {
  const idOf = (lines: string): string => readRequestId(parseRequestHead(`GET / HTTP/1.1\r\nHost: a\r\n${lines}\r\n`), 'x-request-id')
  assert.equal(idOf('X-Request-ID: aZ09-_.~:/+=@\r\n'), 'aZ09-_.~:/+=@')
  assert.equal(idOf(`x-request-id: ${'a'.repeat(128)}\r\n`), 'a'.repeat(128))
  for (const wrong of ['', 'a b', 'a"b', 'a,b', 'a;b', '<a>', 'a%0ab', 'a\\b', '{a}', "a'b", 'caf\xe9', 'a'.repeat(129)])
    assert.equal(idOf(`X-Request-Id: ${wrong}\r\n`), '', wrong)
  assert.equal(idOf('X-Request-Id: a\r\nX-Request-Id: a\r\n'), '')
  assert.equal(idOf('X_Request_Id: a\r\n'), '')
})

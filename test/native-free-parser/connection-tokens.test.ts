/** The Connection field: what is read from it, in how many lines it may come, and which fields it cannot make disappear. */
import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { parseRequestHead, parseResponseHead } from '../support/parsed-head.ts'

function options(lines: string): { close: boolean; keepAlive: boolean; upgrade: boolean; te: boolean; nominated: readonly string[] } {
  const { connection } = parseRequestHead(`GET / HTTP/1.1\r\nHost: a\r\n${lines}\r\n`)
  return { ...connection, nominated: [...connection.nominated] }
}

const none = { close: false, keepAlive: false, upgrade: false, te: false, nominated: [] }

test('the four options that mean something to the connection are read in any case', () => {
  assert.deepEqual(options(''), none)
  assert.deepEqual(options('Connection: close\r\n'), { ...none, close: true })
  assert.deepEqual(options('connection: KEEP-Alive\r\n'), { ...none, keepAlive: true })
  assert.deepEqual(options('CONNECTION: UPGRADE, Te\r\n'), { ...none, upgrade: true, te: true })
})

test('a tab beside close does not hide it', () => {
  for (const value of ['close\t', '\tclose', '\t close \t', 'x,\tclose', 'close\t,x'])
    assert.equal(options(`Connection: ${value}\r\n`).close, true, value)
})

test('every line of it counts, and empty elements do not', () => {
  assert.deepEqual(options('Connection: a\r\nX: y\r\nConnection: close, B\r\n'), { ...none, close: true, nominated: ['a', 'b'] })
  assert.deepEqual(options('Connection:\r\nConnection: ,\r\nConnection: , ,a,,\r\n'), { ...none, nominated: ['a'] })
})

test('an option is one token as a whole: what only contains close is not close', () => {
  assert.deepEqual(options('Connection: closed, xclose, close-x\r\n'), { ...none, nominated: ['closed', 'xclose', 'close-x'] })
})

test('fields that every recipient needs cannot be nominated away', () => {
  const endToEnd = [
    'Host',
    'Content-Length',
    'Content-Type',
    'Transfer-Encoding',
    'Authorization',
    'Cache-Control',
    'Date',
    'Set-Cookie',
    'Via',
    'Expect',
    'Max-Forwards',
  ]
  assert.deepEqual(options(`Connection: ${endToEnd.join(', ')}, X-Own\r\n`), { ...none, nominated: ['x-own'] })
})

test('one head leaves nothing behind for the next one', () => {
  options('Connection: close, te, upgrade, keep-alive, x\r\n')
  assert.deepEqual(options(''), none)
  parseResponseHead('HTTP/1.1 200 X\r\nConnection: close, x\r\n\r\n')
  assert.deepEqual({ ...parseResponseHead('HTTP/1.1 200 X\r\n\r\n').connection }, { ...none, nominated: new Set() })
})

test('any list of tokens is read as a list of tokens', () => {
  const token = fc.string({ unit: fc.constantFrom(..."!#$%&'*+-.^_`|~09azAZ".split('')), minLength: 1, maxLength: 8 })
  const blank = fc.constantFrom('', ' ', '\t', ' \t ')
  const element = fc.tuple(blank, fc.oneof(token, fc.constant('')), blank)
  fc.assert(
    fc.property(fc.array(fc.array(element, { maxLength: 6 }), { maxLength: 4 }), (lines) => {
      const text = lines.map((line) => `Connection: ${line.map((parts) => parts.join('')).join(',')}\r\n`).join('')
      const tokens = lines.flatMap((line) => line.map(([, name]) => `n-${name}`.slice(2).toLowerCase())).filter((name) => name !== '')
      assert.deepEqual(
        [...options(text).nominated],
        [...new Set(tokens)].filter((name) => !['close', 'keep-alive', 'upgrade', 'te', 'host', 'via', 'date'].includes(name)),
      )
    }),
    { numRuns: 300 },
  )
})

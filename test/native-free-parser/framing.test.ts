/** Where a message ends: the table of RFC 9112 section 6.3, row by row, and every combination of what decides it. */
import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { BodyKind, ParseError, type ResponseContext } from '../../native-free-parser/index.ts'
import { parseRequestHead, parseResponseHead } from '../support/parsed-head.ts'

const plain: ResponseContext = { toHead: false, offered: [] }
const toHead: ResponseContext = { toHead: true, offered: [] }

function requestFraming(lines: string, version = '1.1'): string {
  try {
    const { bodyKind, contentLength } = parseRequestHead(`POST / HTTP/${version}\r\nHost: a\r\n${lines}\r\n`)
    return `${bodyKind} ${contentLength}`
  } catch (error) {
    if (error instanceof ParseError) return error.rule
    throw error
  }
}

function responseFraming(status: number, lines: string, context = plain, version = '1.1'): string {
  try {
    const { bodyKind, contentLength } = parseResponseHead(`HTTP/${version} ${status} X\r\n${lines}\r\n`, context)
    return `${bodyKind} ${contentLength}`
  } catch (error) {
    if (error instanceof ParseError) return error.rule
    throw error
  }
}

const length = 'Content-Length: 5\r\n'
const zero = 'Content-Length: 0\r\n'
const chunked = 'Transfer-Encoding: chunked\r\n'

test('a request has a body when a field says so, and none otherwise', () => {
  assert.equal(requestFraming(''), 'none -1')
  assert.equal(requestFraming(zero), 'none 0')
  assert.equal(requestFraming(length), 'length 5')
  assert.equal(requestFraming(chunked), 'chunked -1')
  assert.equal(requestFraming(length, '1.0'), 'length 5')
  assert.equal(requestFraming('', '1.0'), 'none -1')
  assert.equal(requestFraming('transfer-ENCODING: ChUnKeD\r\n'), 'chunked -1')
  assert.equal(requestFraming('Content-Length: 0000000000000000000000005\r\n'), 'length 5')
})

test('a response ends by its status, by its request, by its fields, or with the connection, in this order', () => {
  const table: [number, string, ResponseContext, string][] = [
    [200, '', plain, 'close -1'],
    [200, zero, plain, 'none 0'],
    [200, length, plain, 'length 5'],
    [200, chunked, plain, 'chunked -1'],
    [200, '', toHead, 'none -1'],
    [200, length, toHead, 'none 5'],
    [200, chunked, toHead, 'none -1'],
    [100, '', plain, 'none -1'],
    [103, length, plain, 'none 5'],
    [199, '', plain, 'none -1'],
    [103, chunked, plain, 'H1-TE-UNALLOWED'],
    [204, '', plain, 'none -1'],
    [204, length, plain, 'none 5'],
    [204, chunked, plain, 'H1-TE-UNALLOWED'],
    [204, chunked, toHead, 'H1-TE-UNALLOWED'],
    [205, '', plain, 'close -1'],
    [304, '', plain, 'none -1'],
    [304, length, plain, 'none 5'],
    [304, chunked, plain, 'none -1'],
    [404, '', plain, 'close -1'],
    [500, chunked, plain, 'chunked -1'],
  ]
  for (const [status, lines, context, expected] of table)
    assert.equal(responseFraming(status, lines, context), expected, `${status} ${lines}`)
  assert.equal(responseFraming(200, '', plain, '1.0'), 'close -1')
  assert.equal(responseFraming(200, length, plain, '1.0'), 'length 5')
  assert.equal(responseFraming(200, chunked, plain, '1.0'), 'H1-TE-HTTP10')
})

test('what is doubtful is refused even where there is no body', () => {
  for (const status of [200, 204, 304]) {
    for (const context of [plain, toHead]) {
      assert.equal(responseFraming(status, length + chunked, context), 'H1-CL-AND-TE')
      assert.equal(responseFraming(status, length + length, context), 'H1-CL-REPEATED')
      assert.equal(responseFraming(status, 'Content-Length: x\r\n', context), 'H1-CL-INVALID')
      assert.equal(responseFraming(status, 'Transfer-Encoding: gzip, chunked\r\n', context), 'H1-TE-CODING')
    }
  }
})

test('a 101 is a switch only when the request offered each protocol that it names', () => {
  const lines = (upgrade: string): string => `Connection: upgrade\r\nUpgrade: ${upgrade}\r\n`
  const offering = (...offered: string[]): ResponseContext => ({ toHead: false, offered })
  assert.equal(responseFraming(101, lines('websocket'), offering('websocket')), 'tunnel -1')
  assert.equal(responseFraming(101, lines('WebSocket'), offering('websocket')), 'tunnel -1')
  assert.equal(responseFraming(101, lines(' a/1 , b'), offering('b', 'a/1')), 'tunnel -1')
  assert.equal(responseFraming(101, `${lines('a')}Upgrade: b\r\n`, offering('b', 'a')), 'tunnel -1')
  assert.equal(responseFraming(101, `${lines('a')}Upgrade: c\r\n`, offering('b', 'a')), 'H1-SWITCH-UNASKED')
  assert.equal(responseFraming(101, lines('websocket'), offering()), 'H1-SWITCH-UNASKED')
  assert.equal(responseFraming(101, lines('a/1'), offering('a')), 'H1-SWITCH-UNASKED')
  assert.equal(responseFraming(101, 'Upgrade: websocket\r\n', offering('websocket')), 'H1-SWITCH-UNASKED')
  assert.equal(responseFraming(101, lines('\xa0websocket'), offering('websocket')), 'H1-SWITCH-UNASKED')
})

test('the length of a length: every number up to 2^53 - 1 is exact, everything above is refused', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 80n }), fc.nat(30), (value, zeros) => {
      const expected = value === 0n ? 'none 0' : value < 2n ** 53n ? `length ${value}` : 'H1-CL-OVERFLOW'
      assert.equal(requestFraming(`Content-Length: ${'0'.repeat(zeros)}${value}\r\n`), expected)
    }),
  )
  assert.equal(requestFraming(`Content-Length: ${2 ** 53 - 1}\r\n`), 'length 9007199254740991')
  assert.equal(requestFraming('Content-Length: 9007199254740992\r\n'), 'H1-CL-OVERFLOW')
})

test('one framing at most: of all combinations of framing fields only the plain ones pass', () => {
  const field = fc.constantFrom(length, zero, chunked, 'Transfer-Encoding: gzip\r\n', 'Transfer-Encoding: gzip, chunked\r\n', 'X: y\r\n')
  fc.assert(
    fc.property(fc.array(field, { maxLength: 4 }), (fields) => {
      const framing = fields.filter((line) => line !== 'X: y\r\n')
      const verdict = requestFraming(fields.join(''))
      if (framing.length === 0) assert.equal(verdict, 'none -1')
      else if (framing.length > 1) assert.match(verdict, /^H1-/)
      else if (framing[0] === length) assert.equal(verdict, 'length 5')
      else if (framing[0] === zero) assert.equal(verdict, 'none 0')
      else if (framing[0] === chunked) assert.equal(verdict, 'chunked -1')
      else assert.match(verdict, /^H1-TE-/)
    }),
    { numRuns: 500 },
  )
})

test('the kinds of a body are those of the table', () => {
  assert.deepEqual(Object.values(BodyKind), ['none', 'length', 'chunked', 'close', 'tunnel'])
})

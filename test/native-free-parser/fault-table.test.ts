/** From an error of llhttp to a rule: single cases, and that no octets and no error code lead nowhere. Whole messages are rules.test.ts's. */
import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { explainHeadFault } from '../../native-free-parser/fault-table.ts'
import { ruleTable } from '../../native-free-parser/index.ts'
import { LlhttpErrno } from '../../native-free-parser/wasm/engine.ts'

const line = 'GET / HTTP/1.1\r\n'

/** `raw` ends with the octet at which llhttp stopped. */
function rule(raw: string, errno: number, reason = '', kind: 'request' | 'response' = 'request'): string {
  return explainHeadFault(kind, raw, raw.length - 1, errno, reason).rule
}

test('NUL is named whatever llhttp says of it', () => {
  for (const errno of Object.values(LlhttpErrno)) assert.equal(rule(`${line}A: \0`, errno), 'H1-NUL')
})

test('line ends are named before what they end', () => {
  assert.equal(rule(`${line}A: b\rc`, LlhttpErrno.LF_EXPECTED), 'H1-BARE-CR')
  assert.equal(rule('GET / HTTP/1.1\n', LlhttpErrno.CR_EXPECTED), 'H1-BARE-LF')
  assert.equal(rule('GET /\n', LlhttpErrno.INVALID_URL), 'H1-BARE-LF')
  assert.equal(rule('GET\n', LlhttpErrno.INVALID_METHOD), 'H1-BARE-LF')
  assert.equal(rule(`${line}Abc\n`, LlhttpErrno.INVALID_HEADER_TOKEN), 'H1-BARE-LF')
})

test('one error code of llhttp stands for several rules, told apart by its words', () => {
  assert.equal(rule(`${line}X`, LlhttpErrno.INVALID_CONTENT_LENGTH, 'Content-Length overflow'), 'H1-CL-OVERFLOW')
  assert.equal(rule(`${line}X`, LlhttpErrno.INVALID_CONTENT_LENGTH, 'Invalid character in Content-Length'), 'H1-CL-INVALID')
  assert.equal(
    rule(`${line}X`, LlhttpErrno.INVALID_CONTENT_LENGTH, "Content-Length can't be present with Transfer-Encoding"),
    'H1-CL-AND-TE',
  )
  assert.equal(rule(`${line}X`, LlhttpErrno.UNEXPECTED_CONTENT_LENGTH, 'Content-Length already present'), 'H1-CL-REPEATED')
  assert.equal(
    rule(`${line}X`, LlhttpErrno.UNEXPECTED_CONTENT_LENGTH, "Content-Length can't be present with Transfer-Encoding"),
    'H1-CL-AND-TE',
  )
  assert.equal(
    rule(`${line}X`, LlhttpErrno.INVALID_TRANSFER_ENCODING, "Transfer-Encoding can't be present with Content-Length"),
    'H1-CL-AND-TE',
  )
  assert.equal(rule(`${line}X`, LlhttpErrno.INVALID_TRANSFER_ENCODING, 'Invalid `Transfer-Encoding` header value'), 'H1-TE-INVALID')
})

test('a fault in a field is named by where in the line it stands', () => {
  const token = LlhttpErrno.INVALID_HEADER_TOKEN
  assert.equal(rule(`${line}(`, token), 'H1-FIELD-NAME')
  assert.equal(rule(`${line}:`, token), 'H1-FIELD-NAME')
  assert.equal(rule(`${line}A `, token), 'H1-FIELD-NAME-SPACE')
  assert.equal(rule(`${line}A\t`, token), 'H1-FIELD-NAME-SPACE')
  assert.equal(rule(`${line}A\r`, token), 'H1-FIELD-COLON')
  assert.equal(rule(`${line}A: \x01`, token), 'H1-FIELD-VALUE')
  assert.equal(rule(`${line}A: b\r\nC: d\x7f`, token), 'H1-FIELD-VALUE')
})

test('a fault in a request line is named by the part it stands in', () => {
  assert.equal(rule('G@', LlhttpErrno.INVALID_METHOD), 'H1-METHOD-TOKEN')
  assert.equal(rule('GEX', LlhttpErrno.INVALID_METHOD), 'H1-METHOD-UNKNOWN')
  assert.equal(rule('GET @', LlhttpErrno.INVALID_URL), 'H1-TARGET-FORM')
  assert.equal(rule('GET /\x80', LlhttpErrno.INVALID_URL), 'H1-TARGET-CHAR')
  assert.equal(rule('GET / HTTP/2.0 ', LlhttpErrno.INVALID_VERSION), 'H1-VERSION')
  assert.equal(rule('GET / HTTP/x', LlhttpErrno.INVALID_VERSION), 'H1-VERSION-SYNTAX')
  assert.equal(rule('GET / X', LlhttpErrno.INVALID_CONSTANT), 'H1-VERSION-SYNTAX')
})

test('a fault in a status line is never blamed on a request', () => {
  assert.equal(rule('HTTP/1.1 x', LlhttpErrno.INVALID_STATUS, '', 'response'), 'H1-STATUS-LINE')
  assert.equal(rule('HTTP/3', LlhttpErrno.INVALID_VERSION, '', 'response'), 'H1-VERSION')
  assert.equal(rule('X', LlhttpErrno.INVALID_CONSTANT, '', 'response'), 'H1-STATUS-LINE')
})

test('any octets and any error code lead to a rule of the table and an octet that has come', () => {
  const piece = fc.constantFrom(
    'GET ',
    '/',
    ' HTTP/',
    '1.1',
    '\r\n',
    '\n',
    '\r',
    'A',
    ':',
    ' ',
    '\t',
    '\0',
    '\xff',
    'HTTP/1.1 200 OK',
    'PRI * HTTP/2.0',
  )
  const text = fc.array(piece, { minLength: 1, maxLength: 12 }).map((pieces) => pieces.join(''))
  fc.assert(
    fc.property(
      fc.constantFrom('request' as const, 'response' as const),
      text,
      fc.nat(40),
      fc.constantFrom('', 'overflow', 'Transfer-Encoding'),
      (kind, raw, errno, reason) => {
        const fault = explainHeadFault(kind, raw, raw.length - 1, errno, reason)
        assert(Object.hasOwn(ruleTable, fault.rule))
        assert(fault.offset >= 0)
        // The version is named from its first digit, which llhttp has read by then.
        if (errno !== LlhttpErrno.PAUSED_H2_UPGRADE && errno !== LlhttpErrno.INVALID_VERSION) assert(fault.offset < raw.length)
      },
    ),
    { numRuns: 2_000 },
  )
})

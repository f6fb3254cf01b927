/**
 * Every octet in every position of a message: the verdict of the whole parser against predicates written from the grammars of RFC 9110,
 * RFC 9112 and RFC 3986 alone. Where the parser means to differ from them, the predicate says so and why.
 */
import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { ParserEngine, ruleTable, type RuleId } from '../../native-free-parser/index.ts'
import { equalsIgnoreCase, isToken, isWhiteSpace, trimWhiteSpace } from '../../native-free-parser/characters.ts'
import { transcribe, type Conversation } from '../support/parser-transcript.ts'

const engine = new ParserEngine({ slots: 2 })

// The grammars, as predicates on one octet.

const isAlpha = (octet: number): boolean => (octet >= 65 && octet <= 90) || (octet >= 97 && octet <= 122)
const isDigit = (octet: number): boolean => octet >= 48 && octet <= 57
const isHex = (octet: number): boolean => isDigit(octet) || (octet >= 65 && octet <= 70) || (octet >= 97 && octet <= 102)
const isOneOf = (octet: number, text: string): boolean => text.includes(String.fromCharCode(octet))
const isTchar = (octet: number): boolean => isAlpha(octet) || isDigit(octet) || isOneOf(octet, "!#$%&'*+-.^_`|~")
const isVchar = (octet: number): boolean => octet >= 0x21 && octet <= 0x7e
const isObsText = (octet: number): boolean => octet >= 0x80
const isBlank = (octet: number): boolean => octet === 0x20 || octet === 0x09
const isFieldContent = (octet: number): boolean => isBlank(octet) || isVchar(octet) || isObsText(octet)
const isQdtext = (octet: number): boolean => isFieldContent(octet) && !isOneOf(octet, '"\\')
const isSubDelim = (octet: number): boolean => isOneOf(octet, "!$&'()*+,;=")
const isUnreserved = (octet: number): boolean => isAlpha(octet) || isDigit(octet) || isOneOf(octet, '-._~')
const isPchar = (octet: number): boolean => isUnreserved(octet) || isSubDelim(octet) || isOneOf(octet, ':@')

/** 200 stands for acceptance, anything else for the status of the refusal. */
type Verdict = (octet: number) => number

interface Position {
  readonly name: string
  readonly conversation: (octet: string) => Conversation
  readonly verdict: Verdict
}

const acceptIf =
  (accepts: (octet: number) => boolean): Verdict =>
  (octet) =>
    accepts(octet) ? 200 : 400
const request =
  (before: string, after: string) =>
  (octet: string): Conversation => ({ kind: 'request', raw: before + octet + after })
const response =
  (before: string, after: string) =>
  (octet: string): Conversation => ({ kind: 'response', raw: before + octet + after })

const host = 'Host: a\r\n'
const get = `GET / HTTP/1.1\r\n${host}`
const chunked = `POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n`

const positions: readonly Position[] = [
  {
    name: 'method',
    conversation: request('GE', `T / HTTP/1.1\r\n${host}\r\n`),
    // A token that is no known method is 501. What is no token is malformed.
    verdict: (octet) => (isTchar(octet) ? 501 : 400),
  },
  {
    name: 'first octet of the method',
    conversation: request('', `ET / HTTP/1.1\r\n${host}\r\n`),
    verdict: (octet) => (octet === 0x47 ? 200 : isTchar(octet) ? 501 : 400),
  },
  {
    name: 'target path',
    conversation: request('GET /a', `b HTTP/1.1\r\n${host}\r\n`),
    // Browsers leave "[", "]" and "|" bare in a path; "?" begins the query.
    verdict: acceptIf((octet) => isPchar(octet) || isOneOf(octet, '/?[]|')),
  },
  {
    name: 'octet behind "%" in a path',
    conversation: request('GET /%', `b HTTP/1.1\r\n${host}\r\n`),
    verdict: acceptIf(isHex),
  },
  {
    name: 'target query',
    conversation: request('GET /?a', `b HTTP/1.1\r\n${host}\r\n`),
    // The query percent-encode set of the URL standard: everything visible but these stands bare.
    verdict: acceptIf((octet) => isVchar(octet) && !isOneOf(octet, '"#<>')),
  },
  {
    name: 'first octet of the target',
    conversation: request('GET ', ` HTTP/1.1\r\n${host}\r\n`),
    verdict: acceptIf((octet) => octet === 0x2f),
  },
  {
    name: 'host of an absolute target',
    conversation: request('GET http://a', `/ HTTP/1.1\r\n${host}\r\n`),
    // "/", "?" and ":" end the host.
    verdict: acceptIf((octet) => isUnreserved(octet) || isSubDelim(octet) || isOneOf(octet, '/?:')),
  },
  {
    name: 'minor version',
    conversation: request('GET / HTTP/1.', `\r\n${host}\r\n`),
    verdict: (octet) => (isOneOf(octet, '01') ? 200 : isDigit(octet) ? 505 : 400),
  },
  {
    name: 'major version',
    conversation: request('GET / HTTP/', `.1\r\n${host}\r\n`),
    verdict: (octet) => (octet === 0x31 ? 200 : isDigit(octet) ? 505 : 400),
  },
  { name: 'point of the version', conversation: request('GET / HTTP/1', `1\r\n${host}\r\n`), verdict: acceptIf((octet) => octet === 0x2e) },
  { name: 'slash of the version', conversation: request('GET / HTTP', `1.1\r\n${host}\r\n`), verdict: acceptIf((octet) => octet === 0x2f) },
  {
    name: 'octet behind the version',
    conversation: request('GET / HTTP/1.1', `\n${host}\r\n`),
    verdict: acceptIf((octet) => octet === 0x0d),
  },
  { name: 'CR of a line end', conversation: request(`${get}A: b`, 'C: d\r\n\r\n'), verdict: acceptIf(isFieldContent) },
  { name: 'LF of a line end', conversation: request(`${get}A: b\r`, 'C: d\r\n\r\n'), verdict: acceptIf((octet) => octet === 0x0a) },
  { name: 'LF of the empty line', conversation: request(`${get}\r`, ''), verdict: acceptIf((octet) => octet === 0x0a) },
  {
    name: 'first octet of a field line',
    conversation: request(get, 'A: b\r\n\r\n'),
    verdict: acceptIf(isTchar),
  },
  {
    name: 'field name',
    conversation: request(`${get}X`, 'Y: b\r\n\r\n'),
    verdict: acceptIf((octet) => isTchar(octet) || octet === 0x3a),
  },
  {
    name: 'last octet of a field name',
    conversation: request(`${get}X`, ': b\r\n\r\n'),
    verdict: acceptIf((octet) => isTchar(octet) || octet === 0x3a),
  },
  { name: 'field value', conversation: request(`${get}A: b`, 'c\r\n\r\n'), verdict: acceptIf(isFieldContent) },
  { name: 'first octet of a field value', conversation: request(`${get}A:`, 'b\r\n\r\n'), verdict: acceptIf(isFieldContent) },
  { name: 'last octet of a field value', conversation: request(`${get}A: b`, '\r\n\r\n'), verdict: acceptIf(isFieldContent) },
  { name: 'field value in a response', conversation: response('HTTP/1.1 204 X\r\nA: b', 'c\r\n\r\n'), verdict: acceptIf(isFieldContent) },
  {
    name: 'field name in a response',
    conversation: response('HTTP/1.1 204 X\r\nX', ': b\r\n\r\n'),
    verdict: acceptIf((octet) => isTchar(octet) || octet === 0x3a),
  },
  { name: 'reason phrase', conversation: response('HTTP/1.1 204 a', 'b\r\n\r\n'), verdict: acceptIf(isFieldContent) },
  { name: 'first octet of the reason phrase', conversation: response('HTTP/1.1 204 ', '\r\n\r\n'), verdict: acceptIf(isFieldContent) },
  { name: 'octet behind the status', conversation: response('HTTP/1.1 204', 'X\r\n\r\n'), verdict: acceptIf((octet) => octet === 0x20) },
  {
    name: 'first digit of the status',
    conversation: response('HTTP/1.1 ', '04 X\r\n\r\n'),
    verdict: acceptIf((octet) => isOneOf(octet, '12345')),
  },
  { name: 'last digit of the status', conversation: response('HTTP/1.1 20', ' X\r\n\r\n'), verdict: acceptIf(isDigit) },
  {
    name: 'version in a response',
    conversation: response('HTTP/1.', ' 204 X\r\n\r\n'),
    verdict: acceptIf((octet) => isOneOf(octet, '01')),
  },
  {
    name: 'host name',
    conversation: request('GET / HTTP/1.1\r\nHost: a', 'b\r\n\r\n'),
    verdict: acceptIf((octet) => isUnreserved(octet) || isSubDelim(octet)),
  },
  {
    name: 'port',
    conversation: request('GET / HTTP/1.1\r\nHost: a:8', '0\r\n\r\n'),
    verdict: acceptIf(isDigit),
  },
  {
    name: 'octet behind an IP literal',
    conversation: request('GET / HTTP/1.1\r\nHost: [::1]', '1\r\n\r\n'),
    verdict: acceptIf((octet) => octet === 0x3a),
  },
  { name: 'IPv6 group', conversation: request('GET / HTTP/1.1\r\nHost: [::', '1]\r\n\r\n'), verdict: acceptIf(isHex) },
  {
    name: 'Content-Length',
    conversation: request(`POST / HTTP/1.1\r\n${host}Content-Length: 0`, '\r\n\r\n'),
    verdict: acceptIf((octet) => isDigit(octet) || isBlank(octet)),
  },
  {
    name: 'first octet of Content-Length',
    conversation: request(`POST / HTTP/1.1\r\n${host}Content-Length:`, '1\r\n\r\n'),
    verdict: acceptIf((octet) => isDigit(octet) || isBlank(octet)),
  },
  {
    name: 'octet behind chunked',
    conversation: request(`POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked`, '\r\n\r\n0\r\n\r\n'),
    // An empty list element would be allowed by RFC 9110 section 5.6.1. Nobody sends one here but to confuse.
    verdict: acceptIf(isBlank),
  },
  {
    name: 'octet before chunked',
    conversation: request(`POST / HTTP/1.1\r\n${host}Transfer-Encoding:`, 'chunked\r\n\r\n0\r\n\r\n'),
    verdict: acceptIf(isBlank),
  },
  {
    name: 'Connection option',
    conversation: request(`${get}Connection: a`, 'b\r\n\r\n'),
    verdict: acceptIf((octet) => isTchar(octet) || octet === 0x2c),
  },
  {
    name: 'protocol in Upgrade',
    conversation: request(`${get}Connection: upgrade\r\nUpgrade: a`, 'b\r\n\r\n'),
    verdict: acceptIf((octet) => isTchar(octet) || isOneOf(octet, ',/')),
  },
  {
    name: 'octet behind a protocol in Upgrade',
    conversation: request(`${get}Connection: upgrade\r\nUpgrade: a`, '\r\n\r\n'),
    verdict: acceptIf((octet) => isTchar(octet) || isBlank(octet) || octet === 0x2c),
  },
  {
    name: 'Expect',
    conversation: request(`${get}Expect: 100-continue`, '\r\n\r\n'),
    verdict: (octet) => (isBlank(octet) ? 200 : isFieldContent(octet) ? 417 : 400),
  },
  {
    name: 'only digit of a chunk size',
    conversation: (octet) => ({
      kind: 'request',
      raw: `${chunked}${octet}\r\n${'x'.repeat(hexValue(octet))}\r\n${hexValue(octet) === 0 ? '' : '0\r\n\r\n'}`,
    }),
    verdict: acceptIf(isHex),
  },
  {
    name: 'last digit of a chunk size',
    conversation: (octet) => ({
      kind: 'request',
      raw: `${chunked}0${octet}\r\n${'x'.repeat(hexValue(octet))}\r\n${hexValue(octet) === 0 ? '' : '0\r\n\r\n'}`,
    }),
    verdict: acceptIf(isHex),
  },
  {
    name: 'octet between a chunk size and an extension',
    conversation: request(`${chunked}1`, ';a\r\nx\r\n0\r\n\r\n'),
    // One more digit makes a larger chunk, which is not complete here.
    verdict: acceptIf((octet) => isBlank(octet) || isHex(octet)),
  },
  {
    name: 'name of a chunk extension',
    conversation: request(`${chunked}1;a`, 'b\r\nx\r\n0\r\n\r\n'),
    verdict: acceptIf((octet) => isTchar(octet) || isOneOf(octet, ';=')),
  },
  {
    name: 'first octet of a chunk extension',
    conversation: request(`${chunked}1;`, 'a\r\nx\r\n0\r\n\r\n'),
    verdict: acceptIf((octet) => isTchar(octet) || isBlank(octet)),
  },
  {
    name: 'token value of a chunk extension',
    conversation: request(`${chunked}1;a=b`, 'c\r\nx\r\n0\r\n\r\n'),
    verdict: acceptIf((octet) => isTchar(octet) || octet === 0x3b),
  },
  {
    name: 'quoted value of a chunk extension',
    conversation: request(`${chunked}1;a="b`, 'c"\r\nx\r\n0\r\n\r\n'),
    // A backslash quotes the octet behind it.
    verdict: acceptIf((octet) => isQdtext(octet) || octet === 0x5c),
  },
  {
    name: 'quoted pair in a chunk extension',
    conversation: request(`${chunked}1;a="\\`, '"\r\nx\r\n0\r\n\r\n'),
    verdict: acceptIf(isFieldContent),
  },
  {
    name: 'octet behind chunk data',
    conversation: request(`${chunked}1\r\nx`, '\n0\r\n\r\n'),
    verdict: acceptIf((octet) => octet === 0x0d),
  },
  {
    name: 'octet behind the CR of chunk data',
    conversation: request(`${chunked}1\r\nx\r`, '0\r\n\r\n'),
    verdict: acceptIf((octet) => octet === 0x0a),
  },
  {
    name: 'octet behind the CR of a chunk size',
    conversation: request(`${chunked}0\r`, '\r\n'),
    verdict: acceptIf((octet) => octet === 0x0a),
  },
  { name: 'octet of chunk data', conversation: request(`${chunked}1\r\n`, '\r\n0\r\n\r\n'), verdict: () => 200 },
  {
    name: 'trailer name',
    conversation: request(`${chunked}0\r\nX`, 'Y: b\r\n\r\n'),
    verdict: acceptIf((octet) => isTchar(octet) || octet === 0x3a),
  },
  { name: 'first octet of a trailer line', conversation: request(`${chunked}0\r\n`, 'X: b\r\n\r\n'), verdict: acceptIf(isTchar) },
  { name: 'trailer value', conversation: request(`${chunked}0\r\nA: b`, 'c\r\n\r\n'), verdict: acceptIf(isFieldContent) },
  {
    name: 'octet behind the CR of a trailer line',
    conversation: request(`${chunked}0\r\nA: b\r`, '\r\n'),
    verdict: acceptIf((octet) => octet === 0x0a),
  },
  { name: 'last octet of a trailer section', conversation: request(`${chunked}0\r\n\r`, ''), verdict: acceptIf((octet) => octet === 0x0a) },
]

function hexValue(octet: string): number {
  return /^[0-9a-f]$/i.test(octet) ? Number.parseInt(octet, 16) : 1
}

/** 200, or the status of the refusal; where it comes from a response, 400 stands for every refusal, which becomes 502 at once. */
function judge(conversation: Conversation, cuts: readonly number[]): number {
  const last = transcribe(engine, conversation, cuts).at(-1)!
  const [, rule] = /^refused (\S+)/.exec(last) ?? []
  if (rule === undefined) return 200
  return conversation.kind === 'response' ? 400 : ruleTable[rule as RuleId].status
}

for (const { name, conversation, verdict } of positions) {
  test(`all 256 octets in position: ${name}`, () => {
    for (let octet = 0; octet < 256; octet++) {
      const message = conversation(String.fromCharCode(octet))
      const where = `octet 0x${octet.toString(16).padStart(2, '0')} in ${JSON.stringify(message.raw)}`
      assert.equal(judge(message, []), verdict(octet), where)
      const everyByte = Array.from({ length: message.raw.length - 1 }, (_, index) => index + 1)
      assert.equal(judge(message, everyByte), verdict(octet), `${where}, byte by byte`)
    }
  })
}

test('white space is SP and HTAB, and only they are trimmed', () => {
  for (let octet = 0; octet < 256; octet++) {
    assert.equal(isWhiteSpace(octet), isBlank(octet))
    const text = String.fromCharCode(octet)
    assert.equal(trimWhiteSpace(`${text}a${text}`), isBlank(octet) ? 'a' : `${text}a${text}`)
  }
  assert.equal(trimWhiteSpace(' \t \t'), '')
  assert.equal(trimWhiteSpace('\ta b '), 'a b')
})

test('a token has at least one octet', () => {
  assert(!isToken('abc', 1, 1))
  assert(!isToken('', 0, 0))
  assert(isToken(' a ', 1, 2))
  assert(!isToken(' a ', 1, 3))
})

test('equality without case is that of ASCII letters only', () => {
  const text = fc.string({ unit: 'binary-ascii', maxLength: 6 })
  fc.assert(
    fc.property(text, text, (raw, other) => {
      const lowerCase = other.toLowerCase()
      assert.equal(equalsIgnoreCase(`>${raw}<`, 1, 1 + raw.length, lowerCase), raw.toLowerCase() === lowerCase)
      assert(equalsIgnoreCase(raw, 0, raw.length, raw.toLowerCase()))
    }),
  )
  assert(!equalsIgnoreCase('[', 0, 1, '{'))
  assert(!equalsIgnoreCase('@', 0, 1, '`'))
  assert(!equalsIgnoreCase('\xc0', 0, 1, '\xe0'))
})

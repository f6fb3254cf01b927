/**
 * Heads as they leave, against a slow twin that writes every line anew: the runs that the encoder copies must come to the same octets.
 * And there and back: what was encoded is parsed again and has the same fields, less those of the hop, with one canonical framing.
 */
import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { BodyKind, encodeRequestHead, encodeResponseHead, FieldEdits, FieldKind, ParseError } from '../../native-free-parser/index.ts'
import type { MessageHead, RequestEncoding, RequestHead, ResponseEncoding, ResponseHead } from '../../native-free-parser/index.ts'
import { parseRequestHead, parseResponseHead } from '../support/parsed-head.ts'

const asItCame: RequestEncoding = {
  via: '',
  defaultHost: 'default.test',
  upgrade: '',
  maxForwards: '',
  acceptsTrailers: false,
  host: '',
  drops: 0,
  edits: null,
  added: '',
}
const sameResponse: ResponseEncoding = { via: '', framing: 'same', connection: '', date: '', edits: null, added: '' }

// The twin

const ofTheHop: ReadonlySet<string> = new Set([
  ...['connection', 'keep-alive', 'proxy-connection', 'te', 'upgrade', 'http2-settings'],
  ...['proxy-authorization', 'proxy-authenticate', 'proxy-authentication-info'],
])

function fieldsOf(head: MessageHead): [name: string, value: string][] {
  return Array.from({ length: head.count }, (_, index) => [head.name(index), head.value(index)])
}

function hasField(head: MessageHead, name: string): boolean {
  return fieldsOf(head).some(([other]) => other.toLowerCase() === name)
}

/** A length without leading zeros stays in its spelling. */
function lengthLine(name: string, value: string): string {
  return /^0[0-9]/.test(value) ? `Content-Length: ${BigInt(value)}` : `${name}: ${value}`
}

function slowRequest(head: RequestHead, encoding: RequestEncoding): string {
  let target = head.target
  if (head.authority !== '') {
    target = head.target.replace(/^[^/]*\/\/[^/?]*/, '')
    if (!target.startsWith('/')) target = target === '' && head.method === 'OPTIONS' ? '*' : `/${target}`
  }
  const lines = [`${head.method} ${target} HTTP/1.1`]
  for (const [name, value] of fieldsOf(head)) {
    const lower = name.toLowerCase()
    if (ofTheHop.has(lower) || head.connection.nominated.has(lower)) continue
    if (lower === 'host' && encoding.host !== '') lines.push(`Host: ${encoding.host}`)
    else if (lower === 'host' && head.authority !== '') lines.push(`Host: ${head.authority}`)
    else if (lower === 'content-length') lines.push(lengthLine(name, value))
    else if (lower === 'transfer-encoding') lines.push('Transfer-Encoding: chunked')
    else if (lower === 'trailer' && head.bodyKind !== BodyKind.CHUNKED) continue
    else if (lower === 'expect' && !head.expectsContinue) continue
    else if (lower === 'max-forwards' && encoding.maxForwards !== '') lines.push(`Max-Forwards: ${encoding.maxForwards}`)
    else if (/^x-forwarded-(?:host|proto)$/.test(lower) && encoding.drops !== 0) continue
    else lines.push(`${name}: ${value}`)
  }
  if (!hasField(head, 'host')) lines.push(`Host: ${encoding.host || head.authority || encoding.defaultHost}`)
  const connection = [...(encoding.upgrade === '' ? [] : ['Upgrade']), ...(encoding.acceptsTrailers ? ['TE'] : [])]
  if (connection.length > 0) lines.push(`Connection: ${connection.join(', ')}`)
  if (encoding.upgrade !== '') lines.push(`Upgrade: ${encoding.upgrade}`)
  if (encoding.acceptsTrailers) lines.push('TE: trailers')
  if (encoding.via !== '') lines.push(`Via: 1.${head.minorVersion} ${encoding.via}`)
  return `${lines.join('\r\n')}\r\n${encoding.added}\r\n`
}

function slowResponse(head: ResponseHead, encoding: ResponseEncoding): string {
  const [, reason = ''] = /^HTTP\/1\.[01] [0-9]{3} ?([^\r]*)\r\n/.exec(head.raw) ?? []
  const lines = [`HTTP/1.1 ${head.status} ${reason}`]
  for (const [name, value] of fieldsOf(head)) {
    const lower = name.toLowerCase()
    if (lower === 'upgrade' && (head.status === 101 || head.status === 426) && !head.connection.nominated.has(lower))
      lines.push(`${name}: ${value}`)
    else if (ofTheHop.has(lower) || head.connection.nominated.has(lower)) continue
    else if (lower === 'transfer-encoding') continue
    else if (lower === 'content-length' && (head.status < 200 || head.status === 204)) continue
    else if (lower === 'trailer' && encoding.framing !== 'chunked') continue
    else lines.push(lower === 'content-length' ? lengthLine(name, value) : `${name}: ${value}`)
  }
  if (encoding.framing === 'chunked') lines.push('Transfer-Encoding: chunked')
  if (encoding.date !== '' && !hasField(head, 'date')) lines.push(`Date: ${encoding.date}`)
  if (encoding.connection !== '') lines.push(`Connection: ${encoding.connection}`)
  if (encoding.via !== '') lines.push(`Via: 1.${head.minorVersion} ${encoding.via}`)
  return `${lines.join('\r\n')}\r\n${encoding.added}\r\n`
}

// Arbitrary heads

const blank = fc.constantFrom('', ' ', ' ', ' ', '  ', '\t', ' \t ')
const otherName = fc
  .string({ unit: fc.constantFrom(..."!#$%&'*+-.^_`|~0189abxyzABXYZ".split('')), minLength: 1, maxLength: 10 })
  .map((name) => `x${name}`)
const otherValue = fc
  .string({ unit: fc.constantFrom(...'abcXYZ09,;:="\\ \t/()<>@\x80\xe9\xff'.split('')), maxLength: 20 })
  .map((value) => value.replace(/^[ \t]+|[ \t]+$/g, ''))
const knownField = fc.constantFrom<[string, string]>(
  ...([
    ['Connection', 'close'],
    ['connection', 'x-hop, X-Other'],
    ['Connection', 'keep-alive, te'],
    ['Keep-Alive', 'timeout=5'],
    ['Proxy-Connection', 'close'],
  ] as [string, string][]),
  ...([
    ['TE', 'trailers'],
    ['te', 'gzip'],
    ['Trailer', 'X-Sum'],
    ['Upgrade', 'websocket'],
    ['HTTP2-Settings', 'AAMAAABk'],
    ['Proxy-Authorization', 'Basic x'],
  ] as [string, string][]),
  ...([
    ['Proxy-Authenticate', 'Basic'],
    ['Proxy-Authentication-Info', 'x'],
    ['X-Hop', '1'],
    ['x-hop', '2'],
    ['X-Other', ''],
    ['Via', '1.0 other'],
    ['Max-Forwards', '5'],
  ] as [string, string][]),
  ...([
    ['Forwarded', 'for=1'],
    ['X-Forwarded-For', '1.2.3.4'],
    ['X-Forwarded-Host', 'h'],
    ['x-forwarded-proto', 'https'],
    ['Date', 'then'],
    ['Expect', '100-continue'],
  ] as [string, string][]),
)
const framing = fc.constantFrom<[string, string][]>(
  [],
  [['Content-Length', '5']],
  [['content-length', '0005']],
  [['CONTENT-LENGTH', '0']],
  [['Content-Length', '00']],
  [['transfer-encoding', 'Chunked']],
  [['Transfer-Encoding', 'chunked']],
)
const someFields = fc.array(fc.oneof(fc.tuple(otherName, otherValue), knownField), { maxLength: 8 })
const fieldLines = fc
  .tuple(framing, someFields)
  .chain(([frame, others]) =>
    fc.tuple(
      fc.shuffledSubarray([...frame, ...others], { minLength: frame.length + others.length }),
      fc.array(fc.tuple(blank, blank), { minLength: 9, maxLength: 9 }),
    ),
  )
  .map(([fields, blanks]) => fields.map(([name, value], index) => `${name}:${blanks[index]![0]}${value}${blanks[index]![1]}\r\n`).join(''))

const requests = fc
  .tuple(
    fc.constantFrom('GET', 'POST', 'OPTIONS'),
    fc.constantFrom('/', '/a?b=c', '//x', 'http://b.test', 'http://b.test:80/p?q', 'HTTPS://b.test?q', 'http://b.test/'),
    fc.constantFrom('1.0', '1.1'),
    fc.boolean(),
    fieldLines,
  )
  .map(([method, target, version, hostFirst, lines]) => {
    const host = 'Host:  a.test\r\n'
    return `${method} ${target} HTTP/${version}\r\n${hostFirst ? host + lines : lines + (version === '1.0' ? '' : host)}\r\n`
  })
const responses = fc
  .tuple(
    fc.constantFrom(200, 204, 304, 103, 404, 426),
    fc.constantFrom('1.0', '1.1'),
    fc.constantFrom(' OK', ' ', '', ' Not \xe9 fine'),
    fieldLines,
  )
  .map(([status, version, reason, lines]) => `HTTP/${version} ${status}${reason}\r\n${lines}\r\n`)

const requestEncodings: fc.Arbitrary<RequestEncoding> = fc.record({
  via: fc.constantFrom('', 'proxy'),
  defaultHost: fc.constant('default.test'),
  upgrade: fc.constantFrom('', 'websocket'),
  maxForwards: fc.constantFrom('', '4'),
  acceptsTrailers: fc.boolean(),
  host: fc.constantFrom('', 'own.test:81'),
  drops: fc.constantFrom(0, (1 << FieldKind.X_FORWARDED_HOST) | (1 << FieldKind.X_FORWARDED_PROTO)),
  edits: fc.constant(null),
  added: fc.constantFrom('', 'X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: http\r\n'),
})
const responseEncodings: fc.Arbitrary<ResponseEncoding> = fc.record({
  via: fc.constantFrom('', 'proxy'),
  framing: fc.constantFrom('same', 'close'),
  connection: fc.constantFrom('', 'close', 'keep-alive'),
  date: fc.constantFrom('', 'Tue, 15 Nov 1994 08:12:31 GMT'),
  edits: fc.constant(null),
  added: fc.constantFrom('', 'X-Added: 1\r\n'),
})

/** The head of a message that may break a rule, which is not this file's business. */
function ifSound<Head>(parse: () => Head): Head | undefined {
  try {
    return parse()
  } catch (error) {
    if (error instanceof ParseError) return undefined
    throw error
  }
}

test('a request leaves as its slow twin writes it, and comes back with the same fields and framing', () => {
  let encoded = 0
  fc.assert(
    fc.property(requests, requestEncodings, (raw, encoding) => {
      const head = ifSound(() => parseRequestHead(raw))
      if (head === undefined) return
      encoded++
      const { method, bodyKind, contentLength, expectsContinue } = head
      const text = encodeRequestHead(head, encoding)
      assert.equal(text, slowRequest(head, encoding))
      const again = parseRequestHead(text)
      assert.deepEqual(
        [again.method, again.bodyKind, again.contentLength, again.expectsContinue],
        [method, bodyKind, contentLength, expectsContinue],
      )
      assert.equal(again.minorVersion, 1)
      assert.equal(again.authority, '')
      assert.equal(
        encodeRequestHead(again, { ...asItCame, upgrade: encoding.upgrade, acceptsTrailers: encoding.acceptsTrailers }).length,
        text.length,
        'encoding is idempotent',
      )
    }),
    { numRuns: 2_000 },
  )
  assert(encoded > 800, `${encoded} heads were encoded`)
})

test('a response leaves as its slow twin writes it, and comes back with the same fields and framing', () => {
  let encoded = 0
  fc.assert(
    fc.property(responses, responseEncodings, fc.boolean(), (raw, encoding, toHead) => {
      const context = { toHead, offered: [] }
      const head = ifSound(() => parseResponseHead(raw, context))
      if (head === undefined) return
      encoded++
      // As the exchange does it: chunked goes on as chunked.
      const framed: ResponseEncoding = head.bodyKind === BodyKind.CHUNKED ? { ...encoding, framing: 'chunked' } : encoding
      const { status, bodyKind } = head
      const text = encodeResponseHead(head, framed)
      assert.equal(text, slowResponse(head, framed))
      const again = parseResponseHead(text, context)
      assert.deepEqual([again.status, again.bodyKind, again.minorVersion], [status, bodyKind, 1])
    }),
    { numRuns: 2_000 },
  )
  assert(encoded > 800, `${encoded} heads were encoded`)
})

test('a head of which nothing is of the hop leaves octet for octet', () => {
  const request = 'GET /a?b HTTP/1.1\r\nhOST: a\r\nX-A: \xe9 "b"  c\r\nx-a: \r\ncookie: d=e; f\r\nContent-Length: 3\r\n\r\n'
  assert.equal(encodeRequestHead(parseRequestHead(request), asItCame), request)
  const response = 'HTTP/1.1 200 All \xe9 right\r\nset-cookie: a\r\nSet-Cookie: b\r\nX:  y\r\nContent-Length: 3\r\n\r\n'.replace(
    'X:  y',
    'X: y',
  )
  assert.equal(encodeResponseHead(parseResponseHead(response), sameResponse), response)
})

test('white space around values becomes one space before and none behind', () => {
  const raw = 'GET / HTTP/1.1\r\nHost:a\r\nA:\t b \t\r\nB:\r\nC:   \r\nD:  e\r\n\r\n'
  assert.equal(encodeRequestHead(parseRequestHead(raw), asItCame), 'GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nB: \r\nC: \r\nD: e\r\n\r\n')
})

test('an absolute target becomes origin-form, and its authority the Host', () => {
  const encode = (line: string, host = 'Host: other\r\n'): string => encodeRequestHead(parseRequestHead(`${line}\r\n${host}\r\n`), asItCame)
  assert.equal(encode('GET http://a.test:8080/p?q HTTP/1.1'), 'GET /p?q HTTP/1.1\r\nHost: a.test:8080\r\n\r\n')
  assert.equal(encode('GET http://a.test HTTP/1.1'), 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n')
  assert.equal(encode('GET http://a.test?q HTTP/1.1'), 'GET /?q HTTP/1.1\r\nHost: a.test\r\n\r\n')
  assert.equal(encode('OPTIONS http://a.test HTTP/1.1'), 'OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n')
  assert.equal(encode('OPTIONS http://a.test?q HTTP/1.1'), 'OPTIONS /?q HTTP/1.1\r\nHost: a.test\r\n\r\n')
  assert.equal(encode('GET http://a.test/ HTTP/1.0', ''), 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n')
  assert.equal(encode('GET / HTTP/1.0', ''), 'GET / HTTP/1.1\r\nHost: default.test\r\n\r\n')
  assert.equal(encode('OPTIONS * HTTP/1.1'), 'OPTIONS * HTTP/1.1\r\nHost: other\r\n\r\n')
})

test('what Connection nominates goes, and the fields of the hop go whether nominated or not', () => {
  const raw =
    'GET / HTTP/1.1\r\nHost: a\r\nX-Mine: 1\r\nConnection: x-mine, TE\r\nTE: trailers\r\nKeep-Alive: 5\r\nX-Yours: 2\r\nUpgrade: h2c\r\nx-MINE: 3\r\n\r\n'
  assert.equal(encodeRequestHead(parseRequestHead(raw), asItCame), 'GET / HTTP/1.1\r\nHost: a\r\nX-Yours: 2\r\n\r\n')
  const response = 'HTTP/1.1 200 OK\r\nConnection: x-mine\r\nX-Mine: 1\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n'
  assert.equal(encodeResponseHead(parseResponseHead(response), sameResponse), 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
})

test('a response without a reason, or of 1.0, gets the status line of 1.1', () => {
  const encode = (raw: string): string => encodeResponseHead(parseResponseHead(raw), sameResponse)
  assert.equal(encode('HTTP/1.1 200\r\nA: b\r\n\r\n'), 'HTTP/1.1 200 \r\nA: b\r\n\r\n')
  assert.equal(encode('HTTP/1.0 200 Fine\r\n\r\n'), 'HTTP/1.1 200 Fine\r\n\r\n')
  assert.equal(encode('HTTP/1.0 200\r\n\r\n'), 'HTTP/1.1 200 \r\n\r\n')
})

test('a head of many fields, all but a few copied in runs, is still what its twin writes', () => {
  const many = Array.from({ length: 3_000 }, (_, index) =>
    index % 97 === 0 ? `Keep-Alive: ${index}\r\n` : index % 89 === 0 ? `N${index}:v\r\n` : `N${index}: v${index}\r\n`,
  ).join('')
  const head = parseRequestHead(`GET / HTTP/1.1\r\nHost: a\r\n${many}\r\n`)
  assert.equal(encodeRequestHead(head, { ...asItCame, via: 'p' }), slowRequest(head, { ...asItCame, via: 'p' }))
})

test('fields that are dropped do not leave, whatever their case, and in requests with "_" for "-", too', () => {
  const edits = new FieldEdits(['X-Mine', 'cookie'], [], true)
  const raw = 'GET / HTTP/1.1\r\nHost: a\r\nx-mine: 1\r\nX_Mine: 2\r\nX-Mine2: 3\r\nCOOKIE: a=b\r\nX-Yours: 4\r\n\r\n'
  assert.equal(
    encodeRequestHead(parseRequestHead(raw), { ...asItCame, edits, added: 'X-Mine: ours\r\n' }),
    'GET / HTTP/1.1\r\nHost: a\r\nX-Mine2: 3\r\nX-Yours: 4\r\nX-Mine: ours\r\n\r\n',
  )
  const response = 'HTTP/1.1 200 OK\r\nServer: x\r\nX_Mine: 2\r\nX-MINE: 1\r\nContent-Length: 0\r\n\r\n'
  assert.equal(
    encodeResponseHead(parseResponseHead(response), { ...sameResponse, edits: new FieldEdits(['x-mine', 'Server']) }),
    'HTTP/1.1 200 OK\r\nX_Mine: 2\r\nContent-Length: 0\r\n\r\n',
  )
})

test('a default leaves where the head has no such field; one that Connection nominates does not count', () => {
  const edits = new FieldEdits(
    [],
    [
      { name: 'X-A', line: 'X-A: ours\r\n' },
      { name: 'X-B', line: 'X-B: ours\r\n' },
    ],
  )
  const encode = (lines: string): string =>
    encodeResponseHead(parseResponseHead(`HTTP/1.1 200 OK\r\n${lines}Content-Length: 0\r\n\r\n`), { ...sameResponse, edits })
  const head = (lines: string): string => `HTTP/1.1 200 OK\r\n${lines}\r\n`
  assert.equal(encode(''), head('Content-Length: 0\r\nX-A: ours\r\nX-B: ours\r\n'))
  assert.equal(encode('x-a: theirs\r\n'), head('x-a: theirs\r\nContent-Length: 0\r\nX-B: ours\r\n'))
  assert.equal(encode('X-B:\r\nx-A: 1\r\nX-a: 2\r\n'), head('X-B: \r\nx-A: 1\r\nX-a: 2\r\nContent-Length: 0\r\n'))
  assert.equal(encode('Connection: x-a\r\nX-A: 1\r\nX-B: 2\r\n'), head('X-B: 2\r\nContent-Length: 0\r\nX-A: ours\r\n'))
})

test('the Host that is sent can be another one, also for a request that has none or an absolute target', () => {
  const encode = (raw: string): string => encodeRequestHead(parseRequestHead(raw), { ...asItCame, host: 'own.test' })
  assert.equal(encode('GET / HTTP/1.1\r\nhost: a\r\nX: y\r\n\r\n'), 'GET / HTTP/1.1\r\nHost: own.test\r\nX: y\r\n\r\n')
  assert.equal(encode('GET / HTTP/1.0\r\nX: y\r\n\r\n'), 'GET / HTTP/1.1\r\nX: y\r\nHost: own.test\r\n\r\n')
  assert.equal(encode('GET http://b.test/c HTTP/1.1\r\nHost: a\r\n\r\n'), 'GET /c HTTP/1.1\r\nHost: own.test\r\n\r\n')
})

/**
 * The parser as a machine: what it tells does not depend on how bytes are split or where they lie, it stops behind every message, it
 * keeps its limits at every place, and it gives back what it took. Which messages are right is the business of rules.test.ts.
 */
import assert from 'node:assert/strict'
import test from 'node:test'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import {
  createParser,
  defaultRequestLimits,
  ParseError,
  ParserEngine,
  ParserState,
  readBufferBytes,
} from '../../native-free-parser/index.ts'
import type { MessageParser, ParserLimits, ParserUsageError, RequestHead, ResponseContext } from '../../native-free-parser/index.ts'
import { loadCases } from '../../lib/conformance/case-format.ts'
import { hostileConversations, soundConversations } from '../support/parser-corpus.ts'
import { feeds, transcribe, type Conversation } from '../support/parser-transcript.ts'
import { SeededRandom } from '../support/seeded-random.ts'

const engine = new ParserEngine({ slots: 8 })
const seed = Number(process.env.EPROXY_SEED ?? Date.now() >>> 0)
const ignoreAll = { onHead() {}, onBody() {}, onTrailers() {}, onMessageComplete() {} }
const get = 'GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n'
const chunkedHead = 'POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n'

function everyByte(length: number): number[] {
  return Array.from({ length: Math.max(0, length - 1) }, (_, index) => index + 1)
}

/** At most `count` places inside `length` octets. */
function someBytes(random: SeededRandom, length: number, count: number): number[] {
  if (length < 2) return []
  return [...new Set(Array.from({ length: count }, () => random.integer(1, length - 1)))].sort((a, b) => a - b)
}

/** Fails unless these cuts give the same transcript as none. */
function assertSame(
  conversation: Conversation,
  expected: readonly string[],
  cuts: readonly number[],
  feed: (typeof feeds)[number] = 'own',
): void {
  const seen = transcribe(engine, conversation, cuts, feed)
  // A deep comparison of equal texts would cost more than the parsing.
  if (seen.join('\n') === expected.join('\n')) return
  const at = cuts.length > 12 ? `${cuts.length} places` : cuts.join(', ')
  assert.deepEqual(seen, expected, `seed ${seed}: cut at ${at}, feed ${feed}: ${JSON.stringify(conversation.raw.slice(0, 300))}`)
}

function lastLine(conversation: Conversation, cuts: readonly number[] = []): string {
  return transcribe(engine, conversation, cuts).at(-1) ?? ''
}

// Splits

for (const { name, ...conversation } of [...soundConversations, ...hostileConversations]) {
  test(`tells the same wherever the bytes are cut: ${name}`, (t) => {
    const { length } = conversation.raw
    const expected = transcribe(engine, conversation)
    const random = new SeededRandom(seed)
    t.diagnostic(`seed ${seed}`)
    for (const feed of feeds) {
      assertSame(conversation, expected, [], feed)
      assertSame(conversation, expected, everyByte(length), feed)
      if (length <= 800) for (let cut = 1; cut < length; cut++) assertSame(conversation, expected, [cut], feed)
      for (let round = 0; round < 12; round++) assertSame(conversation, expected, someBytes(random, length, random.integer(1, 9)), feed)
    }
    assert.equal(engine.slotsInUse, 0)
  })
}

test('tells the same of every message of the conformance suite, byte by byte and cut at random', (t) => {
  t.diagnostic(`seed ${seed}`)
  const random = new SeededRandom(seed)
  let conversations = 0
  for (const { direction, send, origin } of loadCases()) {
    const script = direction === 'request' ? send : origin?.answer
    const segments = typeof script === 'string' ? [script] : (script ?? [])
    const raw = segments.filter((segment) => typeof segment === 'string').join('')
    if (raw === '') continue
    conversations++
    const conversation: Conversation = { kind: direction, raw, ends: true }
    const expected = transcribe(engine, conversation)
    assertSame(conversation, expected, everyByte(raw.length), feeds[conversations % feeds.length])
    for (let round = 0; round < 4; round++) {
      assertSame(conversation, expected, someBytes(random, raw.length, random.integer(1, 6)), feeds[(conversations + round) % feeds.length])
    }
  }
  assert(conversations > 500, `${conversations} conversations`)
  assert.equal(engine.slotsInUse, 0)
})

test('tells the same of arbitrary octets between sound pieces, however they are cut', () => {
  const piece = fc.constantFrom(
    ...['GET / HTTP/1.1\r\n', 'Host: a\r\n', '\r\n', '\n', '\r', ' ', '\t', ':', 'Content-Length: 3\r\n', 'Transfer-Encoding: chunked\r\n'],
    ...[
      '3\r\nabc\r\n',
      '0\r\n',
      'A: b\r\n',
      'HTTP/1.1 200 OK\r\n',
      'HTTP/1.1 100 X\r\n\r\n',
      ';a=b',
      'FOO',
      '\0',
      '\xff',
      '5',
      'Content-Length',
      '"',
    ],
  )
  const raws = fc.array(
    fc.oneof({ weight: 9, arbitrary: piece }, { weight: 1, arbitrary: fc.string({ unit: 'binary-ascii', maxLength: 3 }) }),
    { maxLength: 14 },
  )
  fc.assert(
    fc.property(fc.constantFrom('request' as const, 'response' as const), raws, fc.boolean(), (kind, pieces, startsWell) => {
      const start = kind === 'request' ? 'POST / HTTP/1.1\r\nHost: a\r\n' : 'HTTP/1.1 200 OK\r\n'
      const conversation: Conversation = { kind, raw: (startsWell ? start : '') + pieces.join(''), ends: true }
      const expected = transcribe(engine, conversation)
      assertSame(conversation, expected, everyByte(conversation.raw.length), 'engine')
      assertSame(
        conversation,
        expected,
        everyByte(conversation.raw.length).filter((cut) => cut % 7 === 3),
        'foreign',
      )
    }),
    { numRuns: 1_500 },
  )
})

test('the offset of a fault names the octet without which nothing would be refused', () => {
  // What these miss or forbid is known only at the end of the section, and that is where they point.
  const ofWholeSections = /^refused H1-(?:HOST-MISSING|TRAILER-FIELD) /
  for (const conversation of hostileConversations) {
    const lines = transcribe(engine, conversation)
    const [, offset] = /^refused \S+ at (\d+)$/.exec(lines.at(-1)!) ?? []
    // Behind an earlier message the offset counts from the start of the refused one.
    const isFirst = !lines.some((line) => line.startsWith('stopped') || line.startsWith('head 1'))
    if (offset === undefined || !isFirst || ofWholeSections.test(lines.at(-1)!)) continue
    const before = lastLine({ ...conversation, raw: conversation.raw.slice(0, Number(offset)), ends: false })
    assert(!before.startsWith('refused'), `${conversation.name}: ${before} without the octet at ${offset}`)
  }
})

test('an empty line before a request does not move the offsets', () => {
  for (const raw of ['GET /a HTTP/1.1\r\nHost: a.test\r\nA: b\x01\r\n\r\n', `${chunkedHead}5\r\nhello!\r\n`]) {
    assert.equal(lastLine({ kind: 'request', raw: `\r\n${raw}` }), lastLine({ kind: 'request', raw }))
  }
})

// Stops

test('stops exactly behind each of several pipelined messages and looks at nothing behind it', () => {
  const bodies: string[] = []
  const parser = createParser(
    'request',
    { ...ignoreAll, onBody: (bytes, start, end) => void bodies.push(Buffer.from(bytes).toString('latin1', start, end)) },
    {},
    engine,
  )
  const messages = [get, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc', `${chunkedHead}2\r\nde\r\n0\r\n\r\n`, get]
  const bytes = Buffer.from(messages.join('') + '\0not a request', 'latin1')
  let at = 0
  for (const message of messages) {
    assert.equal(parser.execute(bytes, at), message.length)
    assert.equal(parser.state, ParserState.COMPLETE)
    assert.equal(parser.messageBytes, message.length)
    assert.equal(parser.execute(bytes, at + message.length), 0, 'takes nothing before resume')
    at += message.length
    parser.resume()
    assert.equal(parser.state, ParserState.IDLE)
    assert.equal(parser.messageBytes, 0)
  }
  assert.deepEqual(bodies, ['abc', 'de'])
  assert.throws(() => parser.execute(bytes, at), { rule: 'H1-NUL', offset: 0 })
})

test('a response without a body ends with its head: HEAD, 204, 304', () => {
  const cases: [string, ResponseContext][] = [
    ['HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n', { toHead: true, offered: [] }],
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', { toHead: true, offered: [] }],
    ['HTTP/1.1 204 No Content\r\n\r\n', { toHead: false, offered: [] }],
    ['HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n', { toHead: false, offered: [] }],
    ['HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n', { toHead: false, offered: [] }],
    ['HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n', { toHead: false, offered: [] }],
  ]
  for (const [head, context] of cases) {
    const parser = createParser('response', ignoreAll, {}, engine)
    parser.expectResponse(context)
    assert.equal(parser.execute(Buffer.from(`${head}123456789`)), head.length, head)
    assert.equal(parser.state, ParserState.COMPLETE)
    parser.dispose()
  }
})

test('interim responses come one by one before the final one and do not count towards its bytes', () => {
  const statuses: number[] = []
  const parser = createParser('response', { ...ignoreAll, onHead: (head) => void statuses.push(head.status) }, {}, engine)
  const final = 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx'
  const raw = `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${final}`
  assert.equal(parser.execute(Buffer.from(`${raw}HTTP`)), raw.length)
  assert.deepEqual(statuses, [100, 103, 200])
  assert.equal(parser.messageBytes, final.length)
  parser.dispose()
})

test('a switch of protocols hands the first octet of the new one back, whatever the split', () => {
  const head = 'HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n'
  for (let cut = 1; cut <= head.length + 3; cut++) {
    const parser = createParser('response', ignoreAll, {}, engine)
    parser.expectResponse({ toHead: false, offered: ['websocket'] })
    const bytes = Buffer.from(`${head}\x81\x01!`, 'latin1')
    const first = parser.execute(bytes, 0, cut)
    assert.equal(first + (first < cut ? 0 : parser.execute(bytes, cut)), head.length, `cut at ${cut}`)
    assert.equal(parser.state, ParserState.TUNNEL)
    assert.equal(parser.execute(bytes, head.length), 0, 'a tunnel takes nothing')
    parser.finish()
    assert.equal(parser.state, ParserState.TUNNEL)
    assert.throws(() => parser.resume(), { code: 'ERR_PARSER_STOPPED' })
    parser.dispose()
  }
})

test('an Upgrade in a request switches nothing: the next bytes are a request again', () => {
  const raw = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n'
  const parser = createParser('request', ignoreAll, {}, engine)
  assert.equal(parser.execute(Buffer.from(raw + get)), raw.length)
  assert.equal(parser.state, ParserState.COMPLETE)
  parser.dispose()
})

test('a parser is handed over between messages, and at no other time', () => {
  const told: string[] = []
  const recorder = (name: string): typeof ignoreAll => ({ ...ignoreAll, onMessageComplete: () => void told.push(name) })
  const parser = createParser('request', recorder('first'), {}, engine)
  parser.execute(Buffer.from(get))
  assert.throws(() => parser.attach(recorder('second')), { code: 'ERR_PARSER_STOPPED' }, 'after a message, before resume')
  parser.resume()
  parser.attach(recorder('second'))
  parser.execute(Buffer.from('\r'))
  assert.throws(() => parser.attach(recorder('third')), { code: 'ERR_PARSER_STOPPED' }, 'inside the empty line before a request')
  parser.execute(Buffer.from('\nGET'))
  assert.throws(() => parser.attach(recorder('third')), { code: 'ERR_PARSER_STOPPED' }, 'inside a head')
  parser.execute(Buffer.from(get.slice(3)))
  assert.deepEqual(told, ['first', 'second'])
  parser.dispose()
  assert.throws(() => parser.attach(recorder('third')), { code: 'ERR_PARSER_STOPPED' }, 'after dispose')
})

test('trailers come as trailers, not as fields, before the message is complete', () => {
  const lines = transcribe(engine, { kind: 'request', raw: `${chunkedHead}1\r\na\r\n0\r\nX-Sum: \t1\t \r\nx-sum:\r\nY:\xff\r\n\r\n` })
  assert.equal(lines.length, 6)
  assert.match(lines[0]!, /^head POST/)
  assert.doesNotMatch(lines[0]!, /X-Sum/)
  assert.deepEqual(lines.slice(1, 4), ['body "a"', 'trailers ["X-Sum","1","x-sum","","Y","ÿ"]', 'complete'])
})

test('an empty trailer section is not told', () => {
  assert(!transcribe(engine, { kind: 'request', raw: `${chunkedHead}0\r\n\r\n` }).some((line) => line.startsWith('trailers')))
})

// Ends

test('finish completes what ends with the connection and refuses what is cut off', () => {
  let completed = 0
  const parser = createParser('response', { ...ignoreAll, onMessageComplete: () => void completed++ }, {}, engine)
  parser.finish()
  assert.equal(parser.state, ParserState.IDLE)
  parser.execute(Buffer.from('HTTP/1.1 200 OK\r\n\r\nabc'))
  assert.equal(parser.state, ParserState.CLOSE)
  parser.finish()
  assert.equal(parser.state, ParserState.COMPLETE)
  parser.finish()
  assert.equal(completed, 1)

  for (const raw of [
    'G',
    get.slice(0, -1),
    `${chunkedHead}1`,
    `${chunkedHead}0\r\n`,
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na',
  ]) {
    const cut = createParser('request', ignoreAll, {}, engine)
    cut.execute(Buffer.from(raw))
    assert.throws(() => cut.finish(), { rule: 'H1-INCOMPLETE', offset: raw.length }, raw)
    assert.equal(cut.state, ParserState.DEAD)
    cut.finish()
  }
  assert.equal(engine.slotsInUse, 0)
})

// Limits

/** What is refused for every value of one limit from 0 to `above`, by the bytes as one piece; and every cut says the same. */
function sweep(conversation: Conversation, name: keyof ParserLimits, above: number): string[] {
  const verdicts: string[] = []
  for (let value = 0; value <= above; value++) {
    const limited = { ...conversation, limits: { ...conversation.limits, [name]: value } }
    const expected = transcribe(engine, limited)
    assertSame(limited, expected, everyByte(conversation.raw.length), 'engine')
    for (let cut = 1; cut < conversation.raw.length; cut++) assertSame(limited, expected, [cut])
    verdicts.push(/^refused (\S+)/.exec(expected.at(-1)!)?.[1] ?? 'accepted')
  }
  return verdicts
}

const limitCases: { name: keyof ParserLimits; rule: string; least: number; conversation: Conversation }[] = [
  { name: 'startLineBytes', rule: 'H1-REQUEST-LINE-LENGTH', least: 15, conversation: { kind: 'request', raw: get } },
  { name: 'startLineBytes', rule: 'H1-REQUEST-LINE-LENGTH', least: 15, conversation: { kind: 'request', raw: 'GET /a HTTP/1.0\r\n\r\n' } },
  { name: 'headBytes', rule: 'H1-HEAD-LENGTH', least: get.length, conversation: { kind: 'request', raw: get } },
  { name: 'headBytes', rule: 'H1-HEAD-LENGTH', least: 19, conversation: { kind: 'response', raw: 'HTTP/1.1 200 OK\r\n\r\na' } },
  {
    name: 'fields',
    rule: 'H1-FIELD-COUNT',
    least: 3,
    conversation: { kind: 'request', raw: 'GET / HTTP/1.1\r\nHost: a\r\nAB:\r\nCD: e\r\n\r\n' },
  },
  {
    name: 'chunkSizeDigits',
    rule: 'H1-CHUNK-SIZE-LENGTH',
    least: 3,
    conversation: { kind: 'request', raw: `${chunkedHead}001\r\na\r\n0\r\n\r\n` },
  },
  {
    name: 'chunkExtensionBytes',
    rule: 'H1-CHUNK-EXTENSION-LENGTH',
    least: 7,
    conversation: { kind: 'request', raw: `${chunkedHead}1 ;a="b"\r\na\r\n0;ab\r\n\r\n` },
  },
  {
    name: 'messageExtensionBytes',
    rule: 'H1-CHUNK-EXTENSION-LENGTH',
    least: 7,
    conversation: { kind: 'request', raw: `${chunkedHead}1;a\r\na\r\n1;b\r\na\r\n0;cd\r\n\r\n` },
  },
  {
    name: 'trailerFields',
    rule: 'H1-TRAILER-COUNT',
    least: 2,
    conversation: { kind: 'request', raw: `${chunkedHead}0\r\nA: b\r\nC:\r\n\r\n` },
  },
  {
    name: 'trailerBytes',
    rule: 'H1-TRAILER-LENGTH',
    least: 12,
    conversation: { kind: 'request', raw: `${chunkedHead}0\r\nA: b\r\nC:\r\n\r\n` },
  },
  {
    name: 'interimResponses',
    rule: 'H1-INTERIM-LIMIT',
    least: 2,
    conversation: { kind: 'response', raw: 'HTTP/1.1 100 A\r\n\r\nHTTP/1.1 103 B\r\n\r\nHTTP/1.1 204 C\r\n\r\n' },
  },
  {
    name: 'interimBytes',
    rule: 'H1-INTERIM-LIMIT',
    least: 36,
    conversation: { kind: 'response', raw: 'HTTP/1.1 100 A\r\n\r\nHTTP/1.1 103 B\r\n\r\nHTTP/1.1 204 C\r\n\r\n' },
  },
]

for (const { name, rule, least, conversation } of limitCases) {
  test(`limit ${name} is kept to the octet under every split: ${JSON.stringify(conversation.raw.slice(0, 24))}`, () => {
    const verdicts = sweep(conversation, name, least + 3)
    assert.deepEqual(verdicts, [...new Array<string>(least).fill(rule), ...new Array<string>(4).fill('accepted')])
  })
}

for (const raw of [
  'GET /a HTTP/1.1\r\nBadddd\x01: x\r\n\r\n',
  'GET /a HTTP/1.1\r\nHost: a\r\nBadddd\x01: x\r\n\r\n',
  'GET /a HTTP/1.1\n\r\n',
  'GET /a\x01 HTTP/1.1\r\n\r\n',
  'GET /a HTTP/1.1 \r\n\r\n',
  'GET /a HTTP/2.0\r\n\r\n',
  'GET /a HTTP/1.1\r\n Host: a\r\n\r\n',
  'GET /a\r\n\r\n',
  'FOO /a HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET /a HTTP/1.1\r\nA:\r\n c\r\n\r\n',
  'GET /a HTTP/1.1\r\nTransfer-Encoding : x\r\n\r\n',
  'GET /a\t',
  'POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\t\r\n\r\na',
  'HTTP/1.1 200 OK\r\nA: b\r\nBad\x01: c\r\n\r\n',
]) {
  test(`limits and faults meet in the same way under every split: ${JSON.stringify(raw)}`, () => {
    const conversation: Conversation = { kind: raw.startsWith('HTTP') ? 'response' : 'request', raw }
    sweep(conversation, 'startLineBytes', raw.length + 1)
    sweep(conversation, 'headBytes', raw.length + 1)
    sweep(conversation, 'fields', 4)
  })
}

test('the default limits hold: line 8192, head 32768, 100 fields', () => {
  const { startLineBytes, headBytes, fields } = defaultRequestLimits
  assert.deepEqual([startLineBytes, headBytes, fields], [8_192, 32_768, 100])
  const withFields = (count: number): string => `GET / HTTP/1.1\r\nHost: a\r\n${'A: b\r\n'.repeat(count - 1)}\r\n`
  assert.match(lastLine({ kind: 'request', raw: withFields(100) }), /^idle/)
  assert.match(lastLine({ kind: 'request', raw: withFields(101) }), /^refused H1-FIELD-COUNT/)
  const ofBytes = (bytes: number): string => {
    const rest = 'GET / HTTP/1.1\r\nHost: a\r\nA: \r\n\r\n'
    return rest.replace('A: ', `A: ${'a'.repeat(bytes - rest.length)}`)
  }
  assert.match(lastLine({ kind: 'request', raw: ofBytes(32_768) }), /^idle/)
  assert.match(lastLine({ kind: 'request', raw: ofBytes(32_769) }), /^refused H1-HEAD-LENGTH at 32768/)
})

test('a head larger than the read buffer comes through, as one piece and in pieces', () => {
  const raw = `HTTP/1.1 200 OK\r\nA: ${'a'.repeat(150_000)}\r\nContent-Length: 1\r\n\r\nx`
  const conversation: Conversation = { kind: 'response', raw, limits: { headBytes: 200_000 } }
  const expected = transcribe(engine, conversation)
  assert.match(expected.at(-1)!, /^idle/)
  const random = new SeededRandom(seed)
  for (const feed of feeds)
    for (let round = 0; round < 4; round++) assertSame(conversation, expected, someBytes(random, raw.length, 9), feed)
})

test('a tab behind Content-Length is right in a head of any length', () => {
  const size = 150_000
  for (const padding of [size, readBufferBytes - 42, readBufferBytes - 41, readBufferBytes - 40, readBufferBytes - 39]) {
    const head = `HTTP/1.1 200 OK\r\nA: ${'a'.repeat(padding)}\r\nContent-Length: 1\t`
    const conversation: Conversation = { kind: 'response', raw: `${head}\r\n\r\nx`, limits: { headBytes: 200_000 } }
    const own = new ParserEngine({ slots: 2 })
    const lines = transcribe(own, conversation)
    assert.deepEqual(
      lines.slice(1),
      ['body "x"', 'complete', `stopped at ${conversation.raw.length}`, 'idle with 0 bytes'],
      `${head.length} bytes`,
    )
    assert.deepEqual(transcribe(own, conversation, [head.length - 1, head.length]), lines)
  }
})

test('limits that do not exist or are no whole numbers are refused', () => {
  for (const limits of [
    { headBytes: -1 },
    { headBytes: 1.5 },
    { headBytes: Number.NaN },
    { headBytes: Infinity },
    { headbytes: 1 },
    { toString: 1 },
  ]) {
    assert.throws(() => createParser('request', ignoreAll, limits as Partial<ParserLimits>, engine), { code: 'ERR_PARSER_OPTION' })
  }
})

test('hostile lists cost time in proportion to their length', () => {
  // Linear work on a million octets takes some milliseconds, quadratic work many minutes: the limit only ends the latter.
  const limits = { headBytes: 1_000_000, trailerBytes: 1_000_000 }
  const head = (line: string): string => `GET / HTTP/1.1\r\nHost: a\r\n${line}\r\n\r\n`
  const raws = [
    head(`Connection: ${Array.from({ length: 120_000 }, (_, index) => `n${index}`).join()}`),
    head(`Connection: ${'a,'.repeat(400_000)}a`),
    head(`Connection: upgrade\r\nUpgrade: ${'a,'.repeat(400_000)}a`),
    `${chunkedHead}0\r\nA: b${' '.repeat(900_000)}c\r\n\r\n`,
  ]
  for (const raw of raws) {
    const parse = (): number => {
      const parser = createParser('request', ignoreAll, limits, engine)
      const taken = parser.execute(Buffer.from(raw, 'latin1'))
      parser.dispose()
      return taken
    }
    assert.equal(runInNewContext('parse()', { parse }, { timeout: 4_000 }), raw.length, raw.slice(0, 60))
  }
})

// Use

type Callback = 'onHead' | 'onBody' | 'onTrailers' | 'onMessageComplete'
const callbacks: readonly Callback[] = ['onHead', 'onBody', 'onTrailers', 'onMessageComplete']
const withEverything = `${chunkedHead}1\r\na\r\n1\r\nb\r\n0\r\nX: y\r\n\r\n`

/** A parser whose handler does `act` in one callback; `called` lists the callbacks that came. */
function actingParser(
  callback: Callback,
  act: (parser: MessageParser<'request'>) => void,
): { parser: MessageParser<'request'>; called: Callback[] } {
  const called: Callback[] = []
  const on = (name: Callback) => (): void => {
    called.push(name)
    if (name === callback) act(parser)
  }
  const handler = { onHead: on('onHead'), onBody: on('onBody'), onTrailers: on('onTrailers'), onMessageComplete: on('onMessageComplete') }
  const parser = createParser('request', handler, {}, engine)
  return { parser, called }
}

for (const callback of callbacks) {
  for (const method of ['execute', 'resume', 'finish', 'reset'] as const) {
    test(`${method} inside ${callback} is refused`, () => {
      const codes: unknown[] = []
      const { parser } = actingParser(callback, (it) => {
        try {
          it[method](Buffer.from(get))
          codes.push('accepted')
        } catch (error) {
          codes.push((error as ParserUsageError).code)
        }
      })
      parser.execute(Buffer.from(withEverything))
      parser.dispose()
      assert.deepEqual([...new Set(codes)], ['ERR_PARSER_REENTERED'])
    })
  }

  test(`dispose inside ${callback} ends everything at once, in one piece and byte by byte`, () => {
    for (const step of [withEverything.length, 1]) {
      const { parser, called } = actingParser(callback, (it) => it.dispose())
      const bytes = Buffer.from(withEverything)
      for (let at = 0; at < bytes.length && parser.state !== ParserState.DEAD; at += step) parser.execute(bytes, at, at + step)
      assert.equal(parser.state, ParserState.DEAD)
      assert.equal(called.filter((name) => name === callback).length, 1)
      assert.equal(called.at(-1), callback, 'no callback comes after dispose')
      assert.equal(engine.slotsInUse, 0)
    }
  })

  test(`an error thrown by ${callback} reaches the caller of execute and kills the parser`, () => {
    for (const step of [withEverything.length, 1]) {
      const thrown = new Error('thrown by the handler')
      const { parser } = actingParser(callback, () => {
        throw thrown
      })
      const bytes = Buffer.from(withEverything)
      assert.throws(
        () => {
          for (let at = 0; at < bytes.length; at += step) parser.execute(bytes, at, at + step)
        },
        (error) => error === thrown,
      )
      assert.equal(parser.state, ParserState.DEAD)
      assert.equal(engine.slotsInUse, 0)
    }
    assert.match(lastLine({ kind: 'request', raw: get }), /^idle/, 'the engine serves others')
  })
}

test('what a disposed parser does when it is used', () => {
  const parser = createParser('request', ignoreAll, {}, engine)
  parser.execute(Buffer.from('GET /'))
  parser.dispose()
  parser.dispose()
  parser[Symbol.dispose]()
  assert.equal(parser.state, ParserState.DEAD)
  assert.throws(() => parser.execute(Buffer.from(get)), { code: 'ERR_PARSER_DISPOSED' })
  assert.throws(() => parser.reset(), { code: 'ERR_PARSER_DISPOSED' })
  assert.throws(() => parser.resume(), { code: 'ERR_PARSER_STOPPED' })
  parser.finish()
  assert.equal(engine.slotsInUse, 0)
})

test('a parser that has refused a message is dead', () => {
  const parser = createParser('request', ignoreAll, {}, engine)
  assert.throws(() => parser.execute(Buffer.from('GET /\x01')), ParseError)
  assert.equal(parser.state, ParserState.DEAD)
  assert.throws(() => parser.execute(Buffer.from(get)), { code: 'ERR_PARSER_DISPOSED' })
})

test('resume is for complete messages only', () => {
  const parser = createParser('request', ignoreAll, {}, engine)
  assert.throws(() => parser.resume(), { code: 'ERR_PARSER_STOPPED' })
  parser.execute(Buffer.from('GET /'))
  assert.throws(() => parser.resume(), { code: 'ERR_PARSER_STOPPED' })
  parser.execute(Buffer.from(get.slice(5)))
  parser.resume()
  parser.dispose()
})

const prefixes: readonly string[] = [
  ...['', '\r', '\r\n', 'G', 'GET / HTTP/1.1\r\nHos', get, 'FOO /', 'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\t'],
  ...[
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab',
    `${chunkedHead}5;a="b`,
    `${chunkedHead}5\r\nhe`,
    `${chunkedHead}0\r\nA: b`,
  ],
]

test('reset makes a parser ready for a new connection from every state', () => {
  for (const prefix of prefixes) {
    const seen: string[] = []
    const parser = createParser('request', { ...ignoreAll, onHead: (head) => void seen.push(head.target) }, {}, engine)
    for (const octet of Buffer.from(prefix)) parser.execute(Uint8Array.of(octet))
    seen.length = 0
    parser.reset()
    assert.equal(engine.slotsInUse, 0)
    assert.equal(parser.state, ParserState.IDLE)
    assert.equal(parser.messageBytes, 0)
    assert.equal(parser.execute(Buffer.from(get)), get.length, prefix)
    assert.deepEqual(seen, ['/a'])
    parser.dispose()
  }
  const tunnel = createParser('response', ignoreAll, {}, engine)
  tunnel.expectResponse({ toHead: false, offered: ['x'] })
  tunnel.execute(Buffer.from('HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n'))
  tunnel.reset()
  assert.throws(() => tunnel.execute(Buffer.from('HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n')), {
    rule: 'H1-SWITCH-UNASKED',
  })
})

// Slots and memory

test('dispose gives back what is held, in every state and at every octet of a message', () => {
  for (const raw of [
    ...prefixes,
    withEverything,
    ...hostileConversations.filter(({ kind }) => kind === 'request').map((it) => it.raw.slice(0, 200)),
  ]) {
    for (let bytes = 0; bytes <= raw.length; bytes += raw.length > 60 ? 7 : 1) {
      const parser = createParser('request', ignoreAll, {}, engine)
      try {
        for (const octet of Buffer.from(raw.slice(0, bytes), 'latin1')) parser.execute(Uint8Array.of(octet))
      } catch (error) {
        assert(error instanceof ParseError, String(error))
      }
      assert(engine.slotsInUse <= 1)
      parser.dispose()
      assert.equal(engine.slotsInUse, 0, JSON.stringify(raw.slice(0, bytes)))
    }
  }
})

test('only heads that outlive a read take a slot; the one too many is an error and breaks none of the others', () => {
  const small = new ParserEngine({ slots: 3 })
  const heads: string[] = []
  const parsers = Array.from({ length: 3 }, () =>
    createParser('request', { ...ignoreAll, onHead: (head) => void heads.push(head.value(0)) }, {}, small),
  )
  parsers.forEach((parser, index) => parser.execute(Buffer.from(`GET / HTTP/1.1\r\nHost: ${index}`)))
  assert.equal(small.slotsInUse, 3)

  const whole = createParser('request', ignoreAll, {}, small)
  assert.equal(whole.execute(Buffer.from(get)), get.length, 'a head in one read needs no slot')

  const late = createParser('request', ignoreAll, {}, small)
  assert.throws(() => late.execute(Buffer.from('GET /')), { code: 'ERR_PARSER_SLOTS' })
  assert.equal(late.state, ParserState.DEAD)
  assert.equal(small.slotsInUse, 3)

  parsers.toReversed().forEach((parser) => parser.execute(Buffer.from('.test\r\n\r\n')))
  assert.deepEqual(heads, ['2.test', '1.test', '0.test'])
  assert.equal(small.slotsInUse, 0)
  const next = createParser('request', ignoreAll, {}, small)
  next.execute(Buffer.from('GET /'))
  assert.equal(small.slotsInUse, 1)
  next.dispose()
  assert.equal(small.slotsInUse, 0)
})

test('heads of many connections, byte by byte in turns, do not touch each other', () => {
  const many = new ParserEngine({ slots: 64 })
  const seen: string[][] = []
  const sources = Array.from({ length: 64 }, (_, index) =>
    Buffer.from(
      index % 2 === 0
        ? `GET /${index} HTTP/1.1\r\nHost: h${index}\r\nX-${'n'.repeat(index)}: ${'v'.repeat(64 - index)}\r\n\r\n`
        : `HTTP/1.1 2${10 + index} R\r\nContent-Length: 0\r\nY: ${'w'.repeat(index)}\r\n\r\n`,
    ),
  )
  const parsers = sources.map((_, index) => {
    seen.push([])
    return createParser(
      index % 2 === 0 ? 'request' : 'response',
      { ...ignoreAll, onHead: (head) => void (seen[index] = [head.raw, ...head.toRawFields()]) },
      {},
      many,
    )
  })
  for (let at = 0; at < 120; at++) {
    parsers.forEach((parser, index) => {
      if (at < sources[index]!.length) parser.execute(sources[index]!, at, at + 1)
    })
  }
  sources.forEach((source, index) => {
    assert.equal(seen[index]![0], source.toString())
    const name = index % 2 === 0 ? `X-${'n'.repeat(index)}` : 'Y'
    assert.deepEqual(seen[index]!.slice(3), [name, index % 2 === 0 ? 'v'.repeat(64 - index) : 'w'.repeat(index)])
  })
  assert.equal(many.slotsInUse, 0)
})

test('the memory of the module stays as it is over 100 000 parsers and 20 MB of messages', () => {
  const own = new ParserEngine({ slots: 16 })
  const before = own.memoryBytes
  const { buffer } = own.readBuffer
  const first = Buffer.from('GET /a HTTP/1.1\r\nHo')
  const rest = Buffer.from('st: a.test\r\n\r\n')
  for (let count = 0; count < 100_000; count++) {
    const parser = createParser('request', ignoreAll, {}, own)
    parser.execute(first)
    if (count % 2 === 0) parser.execute(rest)
    parser.dispose()
  }
  const message = Buffer.from(`POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1900\r\n\r\n${'x'.repeat(1_900)}`)
  const batch = Buffer.concat(Array.from({ length: 16 }, () => message))
  const parser = createParser('request', ignoreAll, {}, own)
  let bytes = 0
  while (bytes < 20_000_000) {
    for (let at = 0; at < batch.length;) {
      at += parser.execute(batch, at)
      parser.resume()
    }
    bytes += batch.length
  }
  assert.equal(own.memoryBytes, before)
  assert.equal(own.readBuffer.buffer, buffer)
  assert.equal(own.readBuffer.length, readBufferBytes)
  assert.equal(own.slotsInUse, 0)
})

test('parsers without an engine of their own share one', () => {
  const parser = createParser('request', ignoreAll)
  assert.equal(parser.execute(Buffer.from(get)), get.length)
  parser.dispose()
})

// Octets

const nameText = fc.string({ unit: fc.constantFrom(..."!#$%&'*+-.^_`|~0123456789abcxyzABCXYZ".split('')), minLength: 1, maxLength: 12 })
const octets = (codes: readonly number[]): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(...codes.map((code) => String.fromCharCode(code))), maxLength: 24 })
const inValues = [
  0x09,
  ...Array.from({ length: 95 }, (_, index) => 0x20 + index),
  ...Array.from({ length: 128 }, (_, index) => 0x80 + index),
]

test('names and values arrive octet for octet, in order and in case', () => {
  const field = fc.tuple(
    nameText.map((name) => `x-${name}`),
    octets(inValues).map((value) => value.replace(/^[ \t]+|[ \t]+$/g, '')),
    fc.constantFrom('', ' ', '\t', ' \t '),
  )
  fc.assert(
    fc.property(fc.array(field, { maxLength: 20 }), fc.nat(400), (fields, cut) => {
      const raw = `HTTP/1.1 200 OK\r\n${fields.map(([name, value, blank]) => `${name}:${blank}${value}${blank}\r\n`).join('')}\r\n`
      const lists: string[][] = []
      const parser = createParser('response', { ...ignoreAll, onHead: (head) => void lists.push(head.toRawFields()) }, {}, engine)
      const bytes = Buffer.from(raw, 'latin1')
      parser.execute(bytes, 0, Math.min(cut, bytes.length))
      if (cut < bytes.length) parser.execute(bytes, cut)
      parser.dispose()
      assert.deepEqual(lists, [fields.flatMap(([name, value]) => [name, value])])
    }),
    { numRuns: 400 },
  )
})

test('every one of the 256 octets passes through a body of each framing', () => {
  const all = Buffer.from(Array.from({ length: 256 }, (_, index) => index)).toString('latin1')
  const conversations: Conversation[] = [
    { kind: 'request', raw: `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 256\r\n\r\n${all}` },
    { kind: 'request', raw: `${chunkedHead}100\r\n${all}\r\n0\r\n\r\n` },
    { kind: 'response', raw: `HTTP/1.1 200 OK\r\n\r\n${all}` },
  ]
  for (const conversation of conversations) {
    for (const cuts of [[], everyByte(conversation.raw.length)]) {
      assert(transcribe(engine, conversation, cuts).includes(`body ${JSON.stringify(all)}`))
    }
  }
})

test('the strings of a head stay valid when its octets are overwritten', () => {
  const kept: string[] = []
  const parser = createParser(
    'request',
    { ...ignoreAll, onHead: (head: RequestHead) => void kept.push(head.method, head.target, ...head.toRawFields(), head.raw) },
    {},
    engine,
  )
  engine.readBuffer.write(get, 0, 'latin1')
  parser.execute(engine.readBuffer, 0, get.length)
  engine.readBuffer.fill(0xff)
  parser.dispose()
  assert.deepEqual(kept, ['GET', '/a', 'Host', 'a.test', get])
})

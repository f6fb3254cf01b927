/**
 * The chunked coding: the decoder on its own, and against llhttp as a second opinion. Whatever this decoder accepts, llhttp reads as the
 * same body, or refuses; the other way round this one may be the stricter.
 */
import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { ChunkDecoder } from '../../native-free-parser/chunk-decoder.ts'
import { defaultRequestLimits, ParseError, type ParserLimits } from '../../native-free-parser/index.ts'
import { readBare } from '../support/bare-llhttp.ts'

interface Decoding {
  readonly body: string
  /** Octets taken; the message ended behind them when `isDone`. */
  readonly taken: number
  readonly isDone: boolean
  readonly rawFields: readonly string[] | undefined
  readonly rule: string | undefined
}

/** Decodes `text` in pieces of `step` octets. */
function decode(
  text: string,
  step = text.length,
  limits: Partial<ParserLimits> = {},
  decoder = new ChunkDecoder({ ...defaultRequestLimits, ...limits }),
): Decoding {
  const bytes = Buffer.from(text, 'latin1')
  let body = ''
  let taken = 0
  const handler = {
    onBody: (from: Uint8Array, start: number, end: number) => {
      assert.equal(from, bytes)
      assert(start < end, 'no empty ranges')
      body += bytes.toString('latin1', start, end)
    },
  }
  try {
    while (taken < bytes.length && !decoder.isDone)
      taken = decoder.decode(bytes, taken, Math.min(bytes.length, taken + step), handler, taken)
    const rawFields = decoder.isDone ? decoder.takeTrailers(taken)?.rawFields : undefined
    return { body, taken, isDone: decoder.isDone, rawFields, rule: undefined }
  } catch (error) {
    if (!(error instanceof ParseError)) throw error
    return { body, taken: error.offset, isDone: false, rawFields: undefined, rule: error.rule }
  }
}

test('data comes without its frame, as ranges of the input', () => {
  const text = '5\r\nhello\r\n00006 ;a="b;\\"" ; c\r\n world\r\n0\r\n\r\n'
  for (let step = 1; step <= text.length; step++) {
    assert.deepEqual(decode(`${text}GET`, step), {
      body: 'hello world',
      taken: text.length,
      isDone: true,
      rawFields: undefined,
      rule: undefined,
    })
  }
})

test('trailers come as names and values in order, without surrounding white space', () => {
  const text = '0\r\nA:b\r\na: \t c d \t\r\nEmpty:\r\nColons: x:y:\r\n\r\n'
  for (const step of [1, 3, text.length]) {
    assert.deepEqual(decode(text, step).rawFields, ['A', 'b', 'a', 'c d', 'Empty', '', 'Colons', 'x:y:'])
  }
})

test('one decoder serves one message after the other', () => {
  const decoder = new ChunkDecoder({ ...defaultRequestLimits, messageExtensionBytes: 2, trailerFields: 1, trailerBytes: 8 })
  for (let round = 0; round < 3; round++) {
    const { body, rawFields } = decode('1;a\r\nx\r\n0\r\nA: b\r\n\r\n', 2, {}, decoder)
    assert.deepEqual([body, rawFields], ['x', ['A', 'b']])
    decoder.reset()
    assert.equal(decoder.isDone, false)
  }
  decode('5;a\r\nhe', 3, {}, decoder)
  decoder.reset()
  assert.equal(decode('1\r\nx\r\n0\r\n\r\n', 4, {}, decoder).body, 'x')
})

test('sizes are exact up to 2^53 - 1', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 1n, max: 2n ** 60n }), fc.boolean(), (size, upper) => {
      const digits = upper ? size.toString(16).toUpperCase() : size.toString(16)
      const { rule, body } = decode(`${digits}\r\nabc`)
      if (size >= 2n ** 53n) assert.equal(rule, 'H1-CHUNK-SIZE-OVERFLOW')
      else if (size < 3n) assert.equal(rule, 'H1-CHUNK-END')
      else assert.deepEqual([rule, body], [undefined, 'abc'])
    }),
  )
})

test('names that must not come late are refused in a trailer section, in any case', () => {
  const forbidden = [
    'Content-Length',
    'Transfer-Encoding',
    'Host',
    'Connection',
    'Trailer',
    'TE',
    'Upgrade',
    'Keep-Alive',
    'Authorization',
    'Cookie',
    'Set-Cookie',
  ]
  const more = [
    'Content-Type',
    'Content-Encoding',
    'Content-Range',
    'Cache-Control',
    'Expect',
    'Max-Forwards',
    'Range',
    'Age',
    'Date',
    'Via',
    'Forwarded',
    'X-Forwarded-For',
  ]
  for (const name of [...forbidden, ...more]) {
    for (const spelling of [name, name.toLowerCase(), name.toUpperCase()]) {
      assert.equal(decode(`0\r\nX: y\r\n${spelling}: z\r\n\r\n`).rule, 'H1-TRAILER-FIELD', spelling)
    }
    assert.equal(decode(`0\r\nX-${name}x: z\r\n\r\n`).rule, undefined)
  }
})

const head = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'

/** Pieces of which chunked bodies and almost chunked bodies are made. */
const soundExtension = fc.constantFrom('', '', ';a', ';a=b', ';a="b"', ';a="b;\\"c"', ' ;a', '; a = b', '\t;a', ';a=b;c')
const brokenExtension = fc.constantFrom(';', ';;', ' ', ';a=', ';a="', ';a b')
const extension = fc.oneof({ weight: 12, arbitrary: soundExtension }, { weight: 1, arbitrary: brokenExtension })
const data = fc.uint8Array({ minLength: 1, maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('latin1'))
const chunk = fc
  .tuple(data, extension, fc.nat(3))
  .map(([text, more, zeros]) => `${'0'.repeat(zeros)}${text.length.toString(16)}${more}\r\n${text}\r\n`)
const trailer = fc.constantFrom(
  '',
  '',
  '',
  '',
  'A: b\r\n',
  'A:\r\n',
  'A : b\r\n',
  ' A: b\r\n',
  'A: b\r\n c\r\n',
  'A\r\n',
  'Content-Length: 3\r\n',
  'A: \x01\r\n',
)
const body = fc
  .tuple(fc.array(chunk, { maxLength: 4 }), extension, trailer)
  .map(([chunks, more, fields]) => `${chunks.join('')}0${more}\r\n${fields}\r\n`)
const damage = fc.tuple(fc.nat(200), fc.nat(3), fc.constantFrom('', '', '\r', '\n', '\r\n', '0', ' ', ';', 'x', '\0', 'f'))
const damagedBody = fc.tuple(body, damage).map(([text, [at, count, more]]) => text.slice(0, at) + more + text.slice(at + count))

test('whatever is accepted here llhttp reads as the same body, or refuses for white space in an extension', () => {
  let accepted = 0
  fc.assert(
    fc.property(fc.oneof(body, damagedBody), (text) => {
      const ours = decode(text)
      if (!ours.isDone || ours.rule !== undefined) return
      accepted++
      const bare = readBare('request', head + text.slice(0, ours.taken))
      if (bare.errno !== 0) {
        // BWS, RFC 9112 section 7.1.1: a recipient must parse it; this llhttp does not.
        assert.match(bare.reason, /chunk (?:size|extensions)/, text)
        assert.match(text, /[0-9a-f][ \t]+;|;[ \t]|[ \t]=|=[ \t]/, text)
        return
      }
      assert.deepEqual([bare.body, bare.completeMessages], [ours.body, 1], text)
      assert.deepEqual(
        bare.rawFields.slice(4).filter((_, index) => index % 2 === 0),
        (ours.rawFields ?? []).filter((_, index) => index % 2 === 0),
      )
    }),
    { numRuns: 1_500 },
  )
  assert(accepted > 300, `${accepted} bodies were compared`)
})

test('what llhttp refuses in data, sizes and line ends is refused here too', () => {
  fc.assert(
    fc.property(damagedBody, (text) => {
      const bare = readBare('request', head + text)
      const ours = decode(text)
      // Past the end of the message llhttp goes on with the next one; white space in extensions it does not know.
      if (bare.errno === 0 || bare.completeMessages > 0 || /[ \t]/.test(text)) return
      assert(ours.rule !== undefined, `${JSON.stringify(text)}: ${bare.reason}`)
    }),
    { numRuns: 1_500 },
  )
})

test('every split of a body gives the same data, verdict and offset', () => {
  fc.assert(
    fc.property(damagedBody, fc.integer({ min: 1, max: 9 }), (text, step) => {
      assert.deepEqual(decode(text, step), decode(text))
    }),
    { numRuns: 1_000 },
  )
})

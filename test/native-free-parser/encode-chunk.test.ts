/** Chunks as they leave: what the decoder of this parser and llhttp itself read back is what went in. */
import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { encodeChunkHead, encodeTrailers, lastChunk, ParserEngine } from '../../native-free-parser/index.ts'
import { readBare } from '../support/bare-llhttp.ts'
import { transcribe } from '../support/parser-transcript.ts'

const engine = new ParserEngine({ slots: 1 })
const head = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'

test('a size line is the size in lower-case hex and nothing else', () => {
  assert.equal(encodeChunkHead(1), '1\r\n')
  assert.equal(encodeChunkHead(255), 'ff\r\n')
  assert.equal(encodeChunkHead(65_536), '10000\r\n')
  assert.equal(encodeChunkHead(Number.MAX_SAFE_INTEGER), '1fffffffffffff\r\n')
})

test('bodies in chunks of any size come back as they were', () => {
  const octets = fc.uint8Array({ minLength: 1, maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString('latin1'))
  fc.assert(
    fc.property(fc.array(octets, { maxLength: 6 }), (pieces) => {
      const raw = head + pieces.map((piece) => `${encodeChunkHead(piece.length)}${piece}\r\n`).join('') + lastChunk
      const body = pieces.join('')
      const lines = transcribe(engine, { kind: 'request', raw }).slice(1)
      assert.deepEqual(lines, [
        ...(body === '' ? [] : [`body ${JSON.stringify(body)}`]),
        'complete',
        `stopped at ${raw.length}`,
        'idle with 0 bytes',
      ])
      const bare = readBare('request', raw)
      assert.deepEqual([bare.errno, bare.body, bare.completeMessages], [0, body, 1])
    }),
    { numRuns: 60 },
  )
})

test('trailers leave in order and in case, without those that were nominated for one hop', () => {
  const section = { rawFields: ['X-Sum', '1', 'x-hop', '2', 'X-Empty', '', 'X-Hop', '3'] }
  assert.equal(encodeTrailers(section, new Set()), '0\r\nX-Sum: 1\r\nx-hop: 2\r\nX-Empty: \r\nX-Hop: 3\r\n\r\n')
  assert.equal(encodeTrailers(section, new Set(['x-hop'])), '0\r\nX-Sum: 1\r\nX-Empty: \r\n\r\n')
  assert.equal(encodeTrailers({ rawFields: ['A', 'b'] }, new Set(['a'])), lastChunk)
  const lines = transcribe(engine, { kind: 'request', raw: head + encodeTrailers(section, new Set()) })
  assert.equal(lines[1], `trailers ${JSON.stringify(section.rawFields)}`)
})

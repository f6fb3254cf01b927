/** The binding of the WebAssembly module: slots, generations, memory and what a run of llhttp reports. What it means is decided above. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import test from 'node:test'
import { Engine, HeadSpans, LlhttpErrno, llhttpVersion, readBufferBytes, spanWidth } from '../../../native-free-parser/wasm/engine.ts'
import { llhttpBase64, llhttpSha256 } from '../../../native-free-parser/wasm/llhttp-bytes.ts'
import { bareErrorName } from '../../support/bare-llhttp.ts'

const get = 'GET /a HTTP/1.1\r\nHost: a.test\r\nA:\r\nB:  c \r\n\r\n'

/** Spans of the fields as text. */
function fieldsOf(raw: string, spans: HeadSpans): string[] {
  return Array.from({ length: spans.count * 2 }, (_, index) => {
    const at = (index >> 1) * spanWidth + (index & 1) * 2
    return raw.slice(spans.fields[at], spans.fields[at + 1])
  })
}

test('the module is the pinned one', () => {
  assert.equal(llhttpSha256, '259f8302ac0f7fd7d38469e0d16b505e59c6b432cc5eb856be4d012260de0e11')
  assert.equal(createHash('sha256').update(Buffer.from(llhttpBase64, 'base64')).digest('hex'), llhttpSha256)
  assert.match(llhttpVersion, /^\d+\.\d+\.\d+\+\d+$/)
})

test('the names of error codes are those of the module itself', () => {
  for (const [name, errno] of Object.entries(LlhttpErrno)) assert.equal(bareErrorName(errno), `HPE_${name}`)
})

test('a head in one run pauses behind the empty line and leaves its offsets', () => {
  const engine = new Engine({ slots: 1 })
  const spans = new HeadSpans(10)
  engine.begin('request')
  assert.equal(engine.run(Buffer.from(`${get}POST`), 0, get.length + 4, 0, spans, 10), LlhttpErrno.PAUSED)
  assert.equal(engine.stop, get.length)
  assert.equal(get.slice(spans.targetStart, spans.targetEnd), '/a')
  assert.deepEqual(fieldsOf(get, spans), ['Host', 'a.test', 'A', '', 'B', 'c '])
  assert.equal(engine.excessField, -1)
})

test('a head in many runs leaves the same offsets, wherever its bytes lie', () => {
  const engine = new Engine({ slots: 1 })
  for (const where of ['read buffer', 'elsewhere']) {
    const spans = new HeadSpans(10)
    engine.begin('request')
    let errno: number = LlhttpErrno.OK
    for (let at = 0; at < get.length; at++) {
      assert.equal(errno, LlhttpErrno.OK)
      // Every octet at another address, as reads put them.
      const start = where === 'read buffer' ? (at * 977) % readBufferBytes : 0
      const bytes = where === 'read buffer' ? engine.readBuffer : Buffer.alloc(1)
      bytes[start] = get.charCodeAt(at)
      errno = engine.run(bytes, start, start + 1, at, spans, 10)
    }
    assert.equal(errno, LlhttpErrno.PAUSED)
    assert.equal(engine.stop, 1)
    assert.deepEqual(fieldsOf(get, spans), ['Host', 'a.test', 'A', '', 'B', 'c '])
    assert.equal(get.slice(spans.targetStart, spans.targetEnd), '/a')
  }
})

test('the field too many ends the run and says where it begins', () => {
  const engine = new Engine({ slots: 1 })
  engine.begin('request')
  const errno = engine.run(Buffer.from(get), 0, get.length, 0, new HeadSpans(2), 2)
  assert.equal(errno, LlhttpErrno.USER)
  assert.equal(engine.excessField, get.indexOf('B:'))
  engine.begin('request')
  engine.run(Buffer.from('GET / HTTP/1.1\r\n\r\n'), 0, 18, 0, new HeadSpans(2), 2)
  assert.equal(engine.excessField, -1, 'the next run begins anew')
})

test('a fault gives the code, the words and the place of llhttp', () => {
  const engine = new Engine({ slots: 1 })
  engine.begin('request')
  const raw = 'GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n'
  assert.equal(engine.run(Buffer.from(raw), 0, raw.length, 0, new HeadSpans(2), 2), LlhttpErrno.INVALID_CONTENT_LENGTH)
  assert.equal(engine.stop, raw.indexOf('x'))
  assert.equal(engine.reason(), 'Invalid character in Content-Length')
})

test('a suspended head goes on where it was, whatever was parsed in between', () => {
  const engine = new Engine({ slots: 2 })
  const spans = new HeadSpans(10)
  engine.begin('request')
  assert.equal(engine.run(Buffer.from(get), 0, 20, 0, spans, 10), LlhttpErrno.OK)
  const slot = engine.suspend()
  const generation = engine.generation(slot)
  assert.equal(engine.slotsInUse, 1)

  engine.begin('response')
  assert.equal(engine.run(Buffer.from('HTTP/1.1 200 OK\r\n'), 0, 17, 0, new HeadSpans(2), 2), LlhttpErrno.OK)
  const other = engine.suspend()
  assert.notEqual(other, slot)

  engine.resume(slot, generation)
  assert.equal(engine.run(Buffer.from(get), 20, 30, 20, spans, 10), LlhttpErrno.OK)
  engine.save(slot, generation)
  engine.begin('request')
  engine.resume(slot, generation)
  assert.equal(engine.run(Buffer.from(get), 30, get.length, 30, spans, 10), LlhttpErrno.PAUSED)
  assert.deepEqual(fieldsOf(get, spans), ['Host', 'a.test', 'A', '', 'B', 'c '])
  engine.release(slot, generation)
  engine.release(other, engine.generation(other))
  assert.equal(engine.slotsInUse, 0)
})

test('a slot that was given back cannot be used by who had it', () => {
  const engine = new Engine({ slots: 1 })
  engine.begin('request')
  const slot = engine.suspend()
  const generation = engine.generation(slot)
  engine.release(slot, generation)
  for (const use of [() => engine.resume(slot, generation), () => engine.save(slot, generation), () => engine.release(slot, generation)]) {
    assert.throws(use, { name: 'ParserUsageError', code: 'ERR_PARSER_MEMORY' })
  }
  assert.equal(engine.suspend(), slot, 'the next one gets it')
  assert.notEqual(engine.generation(slot), generation)
  assert.throws(() => engine.resume(slot, generation), { code: 'ERR_PARSER_MEMORY' })
  assert.equal(engine.slotsInUse, 1)
})

test('there are as many slots as were asked for', () => {
  for (const slots of [0, 1, 7]) {
    const engine = new Engine({ slots })
    engine.begin('request')
    const taken = Array.from({ length: slots }, () => engine.suspend())
    assert.equal(new Set(taken).size, slots)
    assert.equal(engine.slotsInUse, slots)
    assert.throws(() => engine.suspend(), { name: 'ParserUsageError', code: 'ERR_PARSER_SLOTS' })
    for (const slot of taken) engine.release(slot, engine.generation(slot))
    assert.equal(engine.slotsInUse, 0)
  }
})

test('engines share nothing', () => {
  const one = new Engine({ slots: 1 })
  const other = new Engine({ slots: 1 })
  assert.notEqual(one.readBuffer.buffer, other.readBuffer.buffer)
  one.begin('request')
  other.begin('response')
  assert.equal(one.run(Buffer.from('GET '), 0, 4, 0, new HeadSpans(1), 1), LlhttpErrno.OK)
  assert.equal(other.run(Buffer.from('HTTP'), 0, 4, 0, new HeadSpans(1), 1), LlhttpErrno.OK)
})

test('the read buffer is part of the memory of the module and can be filled to its last octet', () => {
  const engine = new Engine({ slots: 100 })
  assert.equal(engine.readBuffer.length, readBufferBytes)
  assert.equal(engine.readBuffer.buffer.byteLength, engine.memoryBytes)
  const head = `GET /${'a'.repeat(readBufferBytes - get.length)}${get.slice(6)}`.slice(0, -1)
  assert.equal(head.length, readBufferBytes - 2)
  engine.readBuffer.fill(0xff)
  engine.readBuffer.write(head, 2, 'latin1')
  const spans = new HeadSpans(10)
  engine.begin('request')
  assert.equal(engine.run(engine.readBuffer, 2, readBufferBytes, 0, spans, 10), LlhttpErrno.OK)
  const last = engine.readBuffer.subarray(0, 1)
  last[0] = 0x0a
  assert.equal(engine.run(last, 0, 1, head.length, spans, 10), LlhttpErrno.PAUSED)
  assert.equal(spans.targetEnd - spans.targetStart, readBufferBytes - get.length + 1)
})

/** One write for what one read yields. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BulkBuffers } from '../../lib/net/bulk-buffers.ts'
import { WriteBatch } from '../../lib/exchange/write-batch.ts'

test('a batch is the head, the octets in order, and the tail, chunked or not, and is empty afterwards', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 9_000 }),
      fc.array(fc.tuple(fc.nat(9_000), fc.nat(4_000)), { maxLength: 6 }),
      fc.string({ unit: 'binary-ascii', maxLength: 20 }),
      fc.boolean(),
      (octets, wanted, head, chunked) => {
        const source = Buffer.from(octets)
        const batch = new WriteBatch(new BulkBuffers())
        let body = ''
        for (const [from, bytes] of wanted) {
          const start = from % source.length
          const end = Math.min(source.length, start + bytes)
          if (end === start) continue
          batch.add(start, end)
          body += source.toString('latin1', start, end)
        }
        assert.equal(batch.isEmpty, body === '')
        const written = batch.encode(head, source, chunked, '0\r\n\r\n', 'lent')
        const framed = body === '' ? '' : chunked ? `${body.length.toString(16)}\r\n${body}\r\n` : body
        assert.equal(typeof written === 'string' ? written : written.toString('latin1'), `${head}${framed}0\r\n\r\n`)
        assert(batch.isEmpty)
        assert.equal(batch.encode('', source, chunked, '', 'lent'), '')
      },
    ),
  )
})

test('encoded in place or copied, a batch is the same octets, and nothing behind a tail is touched', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(40), fc.integer({ min: 1, max: 2_500 })), { minLength: 1, maxLength: 6 }),
      fc.string({ unit: 'binary-ascii', maxLength: 60 }),
      fc.constantFrom('', '0\r\n\r\n'),
      fc.nat(80),
      fc.boolean(),
      (wanted, head, tail, room, chunked) => {
        const ranges: [number, number][] = []
        let at = room
        for (const [gap, bytes] of wanted) {
          ranges.push([at + gap, at + gap + bytes])
          at += gap + bytes
        }
        const source = Buffer.from(Array.from({ length: at + 16 }, (_, i) => (i * 7 + (i >> 8)) & 0xff))
        const copied = new WriteBatch(new BulkBuffers())
        const placed = new WriteBatch(new BulkBuffers())
        for (const [start, end] of ranges) {
          copied.add(start, end)
          placed.add(start, end)
        }
        const expected = copied.encode(head, Buffer.from(source), chunked, tail, 'kept')
        const before = Buffer.from(source)
        const written = placed.encode(head, source, chunked, tail, 'here')
        assert.equal(Buffer.compare(Buffer.from(written as Buffer), Buffer.from(expected as Buffer)), 0)
        assert(placed.isEmpty)
        if (tail !== '') assert.deepEqual(source.subarray(at), before.subarray(at))
      },
    ),
  )
})

test('what is encoded does not change with the read buffer', () => {
  const source = Buffer.from('abcdef')
  const batch = new WriteBatch(new BulkBuffers())
  batch.add(0, 2)
  batch.add(4, 6)
  const written = batch.encode('h', source, false, 't', 'kept')
  source.fill(0x78)
  assert.equal(String(written), 'habeft')
})

test('a cleared batch gives nothing', () => {
  const batch = new WriteBatch(new BulkBuffers())
  batch.add(0, 3)
  batch.clear()
  assert(batch.isEmpty)
  assert.equal(batch.encode('', Buffer.from('abc'), true, '', 'here'), '')
})

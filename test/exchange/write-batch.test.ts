/** One write for what one read yields. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
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
        const batch = new WriteBatch()
        let body = ''
        for (const [from, bytes] of wanted) {
          const start = from % source.length
          const end = Math.min(source.length, start + bytes)
          if (end === start) continue
          batch.add(start, end)
          body += source.toString('latin1', start, end)
        }
        assert.equal(batch.isEmpty, body === '')
        const written = batch.encode(head, source, chunked, '0\r\n\r\n')
        const framed = body === '' ? '' : chunked ? `${body.length.toString(16)}\r\n${body}\r\n` : body
        assert.equal(typeof written === 'string' ? written : written.toString('latin1'), `${head}${framed}0\r\n\r\n`)
        assert(batch.isEmpty)
        assert.equal(batch.encode('', source, chunked, ''), '')
      },
    ),
  )
})

test('what is encoded does not change with the read buffer', () => {
  const source = Buffer.from('abcdef')
  const batch = new WriteBatch()
  batch.add(0, 2)
  batch.add(4, 6)
  const written = batch.encode('h', source, false, 't')
  source.fill(0x78)
  assert.equal(String(written), 'habeft')
})

test('a cleared batch gives nothing', () => {
  const batch = new WriteBatch()
  batch.add(0, 3)
  batch.clear()
  assert(batch.isEmpty)
  assert.equal(batch.encode('', Buffer.from('abc'), true, ''), '')
})

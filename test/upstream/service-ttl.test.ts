/** The TTL of SRV records, from octets that anybody may have sent. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decode, encode, type Answer, type Packet } from 'dns-packet'
import fc from 'fast-check'
import { encodeQuestion, isAnswer, readTtl } from '../../lib/upstream/service-ttl.ts'

const name = '_http._tcp.app.test'
const srv = (ttl: number, at = name): Answer => ({ type: 'SRV', name: at, ttl, data: { port: 1, target: 'a.test' } })

function answer(answers: readonly Answer[], more: Partial<Packet> = {}): Buffer {
  return encode({ type: 'response', id: 7, questions: [{ type: 'SRV', name }], answers: [...answers], ...more })
}

test('the question is one for SRV, with room for the answer', () => {
  const { id, type, questions, additionals, flags } = decode(encodeQuestion(`${name}.`, 0xabcd))
  assert.deepEqual([id, type, flags], [0xabcd, 'query', 0x100])
  assert.deepEqual(questions, [{ type: 'SRV', class: 'IN', name }])
  assert.deepEqual(
    additionals?.map((row) => [row.type, 'udpPayloadSize' in row && row.udpPayloadSize]),
    [['OPT', 1_232]],
  )
})

test('the shortest counts, also of a name that leads to another one', () => {
  assert.equal(readTtl(answer([srv(60)])), 60)
  assert.equal(readTtl(answer([srv(60), srv(0), srv(2 ** 32 - 1)])), 0)
  assert.equal(readTtl(answer([{ type: 'CNAME', name, ttl: 5, data: 'b.test' }, srv(60, 'b.test')])), 5)
  // What stands elsewhere in the message: names are pointers then.
  const packed = Buffer.concat([answer([]), Buffer.from('c00c002100010000000900080001000100010161', 'hex')])
  packed.writeUInt16BE(1, 6)
  assert.equal(readTtl(packed), 9)
})

test('an answer without SRV records, with an error or cut off has none', () => {
  assert.equal(readTtl(answer([])), undefined)
  assert.equal(readTtl(answer([{ type: 'A', name, ttl: 5, data: '10.0.0.1' }])), undefined)
  assert.equal(readTtl(answer([srv(60)], { flags: 3 })), undefined)
  assert.equal(readTtl(answer([srv(60)], { type: 'query' })), undefined)
  const whole = answer([srv(60), srv(30)])
  const told = Array.from(whole, (_, length) => (length < 12 ? undefined : readTtl(whole.subarray(0, length))))
  // Of each record the time is there before its data is.
  assert.deepEqual([...new Set(told)], [undefined, 60, 30])
})

test('only an answer to the question is one', () => {
  const message = answer([srv(60)])
  assert(isAnswer(message, 7))
  assert(!isAnswer(message, 8))
  assert(!isAnswer(encodeQuestion(name, 7), 7))
  assert(!isAnswer(message.subarray(0, 11), 7))
})

test('octets of whatever kind give a number or none', () => {
  const valid = answer([srv(60), srv(30)])
  const mutated = fc
    .array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { maxLength: 8 })
    .map((changes) => changes.reduce((octets, [at, value]) => (octets.writeUInt8(value, at), octets), Buffer.from(valid)))
  const any = fc.uint8Array({ minLength: 12, maxLength: 600 }).map((octets) => Buffer.from(octets))
  fc.assert(
    fc.property(fc.oneof(mutated, any), (octets) => {
      const seconds = readTtl(octets)
      assert(seconds === undefined || (seconds >= 0 && seconds < 2 ** 32))
    }),
    { numRuns: 1_000 },
  )
})

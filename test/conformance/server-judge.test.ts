/** What a case means for an origin server, and what its client must see. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadCases } from '../../lib/conformance/case-format.ts'
import { toServerOutcomes } from '../../lib/conformance/server-case.ts'
import { judgeServer } from '../../lib/conformance/server-judge.ts'
import { readResponses } from '../../lib/conformance/strict-parser.ts'

const cases = new Map(loadCases().map((one) => [one.id, one]))
const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'
const missing = 'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n'
const bad = 'HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'

function faultsOf(id: string, received: string, isEnded: boolean): string[] {
  const outcomes = toServerOutcomes(cases.get(id)!)
  assert.ok(typeof outcomes !== 'string', id)
  const responses = readResponses(received, [], isEnded)
  return judgeServer(outcomes, { responses, isEnded, settledBy: isEnded ? 'closed' : 'idle' }).map(({ text }) => text)
}

test('a good request may get any answer but a refusal of the message', () => {
  assert.deepEqual(faultsOf('basic/plain-get', ok, false), [])
  assert.deepEqual(faultsOf('basic/plain-get', missing, true), [])
  assert.match(faultsOf('basic/plain-get', bad, true).join(), /refused with 400/)
  assert.match(faultsOf('basic/plain-get', '', true).join(), /0 responses/)
  assert.match(faultsOf('basic/plain-get', ok + ok, false).join(), /2 responses/)
})

test('a bad head has to be refused and the connection closed', () => {
  assert.deepEqual(faultsOf('host/two-different', bad, true), [])
  assert.deepEqual(faultsOf('host/two-different', '', true), [])
  assert.match(faultsOf('host/two-different', ok, false).join(), /accepted with 200/)
  assert.match(faultsOf('host/two-different', bad, false).join(), /left open/)
  assert.match(faultsOf('host/two-different', '', false).join(), /neither a response nor a close/)
})

test('a bad body may be answered early, but nothing behind it may become a request', () => {
  assert.deepEqual(faultsOf('chunk-size/invalid-not-hex', bad, true), [])
  assert.deepEqual(faultsOf('chunk-size/invalid-not-hex', missing, true), [])
  assert.match(faultsOf('chunk-size/invalid-not-hex', missing, false).join(), /left open/)
  assert.match(faultsOf('chunk-size/invalid-not-hex', ok + ok, true).join(), /another request/)
})

test('what needs an origin or a next hop says nothing about a server, and most other requests do', () => {
  const reasons = [...cases.values()].map((one) => [one, toServerOutcomes(one)] as const)
  const leftOut = reasons.filter(([, outcomes]) => typeof outcomes === 'string')
  for (const [{ direction, id }, why] of leftOut) {
    if (direction === 'response') assert.equal(why, 'the response of an origin is the subject', id)
  }
  const requests = reasons.filter(([{ direction }]) => direction === 'request')
  const judged = requests.filter(([, outcomes]) => typeof outcomes !== 'string')
  assert.ok(judged.length > requests.length * 0.9, `${judged.length} of ${requests.length}`)
  for (const [{ id, group }] of judged) assert.ok(!['hop-by-hop', 'via-forwarded', 'upgrade'].includes(group), id)
})

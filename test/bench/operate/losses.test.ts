/** Which requests a proxy could have saved. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Sent } from '../../../bench/operate/load.ts'
import { judgeStretch, markOf, type LoggedExchange } from '../../../bench/operate/losses.ts'

test('a request with its right answer is not lost, and its time counts from when it was due', () => {
  const stretch = judgeStretch([sentOf({ dueAt: 100, doneAt: 103 }), sentOf({ check: 'b', dueAt: 100, doneAt: 150 })], new Map())
  assert.deepEqual([stretch.requests, stretch.losses, stretch.savableLost], [2, [], 0])
  assert.deepEqual([stretch.p50Ms, stretch.p99Ms, stretch.maxMs], [50, 50, 50])
})

test('one that was refused, cut before its answer began, or answered wrongly could have been saved', () => {
  for (const loss of ['status 503', 'ECONNRESET', 'an answer that is not its own'])
    assert.equal(judgeStretch([sentOf({ loss })], new Map()).savableLost, 1, loss)
})

test('one whose answer had begun could not', () => {
  const { losses, savableLost } = judgeStretch([sentOf({ loss: 'cut: ECONNRESET', hadBegun: true })], new Map())
  assert.equal(savableLost, 0)
  assert.equal(losses[0]?.excuse, 'its answer had begun')
})

test('a POST could not when a server had it, and could when none had', () => {
  const post = sentOf({ method: 'POST', loss: 'status 502' })
  assert.equal(judgeStretch([post], linesOf({ t_upstream: 0.3 })).savableLost, 0)
  assert.equal(judgeStretch([post], linesOf({ t_upstream: -1 })).savableLost, 1)
  // Without a line nobody knows, and nobody is excused.
  assert.equal(judgeStretch([post], new Map()).savableLost, 1)
  assert.equal(judgeStretch([sentOf({ loss: 'status 502' })], linesOf({ t_upstream: 0.3 })).savableLost, 1)
})

test('requests that another server answered are counted', () => {
  assert.equal(judgeStretch([sentOf({})], linesOf({ retries: 1 })).retried, 1)
})

test('the mark of a request is found in its target, and in no other', () => {
  assert.equal(markOf('/api/items?check=1a2b-17'), '1a2b-17')
  assert.equal(markOf('/added'), '')
  assert.equal(markOf('/?check='), '')
})

function sentOf(given: Partial<Sent>): Sent {
  return { check: 'a', method: 'GET', dueAt: 0, doneAt: 1, loss: '', hadBegun: false, ...given }
}

function linesOf(given: Partial<LoggedExchange>): ReadonlyMap<string, LoggedExchange> {
  return new Map([['a', { target: '/?check=a', status: 502, term: 'SH', t_upstream: -1, ...given }]])
}

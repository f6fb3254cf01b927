/** The fold over both halves: all cases. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settle } from '../../lib/exchange/settle.ts'

test('what becomes of both connections follows from the two halves', () => {
  const table = [
    ['open', 'open', true, 'wait', 'wait'],
    ['open', 'open', false, 'wait', 'wait'],
    ['complete', 'open', true, 'wait', 'wait'],
    ['complete', 'open', false, 'wait', 'wait'],
    ['complete', 'complete', true, 'next', 'release'],
    ['complete', 'complete', false, 'close', 'release'],
    ['open', 'complete', true, 'discard', 'terminate'],
    ['open', 'complete', false, 'close', 'terminate'],
  ] as const
  for (const [request, response, persists, client, upstream] of table) {
    assert.deepEqual({ ...settle(request, response, persists) }, { client, upstream }, `${request}, ${response}, ${persists}`)
  }
})

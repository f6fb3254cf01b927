/** The rule of a route for what is sent again, and the one that holds where none is configured. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeRetry, plainRetry } from '../../lib/policy/retry.ts'
import { anyRetry } from '../support/service.ts'

test('without a rule only connecting is tried again, and nothing is kept for it', () => {
  const { servers, onConnect, onClosed, onTimeout, statuses, keepsRequest } = plainRetry(3)
  assert.deepEqual(
    { servers, onConnect, onClosed, onTimeout, statuses, keepsRequest },
    {
      servers: 3,
      onConnect: true,
      onClosed: false,
      onTimeout: false,
      statuses: undefined,
      keepsRequest: false,
    },
  )
})

test('a rule says what it lists and nothing else', () => {
  const rule = makeRetry({ ...anyRetry, attempts: 2, on: ['closed', 503, 502] })
  assert.equal(rule.servers, 3)
  assert.deepEqual([rule.onConnect, rule.onClosed, rule.onTimeout], [false, true, false])
  assert.deepEqual([...rule.statuses!], [503, 502])
  assert.ok(rule.keepsRequest)
})

test('a request is not kept where nothing of it could be sent again', () => {
  assert.equal(makeRetry({ ...anyRetry, on: ['connect'] }).keepsRequest, false)
  assert.equal(makeRetry({ ...anyRetry, attempts: 0 }).keepsRequest, false)
})

for (const status of [200, 101, 399, 600, 503.5, NaN]) {
  test(`${status} is no status to try again for`, () => {
    assert.throws(() => makeRetry({ ...anyRetry, on: [status] }), { code: 'ERR_EPROXY_OPTION' })
  })
}

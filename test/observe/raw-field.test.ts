/** A field of a head as it came. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rawFieldValue } from '../../lib/observe/raw-field.ts'

const head =
  'GET /user-agent:x HTTP/1.1\r\nHost: a\r\nX-User-Agent: no\r\nUSER-agent:\t curl/8 \u00a0\r\nReferer:\r\nuser-agent: second\r\nX:user-agent: third\r\n\r\n'

test('is found whatever its case, without the blanks around it, and the first one counts', () => {
  assert.equal(rawFieldValue(head, 'user-agent'), 'curl/8 \u00a0')
  assert.equal(rawFieldValue(head, 'host'), 'a')
  assert.equal(rawFieldValue(head, 'x'), 'user-agent: third')
})

test('is empty when it is, when there is none, and when there is no head', () => {
  assert.equal(rawFieldValue(head, 'referer'), '')
  assert.equal(rawFieldValue(head, 'cookie'), '')
  assert.equal(rawFieldValue('', 'host'), '')
  assert.equal(rawFieldValue('GET / HTTP/1.1\r\n\r\n', 'host'), '')
})

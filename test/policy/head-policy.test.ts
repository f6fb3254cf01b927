/** What a route changes in heads, and that what is kept of a client is never told of another one. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { addressOf } from '../../lib/net/stream-handle.ts'
import { readClient, TrustedPeers } from '../../lib/policy/client.ts'
import { ClientMemo, makeHeadPolicy, type HeadPolicy } from '../../lib/policy/head-policy.ts'
import { parseRequestHead } from '../support/parsed-head.ts'

const policyOf = (name: string): HeadPolicy =>
  makeHeadPolicy({
    forwarded: 'both',
    listener: undefined,
    route: { name, requestHeaders: { remove: [], set: { 'X-Route': name }, add: {} }, responseHeaders: noEdits },
    group: 'app',
    host: 'preserve',
  })!
const noEdits = { remove: [], set: {}, add: {} }

function addedFor(
  policy: HeadPolicy,
  lines: string,
  memo: ClientMemo,
  remote = '192.0.2.7:5000',
  trusted: TrustedPeers | null = null,
): string {
  const head = parseRequestHead(`GET / HTTP/1.1\r\n${lines}\r\n`)
  const client = readClient(head, { remote, remoteAddress: addressOf(remote) }, 'both', trusted)
  return policy.changesFor(head, client, '', memo).added
}

test('what is kept of a client is what would be written anew, whatever its requests are for, in any order', () => {
  const memo = new ClientMemo()
  const [first, second] = [policyOf('first'), policyOf('second')]
  const asks = ['Host: a.test\r\n', 'Host: a.test:8080\r\n', 'Host: b.test\r\nX-Forwarded-For: 6.6.6.6\r\n', 'Host: A.test\r\n']
  for (const policy of [first, first, second, first])
    for (const lines of [...asks, ...asks.toReversed()])
      assert.equal(addedFor(policy, lines, memo), addedFor(policy, lines, new ClientMemo()), lines)
})

test('of the clients behind a trusted proxy nothing is kept', () => {
  const memo = new ClientMemo()
  const policy = policyOf('first')
  const trusted = new TrustedPeers(['10.0.0.0/8'])
  const told = (forwardedFor: string): string =>
    /X-Forwarded-For: ([^\r]*)/.exec(
      addedFor(policy, `Host: a.test\r\nX-Forwarded-For: ${forwardedFor}\r\n`, memo, '10.0.0.1:5000', trusted),
    )![1]!
  assert.equal(told('192.0.2.1'), '192.0.2.1, 10.0.0.1')
  assert.equal(told('192.0.2.2'), '192.0.2.2, 10.0.0.1')
  assert.equal(memo.writer, null)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findEndpoint } from '../../lib/admin/endpoints.ts'

test('a page is found by its method and path', () => {
  assert.deepEqual(findEndpoint('GET', '/metrics'), { kind: 'found', match: { name: 'metrics', words: [] } })
  assert.deepEqual(findEndpoint('HEAD', '/metrics'), { kind: 'found', match: { name: 'metrics', words: [] } })
  assert.deepEqual(findEndpoint('GET', '/'), { kind: 'found', match: { name: 'page', words: [] } })
})

test('the name of a server may need an encoding', () => {
  assert.deepEqual(findEndpoint('POST', '/servers/shop/10.0.0.1:80/drain'), {
    kind: 'found',
    match: { name: 'drainServer', words: ['shop', '10.0.0.1:80'] },
  })
  assert.deepEqual(findEndpoint('POST', '/servers/default/unix%3A%2Frun%2Fapp.sock/enable'), {
    kind: 'found',
    match: { name: 'enableServer', words: ['default', 'unix:/run/app.sock'] },
  })
})

test('a change by GET is no change: whoever is made to follow a link changes nothing', () => {
  for (const path of ['/reload', '/drain', '/log-level', '/servers/a/b/disable'])
    assert.deepEqual(findEndpoint('GET', path), { kind: 'wrong-method', allow: 'POST' })
  assert.deepEqual(findEndpoint('POST', '/metrics'), { kind: 'wrong-method', allow: 'GET, HEAD' })
})

test('what is no page is missing', () => {
  for (const path of [
    '',
    'metrics',
    '/metrics/',
    '//metrics',
    '/../metrics',
    '/servers/a/b',
    '/servers//b/enable',
    '/servers/%/b/enable',
    '/constructor',
  ])
    assert.deepEqual(findEndpoint('GET', path), { kind: 'missing' }, path)
})

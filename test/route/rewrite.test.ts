/** What becomes of a target whose prefix is replaced. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RouteMatch } from '../../lib/core/service-options.ts'
import { PathRewrite } from '../../lib/route/rewrite.ts'
import { parseRequestHead } from '../support/parsed-head.ts'

function rewrite(matched: RouteMatch['path'], prefix: string, target: string, method = 'GET'): string {
  return new PathRewrite(matched, prefix).apply(parseRequestHead(`${method} ${target} HTTP/1.1\r\nHost: a.test\r\n\r\n`))
}

test('a prefix becomes another, with one "/" between it and the rest, whoever wrote one', () => {
  for (const matched of ['/api', '/api/']) {
    for (const prefix of ['/v1', '/v1/']) assert.equal(rewrite({ prefix: matched }, prefix, '/api/x?y=/api/x'), '/v1/x?y=/api/x')
    assert.equal(rewrite({ prefix: matched }, '/', '/api/x/'), '/x/')
  }
  assert.equal(rewrite({ prefix: '/api' }, '/v1', '/api'), '/v1')
  assert.equal(rewrite({ prefix: '/api' }, '/v1/', '/api'), '/v1/')
  assert.equal(rewrite({ prefix: '/api' }, '/', '/api?x'), '/?x')
  assert.equal(rewrite({ prefix: '/' }, '/v1', '/x'), '/v1/x')
  assert.equal(rewrite({ prefix: '/' }, '/v1', 'http://a.test?x'), '/v1?x')
  assert.equal(rewrite(undefined, '/v1', '/x'), '/v1/x')
})

test('an exact path is replaced as a whole', () => {
  assert.equal(rewrite({ exact: '/a' }, '/b/c', '/a?x'), '/b/c?x')
  assert.equal(rewrite({ exact: '/a' }, '/b/c', '/%61'), '/b/c')
})

test('what is left is of the normal form: nothing climbs out of the new prefix', () => {
  assert.equal(rewrite({ prefix: '/a' }, '/b', '/a/c/../../a/d//e/%7e%2f'), '/b/d/e/~%2F')
  assert.equal(rewrite({ prefix: '/' }, '/b', '/../../c'), '/b/c')
})

test('the target "*" is no path', () => {
  assert.equal(rewrite(undefined, '/v1', '*', 'OPTIONS'), '*')
  assert.equal(rewrite(undefined, '/v1', 'http://a.test', 'OPTIONS'), '*')
})

test('a pattern has no prefix, and a prefix is a path', () => {
  assert.throws(() => rewrite({ pattern: '/a.*' }, '/b', '/a'), { code: 'ERR_EPROXY_OPTION', message: /a pattern has no prefix/ })
  for (const prefix of ['', 'b', '//b', '/b/..', '/b?c', '/b;c']) {
    assert.throws(() => rewrite({ prefix: '/a' }, prefix, '/a'), { code: 'ERR_EPROXY_OPTION' }, prefix)
  }
})

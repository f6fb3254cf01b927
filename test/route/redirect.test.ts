/** Where redirects lead, and that no client chooses the host. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RedirectTemplate } from '../../lib/route/redirect.ts'
import { parseRequestHead } from '../support/parsed-head.ts'

function fill(location: string, target: string, host = 'a.test:8080'): string {
  return new RedirectTemplate(location).fill(parseRequestHead(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`))
}

test('host, path and query are filled in', () => {
  assert.equal(fill('https://{host}{path}{query}', '/x/y?z=1'), 'https://a.test/x/y?z=1')
  assert.equal(fill('https://{host}:8443{path}', '/x?y'), 'https://a.test:8443/x')
  assert.equal(fill('https://www.a.test{path}{query}', '/x'), 'https://www.a.test/x')
  assert.equal(fill('/login?next={path}', '/x'), '/login?next=/x')
  assert.equal(fill('/new/{path}', '/x'), '/new/x')
  assert.equal(fill('{path}/', '/x'), '/x/')
  assert.equal(fill('/fixed', '/x?y'), '/fixed')
  assert.equal(fill('https://{host}{path}', 'http://b.test'), 'https://b.test/')
})

test('a template that would let a client choose the host is refused, and so is what is no location', () => {
  const refusals: readonly (readonly [string, RegExp])[] = [
    ['//{host}', /another host/],
    ['//evil.test', /another host/],
    ['/\\evil.test', /another host/],
    ['{query}', /begins with/],
    ['evil.test', /begins with/],
    ['javascript:alert(1)', /begins with/],
    ['https://{path}', /stands a host/],
    ['https:///x', /stands a host/],
    ['https://{host}.evil.test/', /stands a host/],
    ['https://a.test{host}/', /stands a host/],
    ['https://a@{host}/', /stands a host/],
    ['https://a.test:{host}/', /stands a host/],
    ['https://user@a.test/', /stands a host/],
    ['/a{user}', /\{user\} is not known/],
    ['/a{path', /\{path is not known/],
    ['/a}', /\} is not known/],
    ['', /visible ASCII/],
    ['/a b', /visible ASCII/],
    ['/a\r\nSet-Cookie: b', /visible ASCII/],
    ['/caf\u00e9', /visible ASCII/],
  ]
  for (const [location, message] of refusals) {
    assert.throws(() => new RedirectTemplate(location), { code: 'ERR_EPROXY_OPTION', message }, location)
  }
})

test('whatever the path is, the redirect stays with the host that the template means', () => {
  const piece = fc.constantFrom('/', '//', '\\', '%5c', '..', '.', '@', ':', 'evil.test', '%2f', ';', '%0d%0a', 'https:', '[')
  const path = fc.array(piece, { maxLength: 6 }).map((pieces) => `/${pieces.join('').replace(/\\/g, '')}`)
  const templates = [
    '{path}{query}',
    '/{path}',
    'https://home.test{path}',
    'https://home.test/{path}',
    '{path}{path}',
    '{path}/{path}{query}',
  ]
  fc.assert(
    fc.property(path, fc.constantFrom(...templates), (target, template) => {
      const location = fill(template, target)
      assert.match(location, /^[\x21-\x7e]+$/)
      assert.equal(new URL(location, 'https://home.test').host, 'home.test', `${template} with ${target} leads to ${location}`)
    }),
  )
})

test('a request without a host cannot be led to its host', () => {
  const template = new RedirectTemplate('https://{host}{path}')
  assert.throws(() => template.fill(parseRequestHead('GET / HTTP/1.0\r\n\r\n')), {
    rule: 'H1-HOST-MISSING',
    message: /in 1\.0 for a redirect to the same host/,
  })
  assert.throws(() => template.fill(parseRequestHead(`GET / HTTP/1.1\r\nHost: ${'a'.repeat(300)}\r\n\r\n`)), { rule: 'H1-HOST-INVALID' })
})

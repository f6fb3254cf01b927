/** Which route a request takes: the stated order by hand, and a naive reader of that order against the compiled one. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { RequestHead } from '../../native-free-parser/index.ts'
import type { RouteMatch, ValueMatch } from '../../lib/core/service-options.ts'
import { Router } from '../../lib/route/router.ts'
import { parseRequestHead } from '../support/parsed-head.ts'

function match(parts: Partial<RouteMatch> = {}): RouteMatch {
  return { hosts: [], methods: [], headers: {}, ...parts }
}

/** Routes are their own names. */
function makeRouter(
  rows: Readonly<Record<string, Partial<RouteMatch>>>,
): (method: string, target: string, host?: string, fields?: string) => string {
  const router = new Router(Object.entries(rows).map(([name, parts]) => ({ name, match: match(parts), route: name })))
  return (method, target, host = 'a.test', fields = '') => router.find(request(method, target, host, fields)) ?? 'none'
}

function request(method: string, target: string, host: string, fields = ''): RequestHead {
  return parseRequestHead(`${method} ${target} HTTP/1.1\r\nHost: ${host}\r\n${fields}\r\n`)
}

test('an exact host goes before wildcards, the longest of those first, and any host comes last', () => {
  const find = makeRouter({
    any: {},
    wide: { hosts: ['*.example.com'] },
    narrow: { hosts: ['*.eu.example.com'] },
    exact: { hosts: ['www.eu.example.com', '[2001:db8::1]', '192.0.2.1'] },
  })
  assert.equal(find('GET', '/', 'www.eu.example.com'), 'exact')
  assert.equal(find('GET', '/', 'WWW.EU.Example.com:8080'), 'exact')
  assert.equal(find('GET', '/', 'www.eu.example.com.'), 'exact')
  assert.equal(find('GET', '/', 'www.eu.example.com.:80'), 'exact')
  assert.equal(find('GET', '/', '[2001:DB8::1]:80'), 'exact')
  assert.equal(find('GET', '/', '[2001:db8::1]'), 'exact')
  assert.equal(find('GET', '/', '192.0.2.1:80'), 'exact')
  assert.equal(find('GET', '/', 'x.eu.example.com'), 'narrow')
  assert.equal(find('GET', '/', 'eu.example.com'), 'wide')
  assert.equal(find('GET', '/', 'a.b.c.example.com'), 'wide')
  assert.equal(find('GET', '/', 'example.com'), 'any', 'a wildcard stands for a label at least')
  assert.equal(find('GET', '/', 'xexample.com'), 'any')
  assert.equal(find('GET', '/', `${'a.'.repeat(2_000)}example.com`), 'any', 'no name is as long as that')
  assert.equal(find('GET', 'http://www.eu.example.com:1/', 'other.test'), 'exact', 'the host of an absolute target counts')
})

test('a host with escapes, which a server may decode to another one, is refused where routes have hosts', () => {
  const find = makeRouter({ any: {}, private: { hosts: ['private.example.com'] } })
  // Decoded it is as short as names are.
  const escaped = '%70%72%69%76%61%74%65%2E'.repeat(11) + 'example.com'
  for (const host of [escaped, 'priv%61te.example.com', '%70rivate.example.com:80', 'private%2eexample.com', 'other%2Dname.example.com']) {
    assert.throws(() => find('GET', '/', host), { rule: 'H1-HOST-INVALID' }, host)
    assert.throws(() => find('GET', `http://${host}/`, 'other.test'), { rule: 'H1-HOST-INVALID' }, host)
  }
  assert.equal(makeRouter({ any: {} })('GET', '/', 'priv%61te.example.com'), 'any')
})

test('a route without the host of the request is not taken, and where the best host has no fitting path the next one is asked', () => {
  const find = makeRouter({ a: { hosts: ['a.test'], path: { prefix: '/a' } }, b: { hosts: ['*.test'], path: { prefix: '/b' } } })
  assert.equal(find('GET', '/a'), 'a')
  assert.equal(find('GET', '/b'), 'b')
  assert.equal(find('GET', '/c'), 'none')
  assert.equal(find('GET', '/a', 'x.test'), 'none')
})

test('an exact path goes before the longest prefix, prefixes before patterns in the order of the file, those before any path', () => {
  const find = makeRouter({
    any: {},
    second: { path: { pattern: '/x.*' } },
    third: { path: { pattern: '/xy.*' } },
    short: { path: { prefix: '/a' } },
    long: { path: { prefix: '/a/b' } },
    below: { path: { prefix: '/a/b/' } },
    exact: { path: { exact: '/a/b/c' } },
  })
  assert.equal(find('GET', '/a/b/c'), 'exact')
  assert.equal(find('GET', '/a/b/c?q=/../x'), 'exact')
  assert.equal(find('GET', '/a/b/c/'), 'below')
  assert.equal(find('GET', '/a/b/'), 'below')
  assert.equal(find('GET', '/a/b'), 'long')
  assert.equal(find('GET', '/a/bc'), 'short', 'a prefix ends at the border of a segment')
  assert.equal(find('GET', '/a'), 'short')
  assert.equal(find('GET', '/ab'), 'any')
  assert.equal(find('GET', '/xyz'), 'second')
  assert.equal(find('GET', '/A'), 'any', 'case counts')
  assert.equal(find('OPTIONS', '*'), 'any')
  assert.equal(find('GET', 'http://a.test'), 'any')
  assert.equal(
    makeRouter({ root: { path: { exact: '/' } } })('GET', 'http://a.test'),
    'root',
    'an absolute target without a path means "/"',
  )
  assert.equal(makeRouter({ root: { path: { prefix: '/' } } })('OPTIONS', '*'), 'none', 'an asterisk is no path')
})

test('more conditions go before fewer, then the order of the file; a route whose conditions do not hold gives way', () => {
  const find = makeRouter({
    read: { path: { prefix: '/api' }, methods: ['GET', 'HEAD'] },
    beta: { path: { prefix: '/api' }, methods: ['GET'], headers: { 'X-Beta': { exact: '1' } } },
    twice: { path: { prefix: '/api' }, methods: ['GET'] },
    deep: { path: { prefix: '/api/deep' }, methods: ['POST'] },
    rest: { path: { prefix: '/' } },
  })
  assert.equal(find('GET', '/api', 'a.test', 'x-beta: 1\r\n'), 'beta')
  assert.equal(find('GET', '/api', 'a.test', 'x-beta: 1\r\nx-beta: 2\r\n'), 'read', 'several fields are one list')
  assert.equal(find('GET', '/api'), 'read')
  assert.equal(find('POST', '/api'), 'rest')
  assert.equal(find('POST', '/api/deep'), 'deep')
  assert.equal(find('GET', '/api/deep'), 'read', 'the next shorter prefix')
})

test('a field is compared whole, by its beginning, by a pattern, or for being there', () => {
  const take = (condition: ValueMatch, fields: string): boolean =>
    makeRouter({ yes: { headers: { 'x-f': condition } } })('GET', '/', 'a.test', fields) === 'yes'
  assert(take({ exact: 'v' }, 'X-F:  v \r\n'))
  assert(!take({ exact: 'v' }, 'X-F: V\r\n'))
  assert(take({ prefix: 'v' }, 'X-F: value\r\n'))
  assert(!take({ prefix: 'v' }, 'X-G: value\r\n'))
  assert(take({ pattern: '[a-z]+' }, 'X-F: value\r\n'))
  assert(!take({ pattern: '[a-z]+' }, 'X-F: value1\r\n'))
  assert(take({ present: true }, 'X-F:\r\n'))
  assert(!take({ present: true }, ''))
  assert(take({ present: false }, ''))
  assert(!take({ present: false }, 'x-f: 1\r\n'))
})

test('a path that is read in several ways is refused exactly where they lead to different routes', () => {
  const find = makeRouter({ admin: { path: { prefix: '/admin' } }, files: { path: { prefix: '/files' } }, rest: {} })
  const ambiguous = [
    '//admin',
    '/files/../admin',
    '/admin/../files',
    '/files/%2e%2e/admin',
    '/files%2f..%2fadmin',
    '/files/..%2fadmin',
    '/files/..;/admin',
    '/files/..%3bx/admin',
    '/files%5c..%5cadmin',
    '/files/a%5cb%2f..%2f..%2fadmin',
    '/files%252f..%252fadmin',
    '/admin;x',
    '/admin%2fx',
    '/admin%3fx',
    '/admin%23',
    '/x//../admin',
    '/admin/..//admin',
    '/admin%00',
    '/x%00',
  ]
  for (const target of ambiguous) {
    assert.throws(() => find('GET', target), { rule: 'H1-PATH-AMBIGUOUS', status: 400, offset: 4 }, target)
  }
  for (const target of [
    '/admin',
    '/%61dmin',
    '/admin/',
    '/admin//x',
    '/admin/./x',
    '/admin/a%2fb',
    '/admin/x;y=1',
    '/admin/a/../b',
    '/admin/100%25',
  ]) {
    assert.equal(find('GET', target), 'admin', target)
  }
  assert.equal(find('GET', '/x//y/../z%2F%5C;v'), 'rest')
  assert.equal(find('GET', '/projects/group%2Fproject'), 'rest')
})

test('where no route has a path, no path is looked at', () => {
  assert.equal(makeRouter({ all: {} })('GET', '//a/../b%00'), 'all')
})

test('what cannot be a route is refused with its name', () => {
  const refusals: readonly (readonly [Partial<RouteMatch>, RegExp])[] = [
    [{ hosts: ['a.*.test'] }, /route bad: "a\.\*\.test" is not the host of a route/],
    [{ hosts: ['*'] }, /for any host leave hosts out/],
    [{ hosts: ['a.test:80'] }, /leave the port out/],
    [{ hosts: ['[::1]:80'] }, /leave the port out/],
    [{ hosts: ['a b'] }, /is not the host/],
    [{ hosts: [''] }, /is not the host/],
    [{ hosts: ['*.'] }, /is not the host/],
    [{ hosts: ['a..b'] }, /is not the host/],
    [{ hosts: ['*.[::1]'] }, /no wildcard/],
    [{ path: { exact: 'a' } }, /begins with "\/"/],
    [{ path: { pattern: '(' } }, /nothing closes/],
    [{ headers: { 'a b': { present: true } } }, /not the name of a field/],
    [{ headers: { a: { pattern: '[' } } }, /nothing closes/],
  ]
  for (const [parts, message] of refusals)
    assert.throws(() => makeRouter({ bad: parts }), { code: 'ERR_EPROXY_OPTION', message }, String(message))
  assert.equal(makeRouter({ a: { hosts: ['B\u00dcCHER.example'] } })('GET', '/', 'xn--bcher-kva.example'), 'a')
})

test('finds what a naive reader of the same order finds', () => {
  const host = fc.constantFrom('a.test', 'b.a.test', 'c.b.a.test', 'test', '*.a.test', '*.test', '*.b.a.test')
  const path = fc
    .array(fc.constantFrom('a', 'b', 'ab', ''), { maxLength: 4 })
    .map((segments) => `/${segments.join('/')}`.replace(/\/{2,}/g, '/'))
  const routePath = fc.oneof(
    path.map((exact) => ({ exact })),
    path.map((prefix) => ({ prefix })),
    fc.constantFrom('/a.*', '/.*b', '/[ab]/.*').map((pattern) => ({ pattern })),
    fc.constant(undefined),
  )
  const routes = fc.array(
    fc.record({
      hosts: fc.array(host, { maxLength: 2 }),
      path: routePath,
      methods: fc.subarray(['GET', 'POST']),
      headers: fc.subarray(['x', 'y']).map((names) => Object.fromEntries(names.map((name) => [name, { exact: '1' }]))),
    }),
    { maxLength: 12 },
  )
  const asked = fc.record({
    host: fc.constantFrom('a.test', 'B.a.test', 'c.b.a.test:80', 'd.c.b.a.test.', 'test', 'other'),
    path,
    method: fc.constantFrom('GET', 'POST', 'PUT'),
    fields: fc.subarray(['x', 'y', 'z']),
  })
  fc.assert(
    fc.property(routes, fc.array(asked, { minLength: 1, maxLength: 8 }), (rows, requests) => {
      const matches = rows.map(({ path: own, ...rest }): RouteMatch => (own === undefined ? rest : { ...rest, path: own }))
      const router = new Router(matches.map((one, index) => ({ name: String(index), match: one, route: index })))
      for (const one of requests) {
        const head = request(one.method, one.path, one.host, one.fields.map((name) => `${name}: 1\r\n`).join(''))
        assert.equal(router.find(head), findNaively(matches, one), JSON.stringify(one))
      }
    }),
    { numRuns: 500 },
  )
})

interface Asked {
  readonly host: string
  readonly path: string
  readonly method: string
  readonly fields: readonly string[]
}

/** All that match, sorted as the order is stated; of the first its number. */
function findNaively(matches: readonly RouteMatch[], { host, path, method, fields }: Asked): number | undefined {
  const name = host.toLowerCase().replace(/:.*/, '').replace(/\.$/, '')
  const hostRank = (pattern: string): number => {
    if (!pattern.startsWith('*')) return pattern === name ? 1_000 : -1
    return name.endsWith(pattern.slice(1)) ? pattern.length : -1
  }
  const pathRank = (own: RouteMatch['path']): number => {
    if (own === undefined) return 0
    if ('exact' in own) return own.exact === path ? 1_000 : -1
    if ('pattern' in own) return new RegExp(`^(?:${own.pattern})$`).test(path) ? 1 : -1
    const isIn = own.prefix.endsWith('/') ? path.startsWith(own.prefix) : path === own.prefix || path.startsWith(`${own.prefix}/`)
    return isIn ? 1 + own.prefix.length : -1
  }
  const ranked = matches.map((one, index) => {
    const conditions = Object.keys(one.headers).length + Math.min(one.methods.length, 1)
    return {
      index,
      host: one.hosts.length === 0 ? 0 : Math.max(...one.hosts.map(hostRank)),
      path: pathRank(one.path),
      conditions: one.path !== undefined && 'pattern' in one.path ? 0 : conditions,
      holds:
        (one.methods.length === 0 || one.methods.includes(method)) && Object.keys(one.headers).every((field) => fields.includes(field)),
    }
  })
  const fitting = ranked.filter((one) => one.holds && one.host >= 0 && one.path >= 0)
  fitting.sort((a, b) => b.host - a.host || b.path - a.path || b.conditions - a.conditions || a.index - b.index)
  return fitting[0]?.index
}

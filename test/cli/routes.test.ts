/** `eproxy-raw routes`: the list in its order, and the way of one request. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { test } from 'node:test'
import { describeRoutes } from '../../lib/cli/routes.ts'
import { readRoutesCommand } from '../../lib/cli/routes-flags.ts'
import { paintAnsi, paintNothing } from '../../lib/conformance/paint.ts'
import type { ServiceOptions } from '../../lib/core/service-options.ts'
import { runToEnd } from '../support/running-command.ts'
import { TemporaryFolder } from '../support/temporary-folder.ts'
import { anyRequest, groupOf, listener, routeTo, serviceOf } from '../support/service.ts'

const service = serviceOf(
  { app: groupOf(['127.0.0.1:1']), api: groupOf(['127.0.0.1:2']) },
  routeTo('app', { name: 'site' }),
  routeTo('api', { name: 'api', match: { ...anyRequest, hosts: ['*.example.com'], path: { prefix: '/api' } }, rewrite: { prefix: '/v1' } }),
  routeTo('api', {
    name: 'beta',
    match: { ...anyRequest, path: { prefix: '/api' }, methods: ['GET', 'HEAD'], headers: { 'X-Beta': { exact: '1' } } },
  }),
  routeTo('app', { name: 'users', match: { ...anyRequest, path: { pattern: '/users/[0-9]+' } }, deny: ['10.0.0.0/8'] }),
  routeTo('app', {
    name: 'old',
    match: { ...anyRequest, path: { exact: '/old' } },
    action: { kind: 'redirect', status: 301, location: '/new{query}' },
  }),
)

async function ask(asked: string, fields: readonly string[] = [], of: ServiceOptions = service): Promise<string> {
  const command = await readRoutesCommand(['--config', 'file', '--explain', asked, ...fields.flatMap((field) => ['-H', field])], 100)
  assert(command.kind === 'routes')
  return describeRoutes(of, command, paintNothing)
}

test('routes are listed in the order in which they are tried', () => {
  assert.equal(
    describeRoutes(service, { request: undefined, isJson: false }, paintNothing),
    [
      '   route  host           path                   conditions           leads to',
      '1  api    *.example.com  prefix /api                                 upstream api, rewritten to /v1',
      '2  old    any            exact /old                                  301 to /new{query}',
      '3  beta   any            prefix /api            GET,HEAD x-beta="1"  upstream api',
      '4  users  any            pattern /users/[0-9]+                       upstream app, not for every address',
      '5  site   any            any                                         upstream app',
      '',
    ].join('\n'),
  )
  const painted = describeRoutes(service, { request: undefined, isJson: false }, paintAnsi)
  assert.equal(painted.replaceAll(/\u001b\[\d+m/g, ''), describeRoutes(service, { request: undefined, isJson: false }, paintNothing))
  const [set] = JSON.parse(describeRoutes(service, { request: undefined, isJson: true }, paintNothing)) as {
    listeners: string[]
    routes: { name: string }[]
  }[]
  assert.deepEqual(set?.listeners, [listener.address])
  assert.deepEqual(
    set?.routes.map(({ name }) => name),
    ['api', 'old', 'beta', 'users', 'site'],
  )
})

test('the way of a request names every route before the one that takes it, and what becomes of it there', async () => {
  assert.equal(
    await ask('POST http://shop.example.org:8080/users/17?x=1'),
    [
      'POST /users/17?x=1',
      'host shop.example.org, path /users/17',
      '',
      '- 1  api    the host is not below example.com',
      '- 2  old    the path is not /old',
      '- 3  beta   the path is not /api or below it',
      '+ 4  users  to upstream app as POST /users/17?x=1',
      '',
    ].join('\n'),
  )
  assert.match(await ask('http://a.example.com/api/%41?q'), /^\+ 1 {2}api {2}to upstream api as GET \/v1\/A\?q$/m)
  assert.match(await ask('GET http://a.test/api', ['X-Beta: 2']), /^- 3 {2}beta {3}the field x-beta is "2", not "1"$/m)
  assert.match(await ask('DELETE http://a.test/api', ['X-Beta: 1']), /the method is DELETE, not GET or HEAD/)
  assert.match(await ask('GET http://a.test/api', ['X-Beta: 1']), /^\+ 3 {2}beta {2}to upstream api/m)
  assert.match(await ask('GET /old?a', ['Host: a.test']), /^\+ 2 {2}old {2}301 to \/new\?a$/m)
  assert.match(await ask('OPTIONS *', ['Host: a.test']), /^- 4 {2}users {2}\* is no path$/m)
})

test('a path that is refused is shown with its readings, and a request that no route takes with its 404', async () => {
  const text = await ask('GET http://a.test/x/..%2fold')
  assert.match(text, /^H1-PATH-AMBIGUOUS {2}400: a path that servers read/m)
  assert.match(text, /^ {2}\/x\/..%2Fold {2}leads to site$/m)
  assert.match(text, /^ {2}\/old {2}leads to old$/m)
  const few = serviceOf({ app: groupOf(['127.0.0.1:1']) }, routeTo('app', { match: { ...anyRequest, hosts: ['b.test'] } }))
  assert.match(await ask('http://a.test', [], few), /^404: no route matches the request$/m)
})

test('listeners with routes of their own are shown apart', () => {
  const second = { ...listener, address: '127.0.0.1:2', routes: ['site'] }
  const text = describeRoutes(
    { ...service, listeners: [listener, second, { ...second, address: '127.0.0.1:3' }] },
    { request: undefined, isJson: false },
    paintNothing,
  )
  assert.match(text, /^127\.0\.0\.1:0\n\n[^]*^127\.0\.0\.1:2, 127\.0\.0\.1:3\n\n {3}route/m)
})

test('for programs there is JSON', async () => {
  const command = await readRoutesCommand(['--config', 'file', '--explain', 'http://a.test/users/1', '--json'], 100)
  assert(command.kind === 'routes')
  const [found] = JSON.parse(describeRoutes(service, command, paintNothing)) as { route: string; tried: { name: string; why: string }[] }[]
  assert.equal(found?.route, 'users')
  assert.deepEqual(
    found.tried.map(({ name }) => name),
    ['api', 'old', 'beta'],
  )
})

test('what is no request is refused in words', async () => {
  const refusals: readonly (readonly [readonly string[], RegExp])[] = [
    [[], /--config is missing/],
    [['--config', 'f', '--explain', 'nonsense'], /is not a request; write 'GET http/],
    [['--config', 'f', '--explain', '/a'], /needs a host/],
    [['--config', 'f', '-H', 'a: b'], /field of the request of --explain/],
    [['--config', 'f', '--explain', 'http://a/', '-H', 'a'], /is not a field/],
    [['--config', 'f', '--explain', 'http://a/', '-H', 'a: b\r\nc: d'], /is not a field/],
  ]
  for (const [args, message] of refusals)
    await assert.rejects(() => readRoutesCommand(args, 100), { code: 'ERR_EPROXY_OPTION', message }, args.join(' '))
  await assert.rejects(() => ask('GET http://a/<'), { code: 'ERR_EPROXY_OPTION', message: /--explain: H1-TARGET-CHAR/ })
  await assert.rejects(() => ask('GE\u00a0T http://a/'), { code: 'ERR_EPROXY_OPTION', message: /--explain/ })
})

test('the command reads a file, prints to standard output, and says what is wrong with the file', async () => {
  using folder = new TemporaryFolder()
  const file = folder.file('eproxy.yaml')
  fs.writeFileSync(
    file,
    'upstreams: { app: { servers: [127.0.0.1:1] } }\nroutes:\n  - { name: shop, match: { path: /shop }, upstream: app }\n',
  )
  const listed = await runToEnd(['routes', '--config', file])
  assert.deepEqual([listed.code, listed.stderr], [0, ''])
  assert.match(listed.stdout, /^1 {2}shop {3}any {3}prefix \/shop {14}upstream app$/m)
  const asked = await runToEnd(['routes', '--config', file, '--explain', 'http://a.test/shopping'])
  assert.match(asked.stdout, /^- 1 {2}shop {2}the path is not \/shop or below it\n404: no route matches the request\n$/m)
  fs.writeFileSync(file, 'routes: [{ name: shop, match: { path: { pattern: "(a" } }, upstream: app }]\n')
  const wrong = await runToEnd(['routes', '--config', file])
  assert.equal(wrong.code, 2)
  assert.match(wrong.stderr, /nothing closes/)
})

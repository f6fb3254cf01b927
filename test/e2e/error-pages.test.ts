/** Errors of the proxy itself as the operator wants them shown, and what every answer of a listener has with it; those of servers are left alone. */
import assert from 'node:assert/strict'
import test from 'node:test'
import type { ErrorPageOptions, ListenerOptions } from '../../lib/core/service-options.ts'
import { silentLogger, type Logger } from '../../lib/observe/logger.ts'
import { edgeSecurityFields } from '../../lib/policy/security-fields.ts'
import { ProxyUnderTest } from '../support/proxy-under-test.ts'
import { get, withBody, type RawResponse } from '../support/raw-client.ts'
import { RefusingAddress } from '../support/refusing-address.ts'
import { answeringWith, ScriptedOrigin } from '../support/scripted-origin.ts'
import { anyRequest, groupOf, listener, routeTo, serviceFor, serviceOf } from '../support/service.ts'
import { socketAccess } from '../support/socket-access.ts'

function page(body: string, json?: string): ErrorPageOptions {
  return { contentType: 'text/html', body, ...(json !== undefined && { json: { contentType: 'application/json', body: json } }) }
}

const edge: Partial<ListenerOptions> = {
  securityFields: edgeSecurityFields,
  requestId: { name: 'X-Request-Id', accept: 'always' },
  serverField: 'front',
}

function assertEdge(response: RawResponse): string {
  assert.equal(response.field('X-Content-Type-Options'), 'nosniff')
  assert.equal(response.field('X-Frame-Options'), 'SAMEORIGIN')
  assert.equal(response.field('Referrer-Policy'), 'strict-origin-when-cross-origin')
  assert.equal(response.field('Strict-Transport-Security'), '')
  assert.equal(response.field('Server'), 'front')
  const id = response.field('X-Request-Id')
  assert.match(id, /^[0-9a-f]{32}$/)
  return id
}

test('the page of a route goes before that of its listener, in the form that Accept asks for', async (t) => {
  const refusing = await RefusingAddress.hold(t)
  const path = (prefix: string): typeof anyRequest & object => ({ ...anyRequest, path: { prefix } })
  const service = {
    ...serviceOf(
      { dead: groupOf([refusing.address]) },
      routeTo('dead', { name: 'own', match: path('/own'), errorPages: { 502: page('own {status}', '{"code":{status}}') } }),
      routeTo('dead', { name: 'dead', match: path('/dead') }),
    ),
    listeners: [{ ...listener, errorPages: { 404: page('nothing'), '5xx': page('listener {status} {reason}') } }],
  }
  const proxy = await ProxyUnderTest.start(t, { service })
  const client = await proxy.client()
  const own = await client.exchange(get('/own'))
  assert.deepEqual([own.status, own.field('Content-Type'), own.body], [502, 'text/html', 'own 502'])
  assert.equal(own.field('Vary'), 'Accept')
  assert.match(own.field('Proxy-Status'), /error=connection_refused/)
  const json = await client.exchange(get('/own', 'Accept: application/json\r\n'))
  assert.deepEqual([json.status, json.field('Content-Type'), json.body], [502, 'application/json', '{"code":502}'])
  assert.equal(json.field('Vary'), 'Accept')
  assert.equal((await client.exchange(get('/dead'))).body, 'listener 502 Bad Gateway')
  assert.equal((await client.exchange(get('/dead', 'Accept: application/json\r\n'))).field('Content-Type'), 'application/problem+json')
  assert.equal((await client.exchange(get('/'))).body, 'nothing')
  // What HTTP asks of such an answer is as it was.
  const toHead = await client.exchange('HEAD /own HTTP/1.1\r\nHost: test\r\n\r\n')
  assert.equal(toHead.field('Content-Length'), '7')
  const old = await client.exchange('GET /own HTTP/1.0\r\nConnection: keep-alive\r\n\r\n')
  assert.deepEqual([old.body, old.field('Connection')], ['own 502', 'keep-alive'])
  assert.equal((await client.exchange(withBody('POST', 'words', '', '/own'))).body, 'own 502')
  const last = await client.exchange(get('/own', 'Connection: close\r\n'))
  assert.deepEqual([last.body, last.field('Connection')], ['own 502', 'close'])
  assert.equal(await client.closed(), 'fin')
})

test('an error of a server is passed on as it is', async (t) => {
  const origin = await ScriptedOrigin.start(
    t,
    answeringWith((_, connection) => connection.respond(503, 'of the server')),
  )
  const errorPages = { '4xx': page('ours'), '5xx': page('ours') }
  const proxy = await ProxyUnderTest.start(t, { service: serviceFor(origin.address, { listener: { errorPages }, route: { errorPages } }) })
  const client = await proxy.client()
  const response = await client.exchange(get())
  assert.deepEqual([response.status, response.body, response.field('Vary')], [503, 'of the server', ''])
})

test('a fixed answer that is an error and says nothing has the page; one that says something has not', async (t) => {
  const service = (status: number, body: string) =>
    serviceFor('127.0.0.1:1', {
      route: { action: { kind: 'answer', status, contentType: 'text/plain', body }, errorPages: { '4xx': page('shown') } },
    })
  const proxy = await ProxyUnderTest.start(t, { service: service(410, '') })
  const client = await proxy.client()
  assert.equal((await client.exchange(get())).body, 'shown')
  proxy.proxy.reload({ ...socketAccess, service: service(410, 'said') })
  assert.equal((await client.exchange(get())).body, 'said')
  proxy.proxy.reload({ ...socketAccess, service: service(503, '') })
  assert.equal((await client.exchange(get())).body, '503 Service Unavailable\n')
  proxy.proxy.reload({ ...socketAccess, service: service(200, '') })
  assert.equal((await client.exchange(get())).body, '')
})

test('a request that is refused before there is a route is answered as its listener has it, with the id of the log', async (t) => {
  const errorPages = { 400: page('id {request_id}'), 505: page('505') }
  const routePages = { '4xx': page('of the route') }
  const refusals: unknown[] = []
  const logger: Logger = {
    ...silentLogger,
    info: (fields, message) => message === 'request refused' && refusals.push((fields as { id?: unknown }).id),
  }
  const proxy = await ProxyUnderTest.start(t, {
    logger,
    service: serviceFor('127.0.0.1:1', {
      listener: { ...edge, errorPages },
      // A route that changes nothing has no say before it is known.
      route: { securityFields: false, errorPages: routePages, responseHeaders: { remove: [], set: { 'X-Route': 'yes' }, add: {} } },
    }),
  })
  for (const request of [
    'GET / HTTP/1.1\r\nHost: test\r\nX-A : 1\r\n\r\n',
    '\x16\x03\x01\x02\x00\x01',
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\nX-Request-Id: a\r\n\r\n',
  ]) {
    const client = await proxy.client()
    const response = await client.exchange(request)
    const id = assertEdge(response)
    assert.deepEqual([response.status, response.body, response.field('X-Route')], [400, `id ${id}`, ''], request)
    // The field was not read, and nothing depended on it.
    assert.equal(response.field('Vary'), '')
    assert.equal((await proxy.summary()).id, id)
    assert.equal(refusals.pop(), id)
    assert.equal(await client.closed(), 'fin')
  }
  const client = await proxy.client()
  const response = await client.exchange('GET / HTTP/3.0\r\nHost: test\r\n\r\n')
  assertEdge(response)
  assert.deepEqual([response.status, response.body], [505, '505'])
  await client.closed()
})

test('what is refused by a rule of the route is answered as the route has it', async (t) => {
  const proxy = await ProxyUnderTest.start(t, {
    via: 'test',
    service: serviceFor('127.0.0.1:1', {
      listener: { ...edge, errorPages: { 508: page('listener') } },
      route: { errorPages: { 508: page('route') } },
    }),
  })
  const client = await proxy.client()
  const response = await client.exchange(get('/', 'Via: 1.1 test\r\nX-Request-Id: mine\r\n'))
  assert.deepEqual([response.status, response.body, response.field('X-Request-Id')], [508, 'route', 'mine'])
  assert.equal(response.field('X-Content-Type-Options'), 'nosniff')
  await client.closed()
})

test('a path that cannot be routed is answered as the listener has it, and a slow head, too', async (t) => {
  const service = {
    ...serviceOf(
      { a: groupOf(['127.0.0.1:1']), b: groupOf(['127.0.0.1:1']) },
      routeTo('a', { match: { ...anyRequest, path: { prefix: '/a' } } }),
      routeTo('b'),
    ),
    listeners: [{ ...listener, ...edge, errorPages: { 400: page('400 here'), 408: page('408 here') }, timeouts: { requestHead: 50 } }],
  }
  const proxy = await ProxyUnderTest.start(t, { service })
  const client = await proxy.client()
  const response = await client.exchange(get('/x/%2e%2e/a'))
  assertEdge(response)
  assert.deepEqual([response.status, response.body], [400, '400 here'])
  await client.closed()
  const slow = await proxy.client()
  slow.send('GET / HTTP/1.1\r\n')
  const late = await slow.response()
  assertEdge(late)
  assert.deepEqual([late.status, late.body], [408, '408 here'])
  await slow.closed()
})

test('a connection that is one too many is told so with the page and the fields of its listener', async (t) => {
  for (const [status, limits, connectionsPerClient] of [
    [503, { connections: 1 }, 0],
    [429, {}, 1],
  ] as const) {
    const errorPages = { 503: page('503 {request_id}'), 429: page('429 {request_id}') }
    const service = serviceFor('127.0.0.1:1', { listener: { ...edge, errorPages, connectionsPerClient } })
    const proxy = await ProxyUnderTest.start(t, { service, limits })
    const first = await proxy.client()
    // It is counted once it is served.
    assert.equal((await first.exchange(get())).status, 502)
    const client = await proxy.client()
    const response = await client.response()
    const id = assertEdge(response)
    assert.deepEqual([response.status, response.body], [status, `${status} ${id}`])
    assert.equal(response.field('Retry-After'), '1')
    await client.ended()
  }
})

test('a page that is none is refused before anything listens', async (t) => {
  await assert.rejects(
    ProxyUnderTest.start(t, { service: serviceFor('127.0.0.1:1', { route: { errorPages: { 302: page('') } } }) }),
    /route all: errorPages: 302: "302" is no error/,
  )
  await assert.rejects(
    ProxyUnderTest.start(t, { service: serviceFor('127.0.0.1:1', { listener: { errorPages: { '4xx': { contentType: '', body: '' } } } }) }),
    /listener 127\.0\.0\.1:0: errorPages: 4xx: the media type/,
  )
})

/** Routes over sockets: which group a request goes to, with which target, who may use it, and what is answered without any server. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { RouteOptions } from '../../lib/core/service-options.ts'
import { anyRequest, groupOf, routeTo, serviceOf } from '../support/service.ts'
import { ProxyUnderTest } from '../support/proxy-under-test.ts'
import { get, withBody, type RawClient } from '../support/raw-client.ts'
import { answeringWith, ScriptedOrigin } from '../support/scripted-origin.ts'

interface Stage {
  readonly proxy: ProxyUnderTest
  readonly client: RawClient
  /** The targets that group `a` has seen. */
  readonly targetsOfA: () => readonly string[]
}

/** Two origins, groups `a` and `b`, each of which says its name. */
async function start(t: TestContext, ...routes: readonly RouteOptions[]): Promise<Stage> {
  const naming = (name: string): Promise<ScriptedOrigin> =>
    ScriptedOrigin.start(
      t,
      answeringWith((_, connection) => connection.respond(200, name)),
    )
  const a = await naming('a')
  const b = await naming('b')
  const proxy = await ProxyUnderTest.start(t, { service: serviceOf({ a: groupOf([a.address]), b: groupOf([b.address]) }, ...routes) })
  return { proxy, client: await proxy.client(), targetsOfA: () => a.heads.map((head) => head.split(' ')[1] ?? '') }
}

function at(prefix: string): RouteOptions['match'] {
  return { ...anyRequest, path: { prefix } }
}

function answer(status: number, body: string, more: Partial<RouteOptions> = {}): RouteOptions {
  return routeTo('a', { name: `answer-${status}`, action: { kind: 'answer', status, contentType: 'text/html', body }, ...more })
}

function redirect(location: string, match = anyRequest): RouteOptions {
  return routeTo('a', { name: `to-${location}`, match, action: { kind: 'redirect', status: 308, location } })
}

test('host and path choose the group, and the octets of the target arrive as they were sent', async (t) => {
  const { client, targetsOfA } = await start(
    t,
    routeTo('a', { match: { ...at('/api'), hosts: ['a.test'] } }),
    routeTo('b', { match: { ...anyRequest, hosts: ['*.test'] } }),
  )
  assert.equal((await client.exchange('GET /api/./x//%41%2f?q=/../ HTTP/1.1\r\nHost: A.test:80\r\n\r\n')).body, 'a')
  assert.equal((await client.exchange('GET /other HTTP/1.1\r\nHost: a.test\r\n\r\n')).body, 'b')
  assert.equal((await client.exchange('GET http://a.test/api HTTP/1.1\r\nHost: c.test\r\n\r\n')).body, 'a')
  assert.deepEqual(targetsOfA(), ['/api/./x//%41%2f?q=/../', '/api'])
})

test('what no route takes is answered with 404, and the client goes on', async (t) => {
  const { client, proxy } = await start(t, routeTo('a', { match: at('/a') }))
  const response = await client.exchange(get('/b'))
  assert.equal(response.status, 404)
  assert.equal(response.body, '404 Not Found\nno route matches the request\n')
  assert.equal(response.field('Proxy-Status'), 'eproxy; error=destination_not_found; details="no route matches the request"')
  assert.equal((await client.exchange(withBody('POST', 'words', '', '/b'))).status, 404)
  assert.equal((await client.exchange(get('/a'))).body, 'a')
  const { error, termination } = await proxy.summary()
  assert.deepEqual([error, termination], ['ERR_EPROXY_NO_ROUTE', 'PR'])
})

test('a path that servers would read in different ways is refused, and reaches neither', async (t) => {
  const { proxy, targetsOfA } = await start(t, routeTo('a', { match: at('/admin') }), routeTo('b'))
  for (const target of ['/x/..%2fadmin', '/x/../admin', '//admin', '/admin;x', '/%61dmin/..;/', '/admin%00']) {
    const client = await proxy.client()
    const response = await client.exchange(get(target))
    assert.equal(response.status, 400, target)
    assert.match(response.body, /H1-PATH-AMBIGUOUS/)
    await client.closed()
  }
  assert.deepEqual(targetsOfA(), [])
  assert.equal((await proxy.summary()).rule, 'H1-PATH-AMBIGUOUS')
})

test('a prefix is rewritten, from the normal form of the path', async (t) => {
  const { client, targetsOfA } = await start(
    t,
    routeTo('a', { match: at('/api'), rewrite: { prefix: '/v1/' } }),
    routeTo('a', { name: 'slash', match: at('/s/'), rewrite: { prefix: '/' } }),
    routeTo('a', { name: 'exact', match: { ...anyRequest, path: { exact: '/old' } }, rewrite: { prefix: '/new' } }),
  )
  for (const target of ['/api', '/api/x?y=/api', '/api/a/../%41%2F', 'http://h/api/z', '/s/', '/s/t/', '/old?']) {
    assert.equal((await client.exchange(withBody('PUT', 'words', '', target))).status, 200, target)
  }
  assert.deepEqual(targetsOfA(), ['/v1/', '/v1/x?y=/api', '/v1/A%2F', '/v1/z', '/', '/t/', '/new?'])
})

test('a redirect is filled from the request, and leads to no host of the choice of a path', async (t) => {
  const { client } = await start(
    t,
    redirect('https://{host}{path}{query}', at('/tls')),
    redirect('{path}{query}', at('/same')),
    redirect('/new/{path}', { ...anyRequest, hosts: ['new.test'] }),
    redirect('{path}'),
  )
  const locate = async (target: string, host = 'a.test:8080'): Promise<string> => {
    const response = await client.exchange(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
    assert.equal(response.status, 308)
    assert.equal(response.field('Content-Length'), String(response.body.length))
    return response.field('Location')
  }
  assert.equal(await locate('/tls/x?y=1'), 'https://a.test/tls/x?y=1')
  assert.equal(await locate('/tls', '[::1]:80'), 'https://[::1]/tls')
  assert.equal(await locate('/same?'), '/same?')
  assert.equal(await locate('/x', 'new.test'), '/new/x')
  assert.equal(await locate('//evil.test/%0d%0aX: y'.replace(' ', '%20')), '/evil.test/%0D%0AX:%20y')
  assert.equal(await locate('/%5cevil.test'), '/%5Cevil.test')
  assert.equal((await client.exchange('GET /tls HTTP/1.0\r\n\r\n')).status, 400, 'no host to lead to')
})

test('a fixed answer has its status, type and body, in octets of UTF-8, and none of it for HEAD', async (t) => {
  const { client } = await start(t, answer(200, 'caf\u00e9'), answer(204, '', { match: at('/none') }))
  const response = await client.exchange(get())
  assert.equal(response.status, 200)
  assert.equal(response.field('Content-Type'), 'text/html')
  assert.equal(Buffer.from(response.body, 'latin1').toString('utf8'), 'caf\u00e9')
  assert.equal(response.field('Content-Length'), '5')
  assert.equal(response.field('Proxy-Status'), '')
  const none = await client.exchange(get('/none'))
  assert.equal(none.status, 204)
  assert.equal(none.field('Content-Length'), '')
})

test('who is denied, or not among those who are allowed, gets 403 and reaches nothing', async (t) => {
  const { client, proxy, targetsOfA } = await start(
    t,
    routeTo('a', { name: 'denied', match: at('/denied'), deny: ['127.0.0.0/8'], allow: ['127.0.0.1'] }),
    routeTo('a', { name: 'others', match: at('/others'), allow: ['192.0.2.0/24', '::1'] }),
    routeTo('a', { name: 'us', match: at('/us'), allow: ['127.0.0.1'], deny: ['192.0.2.0/24'] }),
    answer(200, 'secret', { match: at('/answer'), deny: ['0.0.0.0/0'] }),
  )
  for (const target of ['/denied', '/others', '/answer']) {
    const response = await client.exchange(get(target))
    assert.equal(response.status, 403, target)
    assert.match(response.field('Proxy-Status'), /error=http_request_denied/)
  }
  assert.equal((await client.exchange(get('/us'))).body, 'a')
  assert.deepEqual(targetsOfA(), ['/us'])
  assert.equal((await proxy.summary()).error, 'ERR_EPROXY_ACCESS_DENIED')
})

test('an error is JSON for a client that names it before text', async (t) => {
  const { client } = await start(t, routeTo('a', { match: at('/a') }))
  const json = await client.exchange(get('/b', 'Accept: application/json, text/plain, */*\r\n'))
  assert.equal(json.field('Content-Type'), 'application/problem+json')
  assert.deepEqual(JSON.parse(json.body), { title: 'Not Found', status: 404, detail: 'no route matches the request' })
  assert.equal(json.field('Content-Length'), String(json.body.length))
  const text = await client.exchange(get('/b', 'Accept: text/html,application/json;q=0.9\r\n'))
  assert.equal(text.field('Content-Type'), 'text/plain; charset=utf-8')
})

test('a route that cannot be is refused before anything listens', async (t) => {
  const refusals: readonly (readonly [RouteOptions, RegExp])[] = [
    [routeTo('a', { match: at('api') }), /route to-a: .*begins with "\/"/],
    [routeTo('a', { match: at('/a'), rewrite: { prefix: '//evil' } }), /route to-a: .*without "\/\/"/],
    [routeTo('a', { match: { ...anyRequest, path: { pattern: '/a.*' } }, rewrite: { prefix: '/b' } }), /a pattern has no prefix/],
    [routeTo('a', { allow: ['10.0.0.1/8'] }), /the network is 10\.0\.0\.0\/8/],
    [redirect('//evil'), /leads to another host/],
    [answer(199, ''), /from 200 to 599/],
    [answer(200, '', { action: { kind: 'answer', status: 200, contentType: 'a\r\nb', body: '' } }), /contentType/],
  ]
  for (const [route, message] of refusals) {
    await assert.rejects(() => start(t, route), { code: 'ERR_EPROXY_OPTION', message }, String(message))
  }
})

/** What a listener, a route and a group change in heads, seen from the origin and from the client. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import test, { type TestContext } from 'node:test'
import type { DesyncEvent } from '../../lib/index.ts'
import { edgeSecurityFields } from '../../lib/policy/security-fields.ts'
import { patiently } from '../support/patience.ts'
import { ProxyUnderTest } from '../support/proxy-under-test.ts'
import { get, type RawResponse } from '../support/raw-client.ts'
import { answering, answeringWith, ScriptedOrigin, type Script } from '../support/scripted-origin.ts'
import { serviceFor, type ServiceParts } from '../support/service.ts'
import { socketAccess } from '../support/socket-access.ts'

const noEdits = { remove: [], set: {}, add: {} }

interface Stage {
  readonly origin: ScriptedOrigin
  readonly proxy: ProxyUnderTest
  readonly exchange: (request: string) => Promise<RawResponse>
}

async function setUp(t: TestContext, parts: ServiceParts, script: Script = answering()): Promise<Stage> {
  const origin = await ScriptedOrigin.start(t, script)
  const proxy = await ProxyUnderTest.start(t, { service: serviceFor(origin.address, parts), via: '' })
  const client = await proxy.client()
  return { origin, proxy, exchange: (request) => client.exchange(request) }
}

test('fields are removed, set and added on the way there and back, with facts of the request in their values', async (t) => {
  const { origin, exchange } = await setUp(
    t,
    {
      route: {
        requestHeaders: {
          remove: ['Cookie', 'X-Internal'],
          set: { 'X-Client': '{client_ip}', 'X-Asked': '{scheme}://{host} by {route} to {upstream}' },
          add: { Accept: 'text/plain' },
        },
        responseHeaders: { remove: ['X-Powered-By'], set: { 'Cache-Control': 'no-store' }, add: { 'Set-Cookie': 'a=b' } },
      },
    },
    answering('ok', 'x-powered-by: PHP\r\nCACHE-CONTROL: public\r\nSet-Cookie: c=d\r\n'),
  )
  const response = await exchange(get('/', 'cookie: a\r\nX_INTERNAL: 1\r\nx-client: 6.6.6.6\r\nAccept: */*\r\n'))
  assert.equal(
    origin.heads[0],
    get('/', 'Accept: */*\r\nX-Client: 127.0.0.1\r\nX-Asked: http://test by all to app\r\nAccept: text/plain\r\n'),
  )
  assert.equal(response.field('X-Powered-By'), '')
  assert.equal(response.field('Cache-Control'), 'no-store')
  assert.equal(response.field('Set-Cookie'), 'c=d, a=b')
})

test('a client gets nothing past a removal: not by another line, by Connection, nor in a trailer section', async (t) => {
  const trailers: string[] = []
  const { origin, exchange } = await setUp(
    t,
    { route: { requestHeaders: { remove: ['X-Internal'], set: { 'X-User': 'nobody' }, add: {} } } },
    answeringWith((request, connection) => {
      trailers.push(request.trailers)
      connection.respond(200, 'ok')
    }),
  )
  const response = await exchange(
    'POST / HTTP/1.1\r\nHost: test\r\nX-User: root\r\nConnection: X-User\r\nX-Internal: 1\r\nx-internal:2\r\n' +
      'Transfer-Encoding: chunked\r\n\r\n0\r\nX-User: root\r\nX-Internal: 3\r\nX-Sum: 4\r\n\r\n',
  )
  assert.equal(response.status, 200)
  assert.equal(origin.heads[0], 'POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\nX-User: nobody\r\n\r\n')
  assert.deepEqual(trailers, ['X-Sum: 4\r\n'])
})

test('a group has a Host of its own, and the client is told of in X-Forwarded-Host', async (t) => {
  const { origin, exchange } = await setUp(t, { group: { host: 'internal.test:81' }, listener: { forwarded: 'x-forwarded' } })
  await exchange(get())
  await exchange('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n')
  assert.match(origin.heads[0]!, /^GET \/ HTTP\/1\.1\r\nHost: internal\.test:81\r\n.*X-Forwarded-Host: test\r\n/s)
  assert.match(origin.heads[1]!, /\r\nHost: internal\.test:81\r\n/)
})

test('what a route writes of the client is all that leaves of it', async (t) => {
  const { origin, exchange } = await setUp(t, {
    listener: { forwarded: 'both' },
    route: { requestHeaders: { remove: ['Forwarded'], set: { 'X-Forwarded-Proto': 'https' }, add: {} } },
  })
  await exchange(get('/', 'X-Forwarded-Proto: ftp\r\nForwarded: for=6.6.6.6\r\n'))
  assert.equal(
    origin.heads[0],
    get('/', 'X-Forwarded-Proto: https\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: test\r\nX-Forwarded-Port: 80\r\n'),
  )
})

test('a request has one id: made, sent on, given back, and that of the log', async (t) => {
  const { origin, proxy, exchange } = await setUp(
    t,
    { listener: { requestId: { name: 'X-Request-Id', accept: 'trusted' } } },
    answering('ok', 'X-Request-Id: of-the-origin\r\n'),
  )
  const response = await exchange(get('/', 'x-request-id: of-the-client\r\n'))
  const id = response.field('X-Request-Id')
  assert.match(id, /^[0-9a-f]{32}$/)
  assert.equal(origin.heads[0], get('/', `X-Request-Id: ${id}\r\n`))
  assert.equal((await proxy.summary()).id, id)
  const other = await exchange(get())
  assert.match(other.field('X-Request-Id'), /^[0-9a-f]{32}$/)
  assert.notEqual(other.field('X-Request-Id'), id)
})

test('the id of a request is that of what is told of its connection, too', async (t) => {
  const { proxy, exchange } = await setUp(
    t,
    { listener: { requestId: { name: 'X-Request-Id', accept: 'always' } } },
    answeringWith((_request, connection) => connection.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok!')),
  )
  const told = once(proxy.proxy, 'desync') as Promise<[DesyncEvent]>
  assert.equal((await exchange(get('/', 'X-Request-Id: abc-1\r\n'))).status, 200)
  const [{ exchange: subject }] = await patiently(told, () => 'the excess octet to be told')
  assert.equal(subject?.id, 'abc-1')
})

for (const { accept, trustedProxies, isTaken } of [
  { accept: 'trusted', trustedProxies: ['127.0.0.1'], isTaken: true },
  { accept: 'always', trustedProxies: [], isTaken: true },
  { accept: 'never', trustedProxies: ['127.0.0.1'], isTaken: false },
] as const) {
  test(`an id of a ${trustedProxies.length > 0 ? 'trusted' : 'foreign'} peer is ${isTaken ? '' : 'not '}taken over with accept: ${accept}`, async (t) => {
    const { origin, proxy, exchange } = await setUp(t, { listener: { requestId: { name: 'X-Trace', accept }, trustedProxies } })
    const response = await exchange(get('/', 'x-trace: abc-1\r\n'))
    assert.equal(response.field('X-Trace') === 'abc-1', isTaken)
    assert.equal(origin.heads[0], get('/', `X-Trace: ${response.field('X-Trace')}\r\n`))
    assert.equal((await proxy.summary()).id, response.field('X-Trace'))
    const insane = await exchange(get('/', 'x-trace: a"b\r\n'))
    assert.match(insane.field('X-Trace'), /^[0-9a-f]{32}$/)
  })
}

test('a client cannot take its trace away from the server by Connection', async (t) => {
  const { origin, exchange } = await setUp(t, { listener: { traceparent: true } })
  const fields = 'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00\r\ntracestate: a=b\r\nConnection: TraceParent\r\n'
  assert.equal((await exchange(get('/', fields))).status, 200)
  assert.match(origin.heads[0]!, /^GET \/ HTTP\/1\.1\r\nHost: test\r\ntraceparent: 00-(?!0af7)[0-9a-f]{32}-[0-9a-f]{16}-01\r\n\r\n$/)
})

test('a trace goes on where there is one, and begins where there is none that can be followed', async (t) => {
  const { origin, exchange } = await setUp(t, { listener: { traceparent: true } })
  const valid = 'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00\r\ntracestate: a=b\r\n'
  await exchange(get('/', valid))
  assert.equal(origin.heads[0], get('/', valid))
  await exchange(get('/', 'TraceParent: 00-0-0-00\r\nTraceState: a=b\r\nX: y\r\n'))
  assert.match(origin.heads[1]!, /\r\nX: y\r\ntraceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-01\r\n\r\n$/)
  assert.doesNotMatch(origin.heads[1]!, /tracestate/i)
  await exchange(get('/', 'tracestate: a=b\r\n'))
  assert.match(origin.heads[2]!, /Host: test\r\ntraceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-01\r\n\r\n$/)
})

test('fields that protect browsers are set where the origin has not, and Strict-Transport-Security only over TLS', async (t) => {
  const { exchange } = await setUp(
    t,
    { listener: { securityFields: edgeSecurityFields, trustedProxies: ['127.0.0.1'], serverField: 'eproxy' } },
    answering('ok', 'x-frame-options: DENY\r\nServer: Apache/2.4\r\n'),
  )
  const plain = await exchange(get())
  assert.equal(plain.field('X-Content-Type-Options'), 'nosniff')
  assert.equal(plain.field('Referrer-Policy'), 'strict-origin-when-cross-origin')
  assert.equal(plain.field('X-Frame-Options'), 'DENY')
  assert.equal(plain.field('Strict-Transport-Security'), '')
  assert.equal(plain.field('Server'), 'eproxy')
  const secure = await exchange(get('/', 'X-Forwarded-Proto: https\r\n'))
  assert.equal(secure.field('Strict-Transport-Security'), 'max-age=31536000')
})

test('nobody but a trusted proxy can say that a request came over TLS', async (t) => {
  const { exchange } = await setUp(t, { listener: { securityFields: edgeSecurityFields } })
  assert.equal((await exchange(get('/', 'X-Forwarded-Proto: https\r\n'))).field('Strict-Transport-Security'), '')
})

test('a route has its own fields for browsers, or none; and Server is removed', async (t) => {
  const off = await setUp(
    t,
    { listener: { securityFields: edgeSecurityFields, serverField: 'remove' }, route: { securityFields: false } },
    answering('ok', 'Server: Apache/2.4\r\n'),
  )
  assert.match((await off.exchange(get())).head, /^HTTP\/1\.1 200 Reason\r\nContent-Length: 2\r\nDate: [^\r]*\r\n\r\n$/)
  const own = await setUp(t, {
    listener: { securityFields: edgeSecurityFields },
    route: { securityFields: { ...edgeSecurityFields, frameOptions: '', frameAncestors: "'none'", referrerPolicy: '' } },
  })
  const response = await own.exchange(get())
  assert.equal(response.field('Content-Security-Policy'), "frame-ancestors 'none'")
  assert.equal(response.field('X-Frame-Options') + response.field('Referrer-Policy'), '')
})

test('answers of the proxy itself are changed as those of servers are', async (t) => {
  const { proxy, exchange } = await setUp(t, {
    listener: { securityFields: edgeSecurityFields, requestId: { name: 'X-Request-Id', accept: 'never' }, serverField: 'front' },
    route: { responseHeaders: { remove: ['Allow'], set: { 'Cache-Control': 'no-store', 'Content-Type': 'text/x' }, add: {} } },
  })
  const response = await exchange('TRACE / HTTP/1.1\r\nHost: test\r\nMax-Forwards: 0\r\n\r\n')
  assert.equal(response.status, 405)
  assert.equal(response.field('Allow'), '')
  assert.equal(response.field('Content-Type'), 'text/x')
  assert.equal(response.field('Cache-Control'), 'no-store')
  assert.equal(response.field('Server'), 'front')
  assert.equal(response.field('X-Content-Type-Options'), 'nosniff')
  assert.equal(response.field('X-Request-Id'), (await proxy.summary()).id)
})

test('interim responses are left as they are', async (t) => {
  const { proxy } = await setUp(
    t,
    { route: { responseHeaders: { ...noEdits, remove: ['Link'], set: { 'X-A': 'b' } } } },
    answeringWith((_request, connection) => {
      connection.send('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n')
      connection.respond(200, 'ok', 'Link: </b>\r\n')
    }),
  )
  const client = await proxy.client()
  const early = await client.exchange(get())
  assert.equal(early.head, 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n')
  const final = await client.response()
  assert.deepEqual([final.field('Link'), final.field('X-A')], ['', 'b'])
})

test('a configuration that names what cannot be changed is refused, and says why', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const refuses = async (parts: ServiceParts, message: RegExp): Promise<void> => {
    const proxy = await ProxyUnderTest.start(t, { service: serviceFor(origin.address) })
    assert.throws(() => proxy.proxy.reload({ ...socketAccess, service: serviceFor(origin.address, parts) }), {
      code: 'ERR_EPROXY_OPTION',
      message,
    })
  }
  await refuses(
    { route: { requestHeaders: { ...noEdits, set: { 'Content-Length': '0' } } } },
    /^route all: requestHeaders\.set: Content-Length cannot be changed/,
  )
  await refuses({ listener: { trustedProxies: ['10/8'] } }, /^listener 127\.0\.0\.1:0: trustedProxies: /)
  await refuses({ listener: { requestId: { name: 'Host', accept: 'never' } } }, /^listener 127\.0\.0\.1:0: Host cannot be changed/)
  await refuses({ listener: { serverField: 'a\r\nb: c' } }, /control character/)
  await refuses({ group: { host: 'a b' } }, /^group app: host is/)
  await refuses({ listener: { rules: { 'H1-CL-AND-TE': 'warn' } } }, /H1-CL-AND-TE cannot be loosened/)
  await refuses({ listener: { securityFields: { ...edgeSecurityFields, strictTransportSecurity: 'yes' } } }, /max-age=SECONDS/)
})

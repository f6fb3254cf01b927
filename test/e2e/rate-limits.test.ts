/** Limits of rates over sockets: who is refused, how he is told, what does not count, and that a reload forgets nothing. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { RateLimitOptions, RouteOptions, ServiceOptions } from '../../lib/core/service-options.ts'
import { silentLogger } from '../../lib/observe/logger.ts'
import { until } from '../support/patience.ts'
import { anyRequest, groupOf, listener, routeTo, serviceOf } from '../support/service.ts'
import { isMissing } from '../support/program.ts'
import { ProxyUnderTest } from '../support/proxy-under-test.ts'
import { get, withBody, type RawClient } from '../support/raw-client.ts'
import { RedisServer } from '../support/redis-server.ts'
import { answeringWith, ScriptedOrigin } from '../support/scripted-origin.ts'
import { UnrulyRedis } from '../support/unruly-redis.ts'

/** So few an hour that a test ends before the next one is due. */
function limitOf(requests: number, more: Partial<RateLimitOptions> = {}): RateLimitOptions {
  return { requests, perMs: 3_600_000, burst: requests, key: { kind: 'client' }, ipv6Prefix: 64, shared: false, ...more }
}

type Changes = Partial<Pick<ServiceOptions, 'rateLimits' | 'rateLimitStore' | 'listeners'>>

async function startOrigin(t: TestContext): Promise<ScriptedOrigin> {
  return ScriptedOrigin.start(
    t,
    answeringWith((_, connection) => connection.respond(200, 'hello')),
  )
}

async function start(t: TestContext, changes: Changes, ...routes: readonly Partial<RouteOptions>[]): Promise<ProxyUnderTest> {
  const origin = await startOrigin(t)
  return ProxyUnderTest.start(t, { service: makeService(origin, changes, ...routes) })
}

function makeService(origin: ScriptedOrigin, changes: Changes, ...routes: readonly Partial<RouteOptions>[]): ServiceOptions {
  return { ...serviceOf({ a: groupOf([origin.address]) }, ...routes.map((more) => routeTo('a', more))), ...changes }
}

async function statuses(client: RawClient, ...requests: readonly string[]): Promise<readonly number[]> {
  const seen: number[] = []
  for (const request of requests) seen.push((await client.exchange(request)).status)
  return seen
}

const times = (count: number, request = get('/')): readonly string[] => Array.from({ length: count }, () => request)

test('one request too many is answered with 429, when to come back and how the limit is; the connection goes on', async (t) => {
  const proxy = await start(t, { rateLimits: { 'per "client"': limitOf(3) } }, { rateLimits: ['per "client"'] })
  const client = await proxy.client()
  assert.deepEqual(await statuses(client, ...times(3)), [200, 200, 200])
  const refused = await client.exchange(get('/'))
  assert.equal(refused.status, 429)
  const retryAfter = Number(refused.field('Retry-After'))
  assert(retryAfter > 1_000 && retryAfter <= 1_200, String(retryAfter))
  assert.equal(refused.field('RateLimit-Policy'), '"per \\"client\\"";q=3;w=3600')
  assert.equal(refused.field('RateLimit'), `"per \\"client\\"";r=0;t=${retryAfter}`)
  assert.match(refused.field('Proxy-Status'), /^eproxy; error=http_request_denied; /)
  assert.equal(refused.field('Connection'), '')
  assert.match(refused.body, /^429 Too Many Requests\nmore requests than a rate limit allows/)
  assert.equal((await client.exchange(get('/'))).status, 429)
  assert.equal((await client.exchange(withBody('POST', 'words', '', '/'))).status, 429)

  for (let i = 0; i < 3; i++) await proxy.summary()
  const { error, termination, status, upstream } = await proxy.summary()
  assert.deepEqual(
    { error, termination, status, upstream },
    { error: 'ERR_EPROXY_RATE_LIMITED', termination: 'PL', status: 429, upstream: '' },
  )
  assert.deepEqual(proxy.proxy.stats.rateLimits, {
    'per "client"': { allowed: { local: 3, shared: 0 }, limited: { local: 3, shared: 0 }, unreachable: { local: 0, shared: 0 } },
  })
})

test('other connections of a client count with it, other clients do not', async (t) => {
  const origin = await startOrigin(t)
  const service = makeService(origin, { rateLimits: { few: limitOf(2) } }, { rateLimits: ['few'] })
  const proxy = await ProxyUnderTest.start(t, { service, listen: '[::]:0' })
  const port = proxy.address.slice(proxy.address.lastIndexOf(':') + 1)
  // 127.0.0.1 by IPv4 is one client, ::1 another.
  proxy.address = `127.0.0.1:${port}`
  const [one, same] = [await proxy.client(), await proxy.client()]
  proxy.address = `[::1]:${port}`
  const other = await proxy.client()
  assert.deepEqual(await statuses(one, ...times(2)), [200, 200])
  assert.deepEqual(await statuses(same, ...times(1)), [429])
  assert.deepEqual(await statuses(other, ...times(3)), [200, 200, 429])
})

test('a limit by route counts each route, one for all counts all, one by a field counts each value', async (t) => {
  const at = (prefix: string): RouteOptions['match'] => ({ ...anyRequest, path: { prefix } })
  const proxy = await start(
    t,
    {
      rateLimits: {
        byRoute: limitOf(1, { key: { kind: 'route' } }),
        all: limitOf(2, { key: { kind: 'all' } }),
        byKey: limitOf(1, { key: { kind: 'header', name: 'X-API-Key' } }),
      },
    },
    { name: 'one', match: at('/one'), rateLimits: ['byRoute'] },
    { name: 'two', match: at('/two'), rateLimits: ['byRoute'] },
    { name: 'three', match: at('/three'), rateLimits: ['all'] },
    { name: 'four', match: at('/four'), rateLimits: ['all'] },
    { name: 'five', match: at('/five'), rateLimits: ['byKey'] },
  )
  const client = await proxy.client()
  assert.deepEqual(await statuses(client, get('/one'), get('/two'), get('/one'), get('/two')), [200, 200, 429, 429])
  assert.deepEqual(await statuses(client, get('/three'), get('/four'), get('/three'), get('/four')), [200, 200, 429, 429])
  const key = (value: string): string => get('/five', `x-api-KEY: ${value}\r\n`)
  assert.deepEqual(await statuses(client, key('a'), key('b'), key('a'), key('b'), key('')), [200, 200, 429, 429, 200])
  // Without the field it is the client that counts.
  assert.deepEqual(await statuses(client, get('/five'), get('/five')), [200, 429])
})

test('what one limit refuses does not count for the others, and those of the listener hold for every route', async (t) => {
  const proxy = await start(
    t,
    {
      listeners: [{ ...listener, rateLimits: ['wide'] }],
      rateLimits: { wide: limitOf(4), narrow: limitOf(1, { key: { kind: 'route' } }) },
    },
    { name: 'narrow', match: { ...anyRequest, path: { prefix: '/narrow' } }, rateLimits: ['narrow', 'wide'] },
    { name: 'other', match: { ...anyRequest, path: { prefix: '/other' } } },
  )
  const client = await proxy.client()
  const narrow = get('/narrow')
  assert.deepEqual(await statuses(client, narrow, narrow, narrow, narrow, narrow), [200, 429, 429, 429, 429])
  // Three are left of the four, a request that no route takes counts as well.
  assert.deepEqual(await statuses(client, get('/other'), get('/nowhere'), get('/other'), get('/other')), [200, 404, 200, 429])
  assert.equal(proxy.proxy.stats.rateLimits['wide']!.limited.local, 1)
})

test('requests that come together are judged one by one, in their order', async (t) => {
  const proxy = await start(t, { rateLimits: { few: limitOf(5) } }, { rateLimits: ['few'] })
  const client = await proxy.client()
  client.send(times(8).join(''))
  const seen: number[] = []
  for (let i = 0; i < 8; i++) seen.push((await client.response()).status)
  assert.deepEqual(seen, [200, 200, 200, 200, 200, 429, 429, 429])
})

test('a refused request with a body that goes on is answered at once, and its connection closes', async (t) => {
  const proxy = await start(t, { rateLimits: { none: limitOf(1) } }, { rateLimits: ['none'] })
  const client = await proxy.client()
  assert.deepEqual(await statuses(client, get('/')), [200])
  client.send('POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\n\r\nbeginning')
  const refused = await client.response()
  assert.equal(refused.status, 429)
  assert.equal(refused.field('Connection'), 'close')
})

test('a client that waits for 100 Continue gets 429 instead', async (t) => {
  const proxy = await start(t, { rateLimits: { few: limitOf(1) } }, { rateLimits: ['few'] })
  const client = await proxy.client()
  assert.deepEqual(await statuses(client, get('/')), [200])
  client.send('POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n')
  assert.equal((await client.response()).status, 429)
})

test('with announce every response tells how the limit is', async (t) => {
  const proxy = await start(
    t,
    {
      rateLimits: {
        told: limitOf(3, { announce: true }),
        untold: limitOf(9),
        all: limitOf(60, { perMs: 500, announce: true, key: { kind: 'all' } }),
      },
    },
    { rateLimits: ['told', 'untold', 'all'] },
  )
  const client = await proxy.client()
  const first = await client.exchange(get('/'))
  assert.equal(first.field('RateLimit-Policy'), '"told";q=3;w=3600, "all";q=120;w=1')
  assert.equal(first.field('RateLimit'), '"told";r=2;t=1200, "all";r=59;t=1')
  assert.match((await client.exchange(get('/'))).field('RateLimit'), /^"told";r=1;t=(?:2400|239\d), "all";r=(?:58|59);t=1$/)
  assert.match((await client.exchange(get('/'))).field('RateLimit'), /^"told";r=0;/)
  const refused = await client.exchange(get('/'))
  assert.equal(refused.status, 429)
  assert.equal(refused.field('RateLimit-Policy'), '"told";q=3;w=3600')
})

test('a client is whom a trusted proxy names, and nobody else can name one', async (t) => {
  const origin = await startOrigin(t)
  const rateLimits = { few: limitOf(1) }
  const from = (address: string): string => get('/', `X-Forwarded-For: ${address}\r\n`)
  const behind = makeService(
    origin,
    { rateLimits, listeners: [{ ...listener, forwarded: 'both', trustedProxies: ['127.0.0.1/32'] }] },
    { rateLimits: ['few'] },
  )
  const trusting = await ProxyUnderTest.start(t, { service: behind })
  const client = await trusting.client()
  assert.deepEqual(await statuses(client, from('192.0.2.1'), from('192.0.2.1'), from('192.0.2.2')), [200, 429, 200])
  const open = makeService(origin, { rateLimits, listeners: [{ ...listener, forwarded: 'both' }] }, { rateLimits: ['few'] })
  const wary = await (await ProxyUnderTest.start(t, { service: open })).client()
  assert.deepEqual(await statuses(wary, from('192.0.2.1'), from('192.0.2.2')), [200, 429])
})

test('a reload keeps the accounts of limits that are as they were, and begins new ones for those that are not', async (t) => {
  const origin = await startOrigin(t)
  const serviceWith = (burst: number): ServiceOptions =>
    makeService(
      origin,
      { rateLimits: { same: limitOf(2), changed: limitOf(2, { burst }) } },
      { name: 'same', match: { ...anyRequest, path: { prefix: '/same' } }, rateLimits: ['same'] },
      { name: 'changed', match: { ...anyRequest, path: { prefix: '/changed' } }, rateLimits: ['changed'] },
    )
  const proxy = await ProxyUnderTest.start(t, { service: serviceWith(2) })
  const client = await proxy.client()
  const requests = [get('/same'), get('/same'), get('/same'), get('/changed'), get('/changed'), get('/changed')]
  assert.deepEqual(await statuses(client, ...requests), [200, 200, 429, 200, 200, 429])
  proxy.proxy.reload({ ...proxy.proxy.config, upstreams: [], service: serviceWith(3) })
  assert.deepEqual(await statuses(client, ...requests), [429, 429, 429, 200, 200, 200])
})

test('a limit that is not there, or is shared without a store, is refused with its place', async (t) => {
  const service = serviceOf({ a: groupOf(['127.0.0.1:1']) }, routeTo('a', { rateLimits: ['missing'] }))
  await assert.rejects(ProxyUnderTest.start(t, { service }), /route to-a: there is no rate limit missing/)
  const shared = { ...serviceOf({ a: groupOf(['127.0.0.1:1']) }, routeTo('a')), rateLimits: { one: limitOf(1, { shared: true }) } }
  await assert.rejects(ProxyUnderTest.start(t, { service: shared }), /rate limit one is shared, and there is no rateLimitStore/)
})

test('two proxies share a limit through a Redis, and go on when it is killed', { skip: isMissing('redis-server') }, async (t) => {
  const server = await RedisServer.start()
  t.after(() => server[Symbol.asyncDispose]())
  const origin = await startOrigin(t)
  const service = makeService(
    origin,
    {
      rateLimits: { few: limitOf(20, { shared: true }) },
      rateLimitStore: { url: server.url, deadlineMs: 5_000, onError: 'local', prefix: 'eproxy:' },
    },
    { rateLimits: ['few'] },
  )
  const proxies = [await ProxyUnderTest.start(t, { service }), await ProxyUnderTest.start(t, { service })]
  const states: string[] = []
  proxies[0]!.proxy.on('rateLimitStore', ({ state }) => states.push(state))
  const storesAre = (state: string): Promise<void> =>
    until(
      () => proxies.every(({ proxy }) => proxy.stats.rateLimitStore?.state === state),
      () => `both to find the store ${state}: ${JSON.stringify(proxies.map(({ proxy }) => proxy.stats.rateLimitStore))}`,
    )
  const answered = (): Promise<void> =>
    until(
      () => proxies.every(({ proxy }) => proxy.stats.rateLimitStore?.questionsTotal === proxy.stats.rateLimitStore?.answersTotal),
      () => 'answers of the store',
    )
  await storesAre('ready')
  const clients = await Promise.all(proxies.map((proxy) => proxy.client()))
  let allowed = 0
  for (let round = 0; round < 20; round++) {
    for (const client of clients) {
      if ((await client.exchange(get('/'))).status === 200) allowed++
      await answered()
    }
  }
  // Each knows of the other what the store said with its last answer: one request of one of them may be too many.
  assert(allowed === 20 || allowed === 21, `${allowed} of 40 requests`)

  await server.kill()
  await storesAre('gone')
  for (const client of clients) assert.equal((await client.exchange(get('/'))).status, 429)
  await server.restart()
  await storesAre('ready')
  assert.equal(states.at(-1), 'ready')
  assert(states.includes('gone'))
})

test('that a store is not used is a warning once, and told again when it is used, whatever happens between', async (t) => {
  const redis = await UnrulyRedis.start('nonsense')
  t.after(() => redis[Symbol.asyncDispose]())
  const said: string[] = []
  const tell = (level: string) => (fields: object, message: string) => {
    if ('state' in fields) said.push(`${level}: ${message}`)
  }
  const logger = { ...silentLogger, debug: tell('debug'), info: tell('info'), warn: tell('warn'), error: tell('error') }
  const origin = await startOrigin(t)
  const service = makeService(
    origin,
    {
      // More than are asked for here.
      rateLimits: { many: limitOf(1_000, { shared: true }) },
      rateLimitStore: { url: redis.url, deadlineMs: 5_000, onError: 'local', prefix: 'eproxy:' },
    },
    { rateLimits: ['many'] },
  )
  const proxy = await ProxyUnderTest.start(t, { service, logger })
  const client = await proxy.client()
  const goOn = async (): Promise<void> => {
    const count = redis.connectedAt.length + 1
    await until(
      () => redis.connectedAt.length >= count,
      () => `${count} connections; said: ${said.join(', ')}`,
    )
    assert.deepEqual(await statuses(client, ...times(3)), [200, 200, 200])
  }
  await goOn()
  redis.manner = 'hang-up'
  await goOn()
  redis.refusal = 'READONLY no'
  redis.manner = 'refuse'
  await goOn()
  await until(
    () => said.filter((line) => line === 'debug: the store of shared rate limits').length >= 2,
    () => `another reason; said: ${said.join(', ')}`,
  )
  const notUsed = 'warn: the store of shared rate limits is not used'
  assert.deepEqual(
    said.filter((line) => !line.startsWith('debug')),
    [notUsed],
  )
  redis.manner = 'answer'
  await until(
    () => proxy.proxy.stats.rateLimitStore?.state === 'ready',
    () => `the store to be used; said: ${said.join(', ')}`,
  )
  assert.deepEqual(await statuses(client, ...times(3)), [200, 200, 200])
  assert.deepEqual(
    said.filter((line) => !line.startsWith('debug')),
    [notUsed, 'info: rate limits are shared'],
  )
})

test('with a store that is gone and a limit that is to let nothing through then, the answer is 503', async (t) => {
  const proxy = await start(
    t,
    {
      rateLimits: { few: limitOf(20, { shared: true }) },
      // Port 1 of loopback: nobody listens there.
      rateLimitStore: { url: 'redis://127.0.0.1:1', deadlineMs: 20, onError: 'closed', prefix: 'eproxy:' },
    },
    { rateLimits: ['few'] },
  )
  const client = await proxy.client()
  const refused = await client.exchange(get('/'))
  assert.equal(refused.status, 503)
  assert.equal(refused.field('Retry-After'), '1')
  assert.equal((await proxy.summary()).error, 'ERR_EPROXY_RATE_LIMIT_STORE')
  assert.equal(proxy.proxy.stats.rateLimits['few']!.unreachable.shared, 1)
})

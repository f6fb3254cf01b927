/** Groups of servers over real sockets: who gets what, who stays where, and what becomes of requests when a server dies, drains or is refused more. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { GroupOptions, OutlierOptions, RouteOptions } from '../../lib/core/service-options.ts'
import type { ServerEvent } from '../../lib/index.ts'
import { NodeOrigin } from '../support/node-origin.ts'
import { until } from '../support/patience.ts'
import { ProxyUnderTest } from '../support/proxy-under-test.ts'
import { get, withBody } from '../support/raw-client.ts'
import { RefusingAddress } from '../support/refusing-address.ts'
import { answering, answeringWith, ScriptedOrigin, type Script } from '../support/scripted-origin.ts'
import { anyRetry, groupOf, routeTo, serviceOf } from '../support/service.ts'

const outlier: OutlierOptions = {
  consecutive: 3,
  failureShare: 1,
  requests: 1_000,
  windowMs: 10_000,
  ejectMs: 600_000,
  ejectMaxMs: 600_000,
  ejectShareMax: 0.5,
}

interface Stage {
  readonly proxy: ProxyUnderTest
  readonly origins: readonly ScriptedOrigin[]
  readonly events: readonly ServerEvent[]
  /** The same servers with other options, from now on. */
  readonly reload: (more: Partial<GroupOptions>) => void
}

/** A group `app` of servers that do this. */
async function start(
  t: TestContext,
  scripts: readonly Script[],
  more: Partial<GroupOptions> = {},
  route: Partial<RouteOptions> = {},
): Promise<Stage> {
  const origins: ScriptedOrigin[] = []
  for (const script of scripts) origins.push(await ScriptedOrigin.start(t, script))
  const addresses = origins.map(({ address }) => address)
  const proxy = await ProxyUnderTest.start(t, { service: serviceOf({ app: groupOf(addresses, more) }, routeTo('app', route)) })
  const events: ServerEvent[] = []
  proxy.proxy.on('server', (event) => events.push(event))
  return {
    proxy,
    origins,
    events,
    reload: (other) =>
      proxy.proxy.reload({
        ...proxy.proxy.config,
        upstreams: [],
        service: serviceOf({ app: groupOf(addresses, other) }, routeTo('app', route)),
      }),
  }
}

const named = ['a', 'b', 'c'].map((name) => answering(name))

test('by default of a group, two by chance: all servers are used, and one that does not answer gets little', async (t) => {
  let held = 0
  const slow: Script = answeringWith(() => void held++)
  const { proxy } = await start(t, [answering('a'), answering('b'), slow], { balance: 'power-of-two' })
  const seen = new Map<string, number>()
  const client = await proxy.client()
  const stuck: Promise<unknown>[] = []
  for (let i = 0; i < 60; i++) {
    const before = held
    const one = await proxy.client()
    one.send(get('/', 'Connection: close\r\n'))
    const answer = one.response()
    answer.catch(() => {})
    await Promise.race([
      answer.catch(() => undefined),
      until(
        () => held > before,
        () => 'an answer or a request that is held',
      ),
    ])
    if (held > before) stuck.push(answer)
    else seen.set((await answer).body, (seen.get((await answer).body) ?? 0) + 1)
  }
  // With one that it holds, any other server has fewer.
  assert(stuck.length <= 1, `${stuck.length} requests went to the server that does not answer`)
  assert((seen.get('a') ?? 0) > 5 && (seen.get('b') ?? 0) > 5, JSON.stringify([...seen]))
  client.destroy()
})

test('a client keeps the server of its cookie; when that server is taken out it gets another, and the cookie with it', async (t) => {
  const { proxy, origins } = await start(t, named, { balance: 'sticky', stickyCookie: 'srv' })
  const client = await proxy.client()
  const first = await client.exchange(get())
  const cookie = /^(srv=[\w-]{16}); Path=\/; HttpOnly; SameSite=Lax$/.exec(first.field('Set-Cookie'))?.[1]
  assert(cookie !== undefined, first.head)
  const withCookie = get('/', `Cookie: theme=dark; ${cookie}\r\n`)
  for (let i = 0; i < 6; i++) {
    const response = await client.exchange(withCookie)
    assert.equal(response.body, first.body)
    assert.equal(response.field('Set-Cookie'), '', 'it has it already')
  }
  const { address } = origins['abc'.indexOf(first.body)]!
  assert.equal(proxy.proxy.setServerState('app', address, 'draining'), true)
  assert.equal((await client.exchange(withCookie)).body, first.body)
  for (let i = 0; i < 12; i++) assert.notEqual((await client.exchange(get())).body, first.body)
  proxy.proxy.setServerState('app', address, 'disabled')
  const other = await client.exchange(withCookie)
  assert.notEqual(other.body, first.body)
  assert.match(other.field('Set-Cookie'), /^srv=/)
  assert.equal(proxy.proxy.setServerState('app', '127.0.0.1:1', 'draining'), false)
  assert.equal(proxy.proxy.setServerState('other', address, 'draining'), false)
})

test('by hash of a field, what belongs together meets one server', async (t) => {
  const { proxy } = await start(t, named, { balance: 'hash', hashOn: { kind: 'header', name: 'X-Tenant' } })
  const client = await proxy.client()
  const used = new Set<string>()
  for (let tenant = 0; tenant < 20; tenant++) {
    const bodies = new Set<string>()
    for (let i = 0; i < 3; i++) bodies.add((await client.exchange(get('/', `X-Tenant: ${tenant}\r\n`))).body)
    assert.equal(bodies.size, 1)
    for (const body of bodies) used.add(body)
  }
  assert(used.size > 1)
})

test('a server dies under load: no request is lost that could be saved', async (t) => {
  const origins: NodeOrigin[] = []
  for (const name of ['a', 'b', 'c']) origins.push(await NodeOrigin.start((_request, response) => response.end(name)))
  t.after(async () => {
    for (const origin of origins.slice(1)) await origin[Symbol.asyncDispose]()
  })
  const service = serviceOf({ app: groupOf(origins.map(({ address }) => address), { balance: 'power-of-two' }) }, routeTo('app', { retry: anyRetry })) // oxfmt-ignore
  const proxy = await ProxyUnderTest.start(t, { service })
  const events: ServerEvent[] = []
  proxy.proxy.on('server', (event) => events.push(event))
  const statuses = new Map<number, number>()
  let done = 0
  let killed: Promise<void> | undefined
  const load = Array.from({ length: 6 }, async () => {
    const client = await proxy.client()
    for (let i = 0; i < 60; i++) {
      const { status } = await client.exchange(get(`/${i}`))
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
      if (++done === 100) killed = origins[0]![Symbol.asyncDispose]()
    }
  })
  await Promise.all(load)
  await killed
  assert.deepEqual([...statuses], [[200, 360]])
  await until(
    () => proxy.summaries.length === 360,
    () => `360 summaries, not ${proxy.summaries.length}`,
  )
  assert.deepEqual(
    proxy.summaries.filter(({ termination }) => termination !== '--'),
    [],
  )
  assert.equal(events.filter(({ change }) => change === 'down').length, 1)
})

test('most servers of a group are gone: each is found out by one request, and the others do not meet them', async (t) => {
  const gone = [await RefusingAddress.hold(t), await RefusingAddress.hold(t)]
  const alive = await ScriptedOrigin.start(t, answering('a'))
  // Half of the servers is what a group of the file is satisfied with when nothing is said; and no time that this test waits brings one back.
  const group = groupOf([...gone.map(({ address }) => address), alive.address], { panicShare: 0.5, timeouts: { serverDown: 600_000 } })
  const proxy = await ProxyUnderTest.start(t, { service: serviceOf({ app: group }, routeTo('app')) })
  const client = await proxy.client()
  for (let i = 0; i < 20; i++) assert.equal((await client.exchange(get())).body, 'a')
  const { selection, retriesTotal } = proxy.proxy.stats.groups['app']!
  assert.equal(selection, 'usable')
  assert.equal(retriesTotal.connect, 2)
})

test('a server whose answers say that it cannot serve is ejected, and told of once', async (t) => {
  const sick: Script = answeringWith((_request, connection) => connection.respond(503, 'sick'))
  const { proxy, origins, events } = await start(t, [sick, answering('b')], { outlier })
  const client = await proxy.client()
  const bodies: string[] = []
  for (let i = 0; i < 20; i++) bodies.push((await client.exchange(get())).body)
  assert.equal(bodies.filter((body) => body === 'sick').length, 3)
  assert.deepEqual(
    events.map(({ group, server, change }) => [group, server, change]),
    [['app', origins[0]!.address, 'ejected']],
  )
  const { state, reason, failuresTotal, ejectionsTotal } = proxy.proxy.stats.upstreams[`app/${origins[0]!.address}`]!
  assert.deepEqual([state, failuresTotal, ejectionsTotal], ['ejected', 3, 1])
  assert.match(reason, /^3 failures in a row/)
})

test('an ordinary error of an application, and a client that goes away, count for nothing', async (t) => {
  let requests = 0
  const odd: Script = answeringWith((_request, connection) => {
    if (++requests > 10) connection.respond(500, 'a bug')
  })
  const { proxy, origins, events } = await start(t, [odd], { outlier: { ...outlier, ejectShareMax: 1 } })
  for (let i = 0; i < 10; i++) {
    const client = await proxy.client()
    client.send(get())
    await until(
      () => requests > i,
      () => `request ${i}`,
    )
    client.destroy()
    await proxy.summary()
  }
  const client = await proxy.client()
  for (let i = 0; i < 10; i++) assert.equal((await client.exchange(get())).status, 500)
  assert.equal(proxy.proxy.stats.upstreams[`app/${origins[0]!.address}`]!.failuresTotal, 0)
  assert.deepEqual(events, [])
})

test('what the circuit breaker refuses is told so at once, and when to come again', async (t) => {
  const waiting: (() => void)[] = []
  const slow: Script = answeringWith((_request, connection) => void waiting.push(() => connection.respond(200, 'late')))
  const { proxy, origins } = await start(t, [slow], { breaker: { exchanges: 1, waiting: 10, retries: 10 } })
  const first = await proxy.client()
  first.send(get())
  await until(
    () => waiting.length === 1,
    () => 'the first request',
  )
  const second = await proxy.client()
  const refused = await second.exchange(get())
  assert.equal(refused.status, 503)
  assert.equal(refused.field('Retry-After'), '1')
  assert.match(refused.field('Proxy-Status'), /error=connection_limit_reached; details="the circuit breaker/)
  const { error, termination } = await proxy.summary()
  assert.deepEqual([error, termination], ['ERR_EPROXY_CIRCUIT_OPEN', 'PQ'])
  assert.equal(proxy.proxy.stats.groups['app']!.isBreakerOpen, true)
  waiting.shift()!()
  assert.equal((await first.response()).body, 'late')
  await proxy.summary()
  second.send(get())
  await until(
    () => waiting.length === 1,
    () => 'a request that may go again',
  )
  waiting.shift()!()
  assert.equal((await second.response()).status, 200)
  assert.equal(origins[0]!.heads.length, 2)
})

test('a group without a usable server says so, also to a request with a body, and keeps the connection where it can', async (t) => {
  const { proxy, origins } = await start(t, [answering('a')])
  proxy.proxy.setServerState('app', origins[0]!.address, 'disabled')
  const client = await proxy.client()
  for (const request of [get(), withBody('POST', 'order')]) {
    const response = await client.exchange(request)
    assert.equal(response.status, 503)
    assert.match(response.field('Proxy-Status'), /error=destination_unavailable/)
    assert.equal((await proxy.summary()).error, 'ERR_EPROXY_NO_SERVER')
  }
  proxy.proxy.setServerState('app', origins[0]!.address, 'enabled')
  assert.equal((await client.exchange(get())).body, 'a')
})

test('another configuration keeps what is known of servers that stay', async (t) => {
  const sick: Script = answeringWith((_request, connection) => connection.respond(503, 'sick'))
  const { proxy, origins, reload } = await start(t, [sick, answering('b'), answering('c')], { outlier })
  const client = await proxy.client()
  for (let i = 0; i < 9; i++) await client.exchange(get())
  proxy.proxy.setServerState('app', origins[1]!.address, 'disabled')
  const known = (): unknown => {
    const { upstreams } = proxy.proxy.stats
    return origins.map(({ address }) => [upstreams[`app/${address}`]!.state, upstreams[`app/${address}`]!.failuresTotal])
  }
  assert.deepEqual(known(), [['ejected', 3], ['disabled', 0], ['up', 0]]) // oxfmt-ignore
  reload({ outlier: { ...outlier, consecutive: 7 }, balance: 'least-connections' })
  assert.deepEqual(known(), [['ejected', 3], ['disabled', 0], ['up', 0]]) // oxfmt-ignore
  for (let i = 0; i < 5; i++) assert.equal((await client.exchange(get())).body, 'c')
  assert.throws(() => reload({ balance: 'sticky', stickyCookie: 'no name' }), { code: 'ERR_EPROXY_OPTION' })
  assert.equal((await client.exchange(get())).body, 'c')
})

/**
 * Retries by the rule of a route: what failed, and how, is tried on another server of the group as long as nobody has seen anything of an
 * answer, the request is idempotent and at hand, and the group's budget has room. Servers that fail are as hostile as they can be.
 */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { GroupOptions, RetryOptions, RouteOptions } from '../../lib/core/service-options.ts'
import { until } from '../support/patience.ts'
import { ProxyUnderTest, type StartOptions } from '../support/proxy-under-test.ts'
import { get, withBody, type RawClient } from '../support/raw-client.ts'
import { RefusingAddress } from '../support/refusing-address.ts'
import { answering, answeringWith, ScriptedOrigin, silent, type OriginRequest, type Script } from '../support/scripted-origin.ts'
import { anyRetry, groupOf, routeTo, serviceOf } from '../support/service.ts'

interface Pair {
  readonly failing: ScriptedOrigin
  readonly healthy: ScriptedOrigin
  readonly proxy: ProxyUnderTest
  readonly client: RawClient
  /** What the healthy server was asked. */
  readonly asked: OriginRequest[]
}

interface PairOptions {
  readonly retry?: Partial<RetryOptions>
  readonly route?: Partial<RouteOptions>
  readonly group?: Partial<GroupOptions>
  readonly proxy?: StartOptions
}

/** Two servers: the first request goes to the failing one, because servers take turns. */
async function startPair(t: TestContext, script: Script, { retry, route, group, proxy: options }: PairOptions = {}): Promise<Pair> {
  const asked: OriginRequest[] = []
  const failing = await ScriptedOrigin.start(t, script)
  const healthy = await ScriptedOrigin.start(
    t,
    answeringWith((request, connection) => {
      asked.push(request)
      connection.respond(200, `fine ${request.body}`)
    }),
  )
  const service = serviceOf(
    { app: groupOf([failing.address, healthy.address], group) },
    routeTo('app', { retry: { ...anyRetry, ...retry }, ...route }),
  )
  const proxy = await ProxyUnderTest.start(t, { ...options, service })
  return { failing, healthy, proxy, client: await proxy.client(), asked }
}

function retriesOf(proxy: ProxyUnderTest): Record<string, number> {
  const counts = proxy.proxy.stats.groups['app']!.retriesTotal
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0))
}

const closing: Script = async (connection) => {
  await connection.head()
  connection.end()
}
const failingWith =
  (status: number, body = 'no'): Script =>
  async (connection) => {
    for (;;) {
      await connection.request()
      connection.respond(status, body)
    }
  }

test('a status of the list is tried again on another server, and its connection is used again', async (t) => {
  const { failing, healthy, proxy, client } = await startPair(t, failingWith(503))
  for (let i = 0; i < 3; i++) {
    const response = await client.exchange(get('/x'))
    assert.equal(response.status, 200)
    assert.equal(response.body, 'fine ')
  }
  const summary = await proxy.summary()
  assert.equal(summary.retries, 1)
  assert.equal(summary.status, 200)
  assert.equal(summary.upstream, healthy.address)
  assert.equal(summary.termination, '--')
  // Turns: failing and healthy, then healthy is next or failing again; each failing one cost one retry and no connection.
  assert.equal(failing.connections.length, 1)
  assert.equal(retriesOf(proxy)['status'], failing.heads.length)
})

test('a status that is not of the list goes through', async (t) => {
  const { client, proxy } = await startPair(t, failingWith(502))
  assert.equal((await client.exchange(get())).status, 502)
  assert.deepEqual(retriesOf(proxy), {})
})

test('the last answer goes through when every server says no', async (t) => {
  const origins = [await ScriptedOrigin.start(t, failingWith(503, 'one')), await ScriptedOrigin.start(t, failingWith(503, 'two'))]
  const proxy = await ProxyUnderTest.start(t, {
    service: serviceOf({ app: groupOf(origins.map(({ address }) => address)) }, routeTo('app', { retry: { ...anyRetry, attempts: 5 } })),
  })
  const response = await (await proxy.client()).exchange(get())
  assert.equal(response.status, 503)
  assert.equal(response.body, 'two')
  assert.equal((await proxy.summary()).retries, 1)
})

test('a response that is long or never ends is not waited for', async (t) => {
  const { client, failing } = await startPair(t, async (connection) => {
    await connection.request()
    connection.send('HTTP/1.1 503 No\r\nContent-Length: 1000000\r\n\r\nsome')
    await connection.ended()
  })
  assert.equal((await client.exchange(get())).status, 200)
  await (await failing.connection()).ended()
})

test('a broken body behind a status of the list does not matter', async (t) => {
  const { client, proxy } = await startPair(t, async (connection) => {
    await connection.request()
    connection.send('HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\nnot a chunk size\r\n')
  })
  assert.equal((await client.exchange(get())).status, 200)
  const summary = await proxy.summary()
  assert.equal(summary.rule, '')
  assert.equal(summary.error, '')
})

for (const method of ['POST', 'PATCH']) {
  test(`${method} gets the status, whatever it is`, async (t) => {
    const { client, proxy, asked } = await startPair(t, failingWith(503))
    assert.equal((await client.exchange(withBody(method, 'order'))).status, 503)
    assert.deepEqual(asked, [])
    assert.equal((await proxy.summary()).retries, 0)
  })

  test(`${method} is not sent again after its connection was closed`, async (t) => {
    const { client, asked } = await startPair(t, closing)
    assert.equal((await client.exchange(withBody(method, 'order'))).status, 502)
    assert.deepEqual(asked, [])
  })
}

test('POST goes to the next server when the first refuses: nothing was sent', async (t) => {
  const refusing = await RefusingAddress.hold(t)
  const origin = await ScriptedOrigin.start(
    t,
    answeringWith((request, connection) => connection.respond(200, request.body)),
  )
  const proxy = await ProxyUnderTest.start(t, {
    service: serviceOf({ app: groupOf([refusing.address, origin.address]) }, routeTo('app', { retry: anyRetry })),
  })
  assert.equal((await (await proxy.client()).exchange(withBody('POST', 'words'))).body, 'words')
  assert.deepEqual(retriesOf(proxy), { connect: 1 })
})

test("without 'connect' in the list a server that refuses is the end", async (t) => {
  const refusing = await RefusingAddress.hold(t)
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, {
    service: serviceOf({ app: groupOf([refusing.address, origin.address]) }, routeTo('app', { retry: { ...anyRetry, on: ['closed'] } })),
  })
  assert.equal((await (await proxy.client()).exchange(get())).status, 502)
  assert.equal((await proxy.summary()).retries, 0)
})

const firstResponse = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nnever'
const headBytes = firstResponse.indexOf('\r\n\r\n') + 4

for (const { name, end } of [
  { name: 'closes', end: 'end' },
  { name: 'resets', end: 'reset' },
] as const) {
  test(`a server that ${name} after any number of bytes of its head is replaced by another, after its head it is not`, async (t) => {
    let cut = 0
    const { client, proxy } = await startPair(
      t,
      async (connection) => {
        await connection.request()
        connection.send(firstResponse.slice(0, cut))
        connection[end]()
      },
      // Every request meets the failing one first.
      { group: { balance: 'hash', hashOn: { kind: 'header', name: 'key' } } },
    )
    const { stats } = proxy.proxy
    assert.equal(Object.keys(stats.upstreams).length, 2)
    for (; cut < headBytes; cut++) {
      const response = await client.exchange(get(`/${cut}`, `Key: ${cut}\r\n`))
      assert.equal(response.status, 200, `cut at ${cut}`)
      assert.equal(response.body, 'fine ', `cut at ${cut}`)
    }
    assert.ok(retriesOf(proxy)['closed']! > 0, 'some went to the failing server first')
  })
}

test('a head that is complete is relayed, and its cut body is cut for the client too', async (t) => {
  const { client, proxy, asked } = await startPair(t, async (connection) => {
    await connection.request()
    connection.send(firstResponse.slice(0, headBytes + 2))
    connection.end()
  })
  await assert.rejects(client.exchange(get()))
  assert.deepEqual(asked, [])
  assert.equal((await proxy.summary()).retries, 0)
})

test('nothing is tried again after an interim response: the client has seen it', async (t) => {
  const { client, asked } = await startPair(t, async (connection) => {
    await connection.request()
    connection.send('HTTP/1.1 103 Early Hints\r\n\r\n')
    connection.end()
  })
  assert.equal((await client.exchange(get())).status, 103)
  assert.equal((await client.response()).status, 502)
  assert.deepEqual(asked, [])
})

test('an interim response and a status of the list in one read: both go through', async (t) => {
  const { client, asked } = await startPair(t, async (connection) => {
    await connection.request()
    connection.send('HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n')
    await connection.ended()
  })
  assert.equal((await client.exchange(get())).status, 103)
  assert.equal((await client.response()).status, 503)
  assert.deepEqual(asked, [])
})

test('a server that says nothing in time is replaced by another', async (t) => {
  const { client, proxy, failing } = await startPair(t, silent, { route: { timeouts: { responseHead: 1_000 } } })
  assert.equal((await client.exchange(get())).status, 200)
  assert.deepEqual(retriesOf(proxy), { timeout: 1 })
  await (await failing.connection()).ended()
})

test('a server that stalls in the middle of its head is replaced by another', async (t) => {
  const { client, proxy } = await startPair(
    t,
    async (connection) => {
      await connection.request()
      connection.send('HTTP/1.1 200 OK\r\nX-Half: ')
      await connection.ended()
    },
    { route: { timeouts: { responseHead: 1_000 } } },
  )
  assert.equal((await client.exchange(get())).status, 200)
  assert.deepEqual(retriesOf(proxy), { timeout: 1 })
})

test('the response head timeout of a route is its own', async (t) => {
  const { client, proxy } = await startPair(t, silent, { retry: { on: [] }, route: { timeouts: { responseHead: 1_000 } } })
  assert.equal((await client.exchange(get())).status, 504)
  assert.equal((await proxy.summary()).error, 'ERR_EPROXY_RESPONSE_HEAD_TIMEOUT')
})

test('a PUT is sent again with all of its body, framing and trailers', async (t) => {
  const { client, asked } = await startPair(t, async (connection) => {
    await connection.request()
    connection.end()
  })
  const body = '4\r\nsome\r\n6\r\n words\r\n0\r\nX-Sum: 1\r\n\r\n'
  const response = await client.exchange(`PUT / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n${body}`)
  assert.equal(response.body, 'fine some words')
  assert.equal(asked[0]!.trailers, 'X-Sum: 1\r\n')
})

test('a PUT whose body is half sent goes on where it was, on the other server', async (t) => {
  const { client, healthy, asked } = await startPair(t, async (connection) => {
    await connection.head()
    connection.respond(503, '')
  })
  client.send('PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nsome ')
  const other = await healthy.connection()
  await until(
    () => other.unread === 'some ' || asked.length > 0,
    () => `the first half of the body; ${other.unread}`,
  )
  client.send('words')
  assert.equal((await client.response()).body, 'fine some words')
})

test('a request whose client waits for a 100 is tried again like any other, and its body goes to the second server', async (t) => {
  const { client, proxy, asked } = await startPair(
    t,
    async (connection) => {
      await connection.head()
      connection.respond(503, '')
    },
    { route: { timeouts: { responseHead: 60_000 } } },
  )
  client.send('PUT / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n')
  await until(
    () => retriesOf(proxy)['status'] === 1,
    () => 'the request to go to the second server',
  )
  // That one does not ask for the body, and the client does not wait any longer: RFC 9110 section 10.1.1 allows both.
  client.send('words')
  const response = await client.response()
  assert.equal(response.status, 200)
  assert.equal(response.body, 'fine words')
  assert.equal(asked.length, 1)
  assert.equal((await proxy.summary()).termination, '--')
})

test('a PUT with more than replayBytes is not sent again', async (t) => {
  const { client, asked } = await startPair(
    t,
    async (connection) => {
      await connection.request()
      connection.respond(503, '')
    },
    { proxy: { limits: { replayBytes: 1_000 } } },
  )
  assert.equal((await client.exchange(withBody('PUT', 'x'.repeat(1_000)))).status, 503)
  assert.deepEqual(asked, [])
})

test('attempts bounds how many servers are tried', async (t) => {
  const failing = [await ScriptedOrigin.start(t, closing), await ScriptedOrigin.start(t, closing), await ScriptedOrigin.start(t, closing)]
  for (const attempts of [0, 1, 2]) {
    const proxy = await ProxyUnderTest.start(t, {
      service: serviceOf({ app: groupOf(failing.map(({ address }) => address)) }, routeTo('app', { retry: { ...anyRetry, attempts } })),
    })
    const before = failing.reduce((sum, { connections }) => sum + connections.length, 0)
    assert.equal((await (await proxy.client()).exchange(get())).status, 502)
    const after = failing.reduce((sum, { connections }) => sum + connections.length, 0)
    assert.equal(after - before, attempts + 1)
    assert.equal((await proxy.summary()).retries, attempts)
  }
})

test('a group of one server has nobody to ask instead, and its answer goes through', async (t) => {
  const origin = await ScriptedOrigin.start(t, failingWith(503, 'sorry'))
  const proxy = await ProxyUnderTest.start(t, {
    service: serviceOf({ app: groupOf([origin.address]) }, routeTo('app', { retry: anyRetry })),
  })
  assert.equal((await (await proxy.client()).exchange(get())).body, 'sorry')
  assert.equal(origin.heads.length, 1)
})

test('a pooled connection that was closed already is no reason to leave its server', async (t) => {
  const origin = await ScriptedOrigin.start(t, async (connection, index) => {
    await connection.request()
    connection.respond(200, `from connection ${index}`)
    await connection.head()
    connection.end()
  })
  const proxy = await ProxyUnderTest.start(t, {
    service: serviceOf({ app: groupOf([origin.address]) }, routeTo('app', { retry: { ...anyRetry, attempts: 0 } })),
  })
  const client = await proxy.client()
  assert.equal((await client.exchange(get())).body, 'from connection 0')
  assert.equal((await client.exchange(get())).body, 'from connection 1')
  assert.deepEqual(retriesOf(proxy), { stale: 1 })
})

test('the budget bounds how many are tried again at a time; who finds no room gets what there is', async (t) => {
  const held: (() => void)[] = []
  const failing = await ScriptedOrigin.start(t, closing)
  const healthy = await ScriptedOrigin.start(
    t,
    answeringWith((_request, connection) => held.push(() => connection.respond(200, 'fine'))),
  )
  const proxy = await ProxyUnderTest.start(t, {
    service: serviceOf(
      { app: groupOf([failing.address, healthy.address], { balance: 'round-robin' }) },
      routeTo('app', { retry: { ...anyRetry, budget: 0, budgetMin: 2 } }),
    ),
  })
  const clients = await Promise.all(Array.from({ length: 8 }, () => proxy.client()))
  const answers = clients.map((client) => client.exchange(get()))
  const { groups } = proxy.proxy.stats
  assert.ok(groups['app'])
  // However the turns fell: whoever met the failing server is retried or denied, and the others wait at the healthy one.
  await until(
    () => {
      const { retriesTotal, retriesDeniedTotal } = proxy.proxy.stats.groups['app']!
      return retriesTotal.closed + retriesDeniedTotal === failing.connections.length && held.length + retriesDeniedTotal === 8
    },
    () => `everyone to be somewhere: ${JSON.stringify(proxy.proxy.stats.groups)}`,
  )
  const { retriesTotal, retriesDeniedTotal, retrying } = proxy.proxy.stats.groups['app']!
  assert.ok(retriesTotal.closed <= 2 && retrying <= 2)
  assert.ok(retriesDeniedTotal > 0)
  for (const respond of held) respond()
  const statuses = (await Promise.all(answers)).map(({ status }) => status)
  assert.equal(statuses.filter((status) => status === 502).length, retriesDeniedTotal)
  assert.equal(statuses.filter((status) => status === 200).length, 8 - retriesDeniedTotal)
  assert.equal(proxy.proxy.stats.groups['app']!.retrying, 0)
  assert.equal(proxy.proxy.stats.groups['app']!.active, 0)
})

test('a client that goes away while its second server is silent leaves nothing behind', async (t) => {
  const failing = await ScriptedOrigin.start(t, failingWith(503))
  const mute = await ScriptedOrigin.start(t, silent)
  const proxy = await ProxyUnderTest.start(t, {
    service: serviceOf({ app: groupOf([failing.address, mute.address]) }, routeTo('app', { retry: anyRetry })),
  })
  const client = await proxy.client()
  client.send(get())
  const connection = await mute.connection()
  await until(
    () => connection.heads.length === 1,
    () => 'the request to be at the second server',
  )
  client.destroy()
  await connection.ended()
  await proxy.quiet()
  assert.equal(proxy.proxy.stats.groups['app']!.active, 0)
  assert.equal(proxy.proxy.stats.groups['app']!.retrying, 0)
})

test('a retry to a status that no error has is refused at the start', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  await assert.rejects(
    ProxyUnderTest.start(t, {
      service: serviceOf({ app: groupOf([origin.address]) }, routeTo('app', { retry: { ...anyRetry, on: [200] } })),
    }),
    { code: 'ERR_EPROXY_OPTION' },
  )
})

/**
 * Groups whose servers DNS tells, from the query to the connection: a DNS server in this process, origins on addresses of the loopback
 * network, and requests through the proxy.
 */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { code, rcode, startNameServer, zoneOf, type NameServer, type ZoneRecord } from '../support/name-server.ts'
import { until } from '../support/patience.ts'
import { ProxyUnderTest } from '../support/proxy-under-test.ts'
import { get } from '../support/raw-client.ts'
import { answering, ScriptedOrigin, silent } from '../support/scripted-origin.ts'
import { socketAccess } from '../support/socket-access.ts'
import { groupOf, routeTo, serviceOf } from '../support/service.ts'

/** The least that a TTL may be: these tests wait for one. */
const timeouts = { dnsTtlMin: 1_000, dnsTtlMax: 1_000 }

interface Scene {
  readonly dns: NameServer
  readonly records: ZoneRecord[]
}

async function startZone(t: TestContext, records: ZoneRecord[]): Promise<Scene> {
  return { dns: await startNameServer(t, zoneOf(records)), records }
}

function serversOf(proxy: ProxyUnderTest): string[] {
  return Object.entries(proxy.proxy.stats.upstreams)
    .filter(([, { state }]) => state !== 'draining')
    .map(([name]) => name)
    .sort()
}

/** Origins on the same port of 127.0.0.1 and so on, which answer with their address. */
async function startSiblings(t: TestContext, count: number): Promise<{ readonly origins: ScriptedOrigin[]; readonly port: string }> {
  for (let attempt = 1; ; attempt++) {
    const first = await ScriptedOrigin.start(t, answering('127.0.0.1'))
    const port = first.address.split(':')[1]!
    try {
      const origins = [first]
      for (let i = 2; i <= count; i++)
        origins.push(await ScriptedOrigin.start(t, answering(`127.0.0.${i}`), { listen: `127.0.0.${i}:${port}` }))
      return { origins, port }
    } catch (error) {
      // Somebody has that port on another address.
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || attempt === 10) throw error
    }
  }
}

test('with resolveAll the addresses of a name share the load, and the first request finds all of them', async (t) => {
  const { dns } = await startZone(t, [
    { name: 'app.test', type: 'A', data: '127.0.0.1' },
    { name: 'app.test', type: 'A', data: '127.0.0.2' },
  ])
  const { port } = await startSiblings(t, 2)
  const service = serviceOf({ app: groupOf([`app.test:${port}`], { resolveAll: true }) }, routeTo('app'))
  const proxy = await ProxyUnderTest.start(t, { service, nameServers: [dns.address] })
  assert.deepEqual(serversOf(proxy), [`app/127.0.0.1:${port}`, `app/127.0.0.2:${port}`])
  const client = await proxy.client()
  const bodies = new Set([(await client.exchange(get())).body, (await client.exchange(get())).body])
  assert.deepEqual([...bodies].sort(), ['127.0.0.1', '127.0.0.2'])
})

test('a new address joins, one that is gone gets no more and finishes what it has', async (t) => {
  const { dns, records } = await startZone(t, [{ name: 'app.test', type: 'A', ttl: 1, data: '127.0.0.1' }])
  const leaving = await ScriptedOrigin.start(t, silent)
  const port = leaving.address.split(':')[1]!
  const joining = await ScriptedOrigin.start(t, answering('joined'), { listen: `127.0.0.2:${port}` })
  const service = serviceOf({ app: groupOf([`app.test:${port}`], { resolveAll: true }) }, routeTo('app'))
  const proxy = await ProxyUnderTest.start(t, { service, timeouts, nameServers: [dns.address] })
  const early = await proxy.client()
  early.send(get('/long'))
  const running = await leaving.connection()
  await until(
    () => running.heads.length === 1,
    () => 'the request at the server that is about to leave',
  )
  records[0] = { name: 'app.test', type: 'A', ttl: 1, data: '127.0.0.2' }
  await until(
    () => serversOf(proxy).join() === `app/127.0.0.2:${port}`,
    () => `the new list; ${serversOf(proxy).join()}`,
  )
  assert.equal((await (await proxy.client()).exchange(get())).body, 'joined')
  running.respond(200, 'late')
  assert.equal((await early.response()).body, 'late')
  // Its connection is not kept: there will be no other request for it.
  await running.ended()
  assert.equal(leaving.heads.length, 1)
  assert.equal(joining.heads.length, 1)
})

test('an SRV record is a group: its ports, and its lowest priority first', async (t) => {
  const first = await ScriptedOrigin.start(t, answering('first'))
  const spare = await ScriptedOrigin.start(t, answering('spare'))
  const { dns } = await startZone(t, [
    { name: '_http._tcp.app.test', type: 'SRV', data: `1 1 ${first.address.split(':')[1]} a.test` },
    { name: '_http._tcp.app.test', type: 'SRV', data: `2 1 ${spare.address.split(':')[1]} a.test` },
    { name: 'a.test', type: 'A', data: '127.0.0.1' },
  ])
  for (const resolveAll of [false, true]) {
    const service = serviceOf({ app: groupOf(['srv:_http._tcp.app.test'], { resolveAll }) }, routeTo('app'))
    const proxy = await ProxyUnderTest.start(t, { service, nameServers: [dns.address] })
    const client = await proxy.client()
    for (let i = 0; i < 3; i++) assert.equal((await client.exchange(get())).body, 'first')
  }
  assert.equal(spare.connections.length, 0)
})

test('while DNS fails the proxy goes on with the servers that it knows, and listens without any', async (t) => {
  const { dns } = await startZone(t, [{ name: 'app.test', type: 'A', ttl: 1, data: '127.0.0.1' }])
  const answer = dns.reply
  dns.reply = code(rcode.refused)
  const { port } = await startSiblings(t, 1)
  const service = serviceOf({ app: groupOf([`app.test:${port}`], { resolveAll: true }) }, routeTo('app'))
  const proxy = await ProxyUnderTest.start(t, { service, timeouts, nameServers: [dns.address] })
  const client = await proxy.client()
  const response = await client.exchange(get())
  assert.equal(response.status, 503)
  assert.match(response.field('Proxy-Status'), /error=dns_error/)
  assert.notEqual(response.field('Retry-After'), '')
  dns.reply = answer
  await until(
    () => serversOf(proxy).join() === `app/127.0.0.1:${port}`,
    () => `the address; ${serversOf(proxy).join()}`,
  )
  dns.reply = code(rcode.refused)
  const asked = dns.asked.length
  await until(
    () => dns.asked.length >= asked + 4,
    () => 'two more questions that fail',
  )
  assert.equal((await client.exchange(get())).body, '127.0.0.1')
})

test('a service that is not in DNS is 503 until it is', async (t) => {
  const { dns, records } = await startZone(t, [])
  const origin = await ScriptedOrigin.start(t, answering('found'))
  const service = serviceOf({ app: groupOf(['srv:_http._tcp.app.test']) }, routeTo('app'))
  const proxy = await ProxyUnderTest.start(t, { service, nameServers: [dns.address] })
  const client = await proxy.client()
  assert.equal((await client.exchange(get())).status, 503)
  records.push(
    { name: '_http._tcp.app.test', type: 'SRV', data: `1 1 ${origin.address.split(':')[1]} a.test` },
    { name: 'a.test', type: 'A', data: '127.0.0.1' },
  )
  await until(
    () => serversOf(proxy).length === 1,
    () => 'the server',
  )
  assert.equal((await client.exchange(get())).body, 'found')
})

test('another configuration keeps the servers that DNS told where it says the same, and lets go of them where it does not', async (t) => {
  const { dns } = await startZone(t, [
    { name: 'app.test', type: 'A', data: '127.0.0.1' },
    { name: 'app.test', type: 'A', data: '127.0.0.2' },
  ])
  const { port } = await startSiblings(t, 2)
  const options = { nameServers: [dns.address] }
  const names = { app: groupOf([`app.test:${port}`], { resolveAll: true }) }
  const proxy = await ProxyUnderTest.start(t, { ...options, service: serviceOf(names, routeTo('app')) })
  const asked = dns.asked.length
  proxy.proxy.reload({ ...options, ...socketAccess, service: serviceOf(names, routeTo('app', { timeouts: { responseHead: 9_000 } })) })
  assert.equal(serversOf(proxy).length, 2)
  assert.equal(dns.asked.length, asked)
  const fixed = { app: groupOf([`127.0.0.1:${port}`]) }
  proxy.proxy.reload({ ...options, ...socketAccess, service: serviceOf(fixed, routeTo('app')) })
  assert.deepEqual(serversOf(proxy), [`app/127.0.0.1:${port}`])
  proxy.proxy.reload({ ...options, ...socketAccess, service: serviceOf(names, routeTo('app')) })
  // Until the answer is there the old servers serve.
  assert.deepEqual(serversOf(proxy), [`app/127.0.0.1:${port}`])
  assert.equal((await (await proxy.client()).exchange(get())).status, 200)
  await until(
    () => serversOf(proxy).length === 2,
    () => 'both addresses',
  )
})

test('name servers and times of a reload hold for what is asked from then on', async (t) => {
  const unknowing = await startNameServer(t, code(rcode.nameError))
  const { dns } = await startZone(t, [{ name: 'app.test', type: 'A', data: '127.0.0.1' }])
  const { port } = await startSiblings(t, 1)
  const service = serviceOf({ app: groupOf([`app.test:${port}`]) }, routeTo('app'))
  const proxy = await ProxyUnderTest.start(t, { service, timeouts, nameServers: [unknowing.address] })
  assert.equal((await (await proxy.client()).exchange(get())).status, 503)
  proxy.proxy.reload({ service, timeouts, nameServers: [dns.address], ...socketAccess })
  // A failure is kept for a second.
  let status = 503
  for (let tries = 0; status === 503 && tries < 200; tries += 1) {
    status = (await (await proxy.client()).exchange(get())).status
    if (status === 503) await new Promise((resolve) => setTimeout(resolve, 50))
  }
  assert.equal(status, 200)
})

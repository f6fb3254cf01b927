/**
 * Discovery against a real resolver and a DNS server in this process, with a clock that the test turns: what becomes a server, what stays
 * and what goes. Only waiting for datagrams takes real time.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { formatAddress } from '../../lib/core/options.ts'
import type { ServerOptions } from '../../lib/core/service-options.ts'
import { Discovery, needsDiscovery, serversOfNameMax } from '../../lib/upstream/discovery.ts'
import { Resolver } from '../../lib/upstream/resolver.ts'
import type { GroupServer } from '../../lib/upstream/server.ts'
import { code, rcode, startNameServer, zoneOf, type NameServer, type ZoneRecord } from '../support/name-server.ts'
import { until } from '../support/patience.ts'
import { VirtualClock } from '../sim/virtual-clock.ts'

function server(address: string, options: Partial<ServerOptions> = {}): ServerOptions {
  return { address, weight: 1, backup: false, ...options }
}

/** `address weight`, and `backup` where it is one. */
function describeServers(servers: readonly GroupServer[]): string[] {
  return servers.map(({ address, weight, backup }) => `${formatAddress(address)} ${weight}${backup ? ' backup' : ''}`)
}

class DiscoveryUnderTest {
  readonly clock = new VirtualClock()
  readonly records: ZoneRecord[]
  readonly dns: NameServer
  readonly discovery: Discovery
  /** Every list that was told, in order. */
  readonly told: string[][] = []
  readonly failures: string[] = []
  readonly faults: unknown[] = []

  static async start(
    t: TestContext,
    servers: readonly ServerOptions[],
    records: ZoneRecord[],
    resolveAll = true,
  ): Promise<DiscoveryUnderTest> {
    const dns = await startNameServer(t, zoneOf(records))
    const started = new DiscoveryUnderTest(t, dns, servers, records, resolveAll)
    await started.discovery.ready
    return started
  }

  private constructor(t: TestContext, dns: NameServer, servers: readonly ServerOptions[], records: ZoneRecord[], resolveAll: boolean) {
    this.dns = dns
    this.records = records
    const resolver = new Resolver({
      timeoutMs: 20_000,
      ttlMinMs: 1_000,
      ttlMaxMs: 300_000,
      staleMs: 60_000,
      servers: [dns.address],
      hostsFile: join(import.meta.dirname, 'no such hosts file'),
      now: () => this.clock.now(),
    })
    this.discovery = new Discovery(servers, resolveAll, {
      clock: this.clock,
      resolver,
      absentMs: 60_000,
      onServers: (list) => this.told.push(describeServers(list)),
      onFailure: (name, error, kept) => this.failures.push(`${name} ${error.code} ${kept}`),
      onFault: (error) => this.faults.push(error),
    })
    t.after(() => {
      this.discovery.close()
      resolver.close()
      assert.deepEqual(this.faults, [])
      assert.equal(this.clock.scheduledCount, 0, 'a timer is left')
    })
  }

  get servers(): string[] {
    return describeServers(this.discovery.servers)
  }

  /** Lets time pass until a question is due, and waits until the answer has been dealt with: the next one is scheduled. */
  async pass(ms: number, questions: number): Promise<void> {
    const asked = this.dns.asked.length
    const scheduled = this.clock.scheduledCount
    this.clock.advance(ms)
    await until(
      () => this.dns.asked.length >= asked + questions && this.clock.scheduledCount === scheduled,
      () => `${questions} questions; asked: ${this.dns.asked.slice(asked).join(', ')}`,
    )
  }
}

test('each address of a name is a server, in both families, with the weight and the role of its entry', async (t) => {
  const under = await DiscoveryUnderTest.start(
    t,
    [server('app.test:8080', { weight: 3 }), server('spare.test', { backup: true })],
    [
      { name: 'app.test', type: 'A', data: '10.0.0.2' },
      { name: 'app.test', type: 'A', data: '10.0.0.1' },
      { name: 'app.test', type: 'AAAA', data: '2001:db8::1' },
      { name: 'spare.test', type: 'A', data: '10.0.0.9' },
    ],
  )
  assert.deepEqual(under.servers, ['10.0.0.1:8080 3', '10.0.0.2:8080 3', '[2001:db8::1]:8080 3', '10.0.0.9:80 1 backup'])
  assert.deepEqual(under.told, [under.servers])
})

test('what needs no answer is there at once, and is told once', async (t) => {
  const under = await DiscoveryUnderTest.start(t, [server('10.0.0.1:80'), server('unix:/run/app'), server('[::1]:81')], [])
  assert.deepEqual(under.servers, ['10.0.0.1:80 1', 'unix:/run/app 1', '[::1]:81 1'])
  assert.deepEqual(under.told, [under.servers])
  assert.deepEqual(under.dns.asked, [])
})

test('only names and services need discovery, and names only where each address counts', () => {
  assert.equal(needsDiscovery([server('10.0.0.1:80'), server('unix:/x')], true), false)
  assert.equal(needsDiscovery([server('app.test:80')], false), false)
  assert.equal(needsDiscovery([server('10.0.0.1:80'), server('app.test:80')], true), true)
  assert.equal(needsDiscovery([server('srv:_http._tcp.app.test')], false), true)
})

test('a new address joins and one that is gone leaves when the TTL is over, not before', async (t) => {
  const under = await DiscoveryUnderTest.start(
    t,
    [server('app.test:80')],
    [
      { name: 'app.test', type: 'A', ttl: 30, data: '10.0.0.1' },
      { name: 'app.test', type: 'A', ttl: 30, data: '10.0.0.2' },
    ],
  )
  under.records.splice(0, 1, { name: 'app.test', type: 'A', ttl: 30, data: '10.0.0.3' })
  const asked = under.dns.asked.length
  under.clock.advance(29_999)
  assert.equal(under.dns.asked.length, asked)
  await under.pass(1, 2)
  assert.deepEqual(under.told, [
    ['10.0.0.1:80 1', '10.0.0.2:80 1'],
    ['10.0.0.2:80 1', '10.0.0.3:80 1'],
  ])
})

test('the same addresses in another order are no news', async (t) => {
  const under = await DiscoveryUnderTest.start(
    t,
    [server('app.test:80')],
    [
      { name: 'app.test', type: 'A', ttl: 5, data: '10.0.0.1' },
      { name: 'app.test', type: 'A', ttl: 5, data: '10.0.0.2' },
    ],
  )
  for (let i = 0; i < 3; i++) {
    under.records.reverse()
    await under.pass(5_000, 2)
  }
  assert.equal(under.told.length, 1)
})

test('a TTL of zero is asked for once a second at most', async (t) => {
  const under = await DiscoveryUnderTest.start(t, [server('app.test:80')], [{ name: 'app.test', type: 'A', ttl: 0, data: '10.0.0.1' }])
  await under.pass(1_000, 2)
  await under.pass(1_000, 2)
  assert.equal(under.dns.asked.length, 6)
})

test('while DNS fails the last good servers stay, however long, and it is told once', async (t) => {
  const under = await DiscoveryUnderTest.start(t, [server('app.test:80')], [{ name: 'app.test', type: 'A', ttl: 10, data: '10.0.0.1' }])
  const answer = under.dns.reply
  under.dns.reply = code(rcode.refused)
  // 10 s, then 1, 2, 4, 8, 16, 30, 30 s.
  for (const ms of [10_000, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) await under.pass(ms, 2)
  assert.deepEqual(under.servers, ['10.0.0.1:80 1'])
  assert.deepEqual(under.failures, ['app.test ERR_EPROXY_DNS_FAILED 1'])
  under.dns.reply = answer
  under.records[0] = { name: 'app.test', type: 'A', ttl: 10, data: '10.0.0.2' }
  await under.pass(30_000, 2)
  assert.deepEqual(under.servers, ['10.0.0.2:80 1'])
  under.dns.reply = code(rcode.refused)
  await under.pass(10_000, 2)
  assert.equal(under.failures.length, 2)
})

test('a name that is gone for a minute loses its addresses, and has them again when it is back', async (t) => {
  const record: ZoneRecord = { name: 'app.test', type: 'A', ttl: 10, data: '10.0.0.1' }
  const under = await DiscoveryUnderTest.start(t, [server('app.test:80'), server('10.9.9.9:80')], [record])
  under.records.length = 0
  for (const ms of [10_000, 1_000, 2_000, 4_000, 8_000, 16_000]) await under.pass(ms, 2)
  assert.deepEqual(under.servers, ['10.0.0.1:80 1', '10.9.9.9:80 1'])
  await under.pass(30_000, 2)
  assert.deepEqual(under.servers, ['app.test:80 1', '10.9.9.9:80 1'])
  under.records.push(record)
  await under.pass(30_000, 2)
  assert.deepEqual(under.servers, ['10.0.0.1:80 1', '10.9.9.9:80 1'])
})

test('a name that has no answer at the start is a server itself, to be asked for by who needs it, and joins later', async (t) => {
  const under = await DiscoveryUnderTest.start(t, [server('late.test:80'), server('10.0.0.1:80')], [])
  assert.deepEqual(under.servers, ['late.test:80 1', '10.0.0.1:80 1'])
  assert.deepEqual(under.failures, ['late.test ERR_EPROXY_DNS_FAILED 0'])
  under.records.push({ name: 'late.test', type: 'A', data: '10.0.0.2' })
  await under.pass(1_000, 2)
  assert.deepEqual(under.servers, ['10.0.0.2:80 1', '10.0.0.1:80 1'])
})

test('an SRV record gives hosts, ports and weights; its lowest priority is first, the others are backup', async (t) => {
  const under = await DiscoveryUnderTest.start(
    t,
    [server('srv:_http._tcp.app.test')],
    [
      { name: '_http._tcp.app.test', type: 'SRV', data: '20 5 8080 c.app.test' },
      { name: '_http._tcp.app.test', type: 'SRV', data: '10 0 8080 b.app.test' },
      { name: '_http._tcp.app.test', type: 'SRV', data: '10 60 8081 A.app.test' },
    ],
    false,
  )
  // Names stay names: they are resolved for each connection, as any other upstream.
  assert.deepEqual(under.servers, ['a.app.test:8081 60', 'b.app.test:8080 1', 'c.app.test:8080 5 backup'])
  // Once for the records, once for their TTL.
  assert.deepEqual(under.dns.asked, ['SRV _http._tcp.app.test', 'SRV _http._tcp.app.test'])
})

for (const { ttl, ms } of [
  { ttl: 3, ms: 3_000 },
  { ttl: 60, ms: 60_000 },
  { ttl: 0, ms: 1_000 },
  { ttl: 2 ** 31, ms: 300_000 },
]) {
  test(`SRV records with a TTL of ${ttl} s are asked for again after ${ms / 1_000} s`, async (t) => {
    const under = await DiscoveryUnderTest.start(
      t,
      [server('srv:_http._tcp.app.test')],
      [
        { name: '_http._tcp.app.test', type: 'SRV', ttl: 2 ** 32 - 1, data: '10 1 8080 a.app.test' },
        { name: '_http._tcp.app.test', type: 'SRV', ttl, data: '10 1 8080 c.app.test' },
      ],
      false,
    )
    under.records.push({ name: '_http._tcp.app.test', type: 'SRV', ttl, data: '10 1 8080 b.app.test' })
    const asked = under.dns.asked.length
    under.clock.advance(ms - 1)
    assert.equal(under.dns.asked.length, asked)
    await under.pass(1, 2)
    assert.deepEqual(under.servers, ['a.app.test:8080 1', 'b.app.test:8080 1', 'c.app.test:8080 1'])
  })
}

test('with resolveAll the shortest TTL of a service and its targets counts', async (t) => {
  const under = await DiscoveryUnderTest.start(
    t,
    [server('srv:_http._tcp.app.test')],
    [
      { name: '_http._tcp.app.test', type: 'SRV', ttl: 60, data: '10 1 8080 a.test' },
      { name: 'a.test', type: 'A', ttl: 20, data: '10.0.0.1' },
    ],
  )
  under.records[1] = { name: 'a.test', type: 'A', ttl: 20, data: '10.0.0.2' }
  await under.pass(20_000, 4)
  assert.deepEqual(under.servers, ['10.0.0.2:8080 1'])
})

test('with resolveAll each address of each target is a server, and a target whose query fails keeps its own', async (t) => {
  const under = await DiscoveryUnderTest.start(
    t,
    [server('srv:_http._tcp.app.test')],
    [
      { name: '_http._tcp.app.test', type: 'SRV', ttl: 10, data: '1 7 8080 a.test' },
      { name: '_http._tcp.app.test', type: 'SRV', ttl: 10, data: '2 1 8080 b.test' },
      { name: 'a.test', type: 'A', data: '10.0.0.1' },
      { name: 'a.test', type: 'A', data: '10.0.0.2' },
      { name: 'b.test', type: 'AAAA', data: '2001:db8::b' },
    ],
  )
  assert.deepEqual(under.servers, ['10.0.0.1:8080 7', '10.0.0.2:8080 7', '[2001:db8::b]:8080 1 backup'])
  const answer = under.dns.reply
  under.dns.reply = (query, type) => (query.questions?.[0]?.name === 'b.test' ? code(rcode.refused)(query, type) : answer(query, type))
  under.records.splice(2, 1)
  await under.pass(10_000, 6)
  assert.deepEqual(under.servers, ['10.0.0.2:8080 7', '[2001:db8::b]:8080 1 backup'])
})

test('an SRV record that names no server is not there: root, port 0, names that are none', async (t) => {
  const under = await DiscoveryUnderTest.start(
    t,
    [server('srv:_http._tcp.app.test')],
    [
      { name: '_http._tcp.app.test', type: 'SRV', data: '0 0 0 .' },
      { name: '_http._tcp.app.test', type: 'SRV', data: '0 0 0 a.test' },
    ],
    false,
  )
  assert.deepEqual(under.servers, [])
  assert.deepEqual(under.failures, ['_http._tcp.app.test ERR_EPROXY_DNS_FAILED 0'])
})

test('a server that is named twice is one, and no backup when one entry says so', async (t) => {
  const under = await DiscoveryUnderTest.start(
    t,
    [server('app.test:80', { backup: true }), server('10.0.0.1:80', { weight: 4 })],
    [
      { name: 'app.test', type: 'A', data: '10.0.0.1' },
      { name: 'app.test', type: 'A', data: '10.0.0.2' },
    ],
  )
  assert.deepEqual(under.servers, ['10.0.0.1:80 4', '10.0.0.2:80 1 backup'])
})

test('a name stands for a bounded number of servers, the same ones each time', async (t) => {
  const records = Array.from({ length: serversOfNameMax + 20 }, (_, index): ZoneRecord => ({
    name: 'app.test',
    type: 'A',
    ttl: 5,
    data: `10.1.${index >> 7}.${(index & 127) + 1}`,
  }))
  const under = await DiscoveryUnderTest.start(t, [server('app.test:80')], records)
  assert.equal(under.servers.length, serversOfNameMax)
  records.reverse()
  await under.pass(5_000, 2)
  assert.equal(under.told.length, 1)
})

test('what is answered after close is not told', async (t) => {
  const under = await DiscoveryUnderTest.start(t, [server('app.test:80')], [{ name: 'app.test', type: 'A', ttl: 5, data: '10.0.0.1' }])
  under.records[0] = { name: 'app.test', type: 'A', ttl: 5, data: '10.0.0.2' }
  under.clock.advance(5_000)
  under.discovery.close()
  await until(
    () => under.dns.asked.length === 4,
    () => 'the question that was on its way',
  )
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(under.told.length, 1)
})

/**
 * The resolver against a DNS server in this process (UDP, and TCP for answers that were cut), with a clock that the test turns.
 * Only waiting for datagrams takes real time; no test asserts how long anything took.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises'
import { createServer, isIP, type AddressInfo, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { TRUNCATED_RESPONSE, decode, encode, type DecodedPacket } from 'dns-packet'
import fc from 'fast-check'
import { ProxyError } from '../../lib/core/errors.ts'
import { Resolver, type ResolvedAddress, type ResolverOptions } from '../../lib/upstream/resolver.ts'
import { answerTo, code, rcode, silence, startNameServer, zone, zoneOf, type NameServer, type Reply } from '../support/name-server.ts'

/** A resolver without a hosts file, whose clock stands still until the test turns it; closed at the end of the test. */
function makeResolver(t: TestContext, server: { address: string }, options: Partial<ResolverOptions> = {}) {
  const clock = { now: 1_000_000 }
  const resolver = new Resolver({
    timeoutMs: 20_000,
    ttlMinMs: 1_000,
    ttlMaxMs: 300_000,
    staleMs: 60_000,
    servers: [server.address],
    hostsFile: join(import.meta.dirname, 'no such hosts file'),
    now: () => clock.now,
    ...options,
  })
  t.after(() => resolver.close())
  return { resolver, clock }
}

function addressesOf(resolved: readonly ResolvedAddress[] | undefined): readonly string[] | undefined {
  return resolved?.map(({ address }) => address)
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve))
}

const failed = { name: 'ProxyError', code: 'ERR_EPROXY_DNS_FAILED' }
const timedOut = { name: 'ProxyError', code: 'ERR_EPROXY_DNS_TIMEOUT' }

describe('answers', () => {
  test('an IP literal answers itself, at once and without a query', async (t) => {
    const server = await startNameServer(t, zone(['10.0.0.1']))
    const { resolver } = makeResolver(t, server)
    assert.deepEqual(resolver.lookupCached('192.0.2.7'), [{ address: '192.0.2.7', family: 4 }])
    assert.deepEqual(await resolver.resolve('2001:db8::7'), [{ address: '2001:db8::7', family: 6 }])
    assert.deepEqual(server.asked, [])
  })

  test('an answer of very many addresses is kept for its TTL, as any other', async (t) => {
    const addresses = Array.from({ length: 300 }, (_, index) => `10.1.${index >> 7}.${index & 127}`)
    const server = await startNameServer(t, zone(addresses, [], 30))
    const { resolver, clock } = makeResolver(t, server)
    assert.equal((await resolver.resolve('app.test')).length, 300)
    clock.now += 29_999
    assert.equal(resolver.lookupCached('app.test')?.length, 300)
    assert.equal(resolver.queriesPending, 0)
  })

  test('IPv4 addresses come first, also when IPv6 was answered first', async (t) => {
    const records = zone(['10.0.0.1', '10.0.0.2'], ['2001:db8::1'])
    let held: Reply = []
    let isAnswered6 = false
    const server = await startNameServer(t, (query, type) => {
      if (type === 'A') {
        if (isAnswered6) return records(query, type)
        held = records(query, type)
        return []
      }
      isAnswered6 = true
      return [...records(query, type), ...held]
    })
    const { resolver } = makeResolver(t, server)
    const expected = [
      { address: '10.0.0.1', family: 4 },
      { address: '10.0.0.2', family: 4 },
      { address: '2001:db8::1', family: 6 },
    ]
    assert.deepEqual(await resolver.resolve('app.test'), expected)
    assert.deepEqual(server.asked.toSorted(), ['A app.test', 'AAAA app.test'])
  })

  test('one family suffices', async (t) => {
    const server = await startNameServer(t, zone(['10.0.0.1']))
    const { resolver } = makeResolver(t, server)
    assert.deepEqual(await resolver.resolve('v4.test'), [{ address: '10.0.0.1', family: 4 }])
    server.reply = zone([], ['2001:db8::1'])
    assert.deepEqual(await resolver.resolve('v6.test'), [{ address: '2001:db8::1', family: 6 }])
    server.reply = (query, type) => (type === 'A' ? zone(['10.0.0.1'])(query, type) : code(rcode.nameError)(query, type))
    assert.deepEqual(addressesOf(await resolver.resolve('mixed.test')), ['10.0.0.1'])
  })

  test('a family whose servers fail or say nothing does not take the other along, and is asked for again soon', async (t) => {
    const server = await startNameServer(t, silence)
    for (const [name, broken, timeoutMs] of [
      ['failing.test', code(rcode.serverFailure), 20_000],
      ['silent.test', silence, 60],
    ] as const) {
      server.reply = (query, type) => (type === 'A' ? zone(['10.0.0.1'], [], 200)(query, type) : broken(query, type))
      const { resolver, clock } = makeResolver(t, server, { timeoutMs })
      assert.deepEqual(addressesOf(await resolver.resolve(name)), ['10.0.0.1'])
      server.reply = zone(['10.0.0.1'], ['2001:db8::1'])
      clock.now += 1_000
      await until(() => resolver.lookupCached(name)?.length === 2)
    }
  })

  test('the last record of a CNAME chain counts, with the shortest TTL on the way', async (t) => {
    const server = await startNameServer(t, (query, type) => [
      answerTo(query, [
        { type: 'CNAME', name: 'app.test', ttl: 5, data: 'real.test' },
        ...(type === 'A' ? [{ type: 'A', name: 'real.test', ttl: 60, data: '10.0.0.1' } as const] : []),
      ]),
    ])
    const { resolver, clock } = makeResolver(t, server, { staleMs: 0 })
    assert.deepEqual(addressesOf(await resolver.resolve('app.test')), ['10.0.0.1'])
    clock.now += 4_999
    assert.deepEqual(addressesOf(resolver.lookupCached('app.test')), ['10.0.0.1'])
    clock.now += 1
    assert.equal(resolver.lookupCached('app.test'), undefined)
  })

  test('a name is one name in every case, and is asked as it is written', async (t) => {
    const server = await startNameServer(t, zone(['10.0.0.1']))
    const { resolver } = makeResolver(t, server)
    await Promise.all([resolver.resolve('App.Test'), resolver.resolve('APP.TEST'), resolver.resolve('app.test')])
    assert.deepEqual(addressesOf(resolver.lookupCached('aPP.test')), ['10.0.0.1'])
    assert.deepEqual(server.asked.toSorted(), ['A app.test', 'AAAA app.test'])
    await resolver.resolve('single')
    await resolver.resolve('rooted.test.')
    assert.deepEqual(server.asked.slice(2).toSorted(), ['A rooted.test', 'A single', 'AAAA rooted.test', 'AAAA single'])
  })

  test('concurrent calls for one name share one query', async (t) => {
    const server = await startNameServer(t, zone(['10.0.0.1']))
    const { resolver } = makeResolver(t, server)
    const resolved = await Promise.all(Array.from({ length: 50 }, () => resolver.resolve('app.test')))
    for (const addresses of resolved) assert.deepEqual(addressesOf(addresses), ['10.0.0.1'])
    assert.deepEqual(server.asked.toSorted(), ['A app.test', 'AAAA app.test'])
  })
})

describe('time to live', () => {
  test('an answer is kept for the shortest TTL of its records and then renewed behind the back of who asks', async (t) => {
    const server = await startNameServer(t, zone(['10.0.0.1'], ['2001:db8::1'], 60))
    server.reply = (query, type) => zone(['10.0.0.1'], ['2001:db8::1'], type === 'A' ? 60 : 90)(query, type)
    const { resolver, clock } = makeResolver(t, server)
    assert.equal(resolver.lookupCached('app.test'), undefined)
    await resolver.resolve('app.test')
    server.reply = zone(['10.0.0.2'])
    clock.now += 59_999
    assert.deepEqual(addressesOf(resolver.lookupCached('app.test')), ['10.0.0.1', '2001:db8::1'])
    assert.equal(server.asked.length, 2)

    clock.now += 1
    // The old answer comes synchronously; any number of such calls starts one query.
    for (let call = 0; call < 100; call++) {
      assert.deepEqual(addressesOf(resolver.lookupCached('app.test')), ['10.0.0.1', '2001:db8::1'])
    }
    assert.deepEqual(addressesOf(await resolver.resolve('app.test')), ['10.0.0.1', '2001:db8::1'])
    await until(() => addressesOf(resolver.lookupCached('app.test'))?.[0] === '10.0.0.2')
    assert.deepEqual(addressesOf(resolver.lookupCached('app.test')), ['10.0.0.2'])
    assert.equal(server.asked.length, 4)
  })

  test('a TTL is clamped on both sides', async (t) => {
    const server = await startNameServer(t, zone(['10.0.0.1'], [], 0))
    const { resolver, clock } = makeResolver(t, server, { staleMs: 0 })
    await resolver.resolve('short.test')
    // RFC 8767 section 4: 2^31 and more is long, not zero.
    server.reply = zone(['10.0.0.1'], [], 0xffffffff)
    await resolver.resolve('long.test')
    clock.now += 999
    assert.ok(resolver.lookupCached('short.test'))
    clock.now += 1
    assert.equal(resolver.lookupCached('short.test'), undefined)
    clock.now += 298_999
    assert.ok(resolver.lookupCached('long.test'))
    clock.now += 1
    assert.equal(resolver.lookupCached('long.test'), undefined)
  })

  test('past its stale time an answer is not used, and who asks waits for a new one', async (t) => {
    const server = await startNameServer(t, zone(['10.0.0.1'], [], 60))
    const { resolver, clock } = makeResolver(t, server)
    await resolver.resolve('app.test')
    server.reply = zone(['10.0.0.2'])
    clock.now += 120_000
    assert.equal(resolver.lookupCached('app.test'), undefined)
    assert.deepEqual(addressesOf(await resolver.resolve('app.test')), ['10.0.0.2'])
  })

  test('a thousand answers are kept, and the one that was not renewed for longest goes first', async (t) => {
    const server = await startNameServer(t, zone(['10.0.0.1']))
    const { resolver, clock } = makeResolver(t, server)
    const names = Array.from({ length: 1_000 }, (_, index) => `host-${index}.test`)
    for (let start = 0; start < names.length; start += 50) {
      await Promise.all(names.slice(start, start + 50).map((name) => resolver.resolve(name)))
    }
    clock.now += 60_000
    assert.ok(resolver.lookupCached('host-0.test'))
    await until(() => resolver.queriesPending === 0)
    await resolver.resolve('one-more.test')
    clock.now -= 60_000
    assert.deepEqual(
      [...names, 'one-more.test'].filter((name) => resolver.lookupCached(name) === undefined),
      ['host-1.test'],
    )
  })
})

describe('failures', () => {
  test('a stale answer is kept while the servers fail, is renewed at most once a second, and ends with its stale time', async (t) => {
    const server = await startNameServer(t, zone(['10.0.0.1'], [], 10))
    const { resolver, clock } = makeResolver(t, server, { staleMs: 5_000 })
    await resolver.resolve('app.test')
    server.reply = code(rcode.serverFailure)
    clock.now += 10_000
    for (let second = 0; second < 5; second++) {
      const before = server.asked.length
      assert.deepEqual(addressesOf(resolver.lookupCached('app.test')), ['10.0.0.1'])
      await until(() => resolver.queriesPending === 0)
      assert.equal(server.asked.length, before + 2)
      for (let call = 0; call < 10; call++) assert.deepEqual(addressesOf(await resolver.resolve('app.test')), ['10.0.0.1'])
      assert.equal(resolver.queriesPending, 0)
      clock.now += 1_000
    }
    assert.equal(resolver.lookupCached('app.test'), undefined)
    await assert.rejects(resolver.resolve('app.test'), isFailureBy('ESERVFAIL'))
  })

  test('a name that is gone takes its stale answer along', async (t) => {
    // RFC 8767 section 4: NXDOMAIN is an answer. Only servers that fail are a reason to use old data.
    const server = await startNameServer(t, zone(['10.0.0.1'], [], 10))
    const { resolver, clock } = makeResolver(t, server)
    await resolver.resolve('app.test')
    server.reply = code(rcode.nameError)
    clock.now += 10_000
    assert.deepEqual(addressesOf(resolver.lookupCached('app.test')), ['10.0.0.1'])
    await until(() => resolver.lookupCached('app.test') === undefined)
    await assert.rejects(resolver.resolve('app.test'), failed)
  })

  test('a name without addresses is refused, and is asked for once a second only', async (t) => {
    const server = await startNameServer(t, code(rcode.nameError))
    const { resolver, clock } = makeResolver(t, server)
    for (const reply of [code(rcode.nameError), zone([])]) {
      server.reply = reply
      server.asked.length = 0
      for (let call = 0; call < 20; call++) await assert.rejects(resolver.resolve('dead.test'), failed)
      assert.equal(server.asked.length, 2)
      clock.now += 1_000
    }
    server.reply = zone(['10.0.0.1'])
    assert.deepEqual(addressesOf(await resolver.resolve('dead.test')), ['10.0.0.1'])
  })

  test('a refusal of the server is a failure with its cause', async (t) => {
    const server = await startNameServer(t, code(rcode.refused))
    const { resolver } = makeResolver(t, server)
    await assert.rejects(resolver.resolve('app.test'), isFailureBy('EREFUSED'))
  })

  test('a server that is not there is a failure with its cause', async (t) => {
    const socket = createSocket('udp4')
    socket.bind(0, '127.0.0.1')
    await once(socket, 'listening')
    const address = `127.0.0.1:${socket.address().port}`
    await new Promise<void>((resolve) => socket.close(resolve))
    const { resolver } = makeResolver(t, { address })
    await assert.rejects(resolver.resolve('app.test'), isFailureBy('ECONNREFUSED'))
  })

  test('a server that says nothing is a timeout, and an answer that comes later changes nothing', async (t) => {
    const late: Buffer[] = []
    const server = await startNameServer(t, (query, type) => {
      late.push(...zone(['10.6.6.6'])(query, type))
      return []
    })
    const { resolver, clock } = makeResolver(t, server, { timeoutMs: 60 })
    await assert.rejects(resolver.resolve('app.test'), timedOut)
    await server.sendLate(late)
    assert.equal(resolver.lookupCached('app.test'), undefined)
    await assert.rejects(resolver.resolve('app.test'), timedOut)
    clock.now += 1_000
    server.reply = zone(['10.0.0.1'])
    assert.deepEqual(addressesOf(await resolver.resolve('app.test')), ['10.0.0.1'])
  })

  test('one lost datagram is made up for within the deadline', async (t) => {
    const lost = new Set<string>()
    const server = await startNameServer(t, (query, type) => {
      if (lost.has(type)) return zone(['10.0.0.1'])(query, type)
      lost.add(type)
      return []
    })
    const { resolver } = makeResolver(t, server, { timeoutMs: 3_000 })
    assert.deepEqual(addressesOf(await resolver.resolve('app.test')), ['10.0.0.1'])
  })

  test('more names under way than the bound are refused, not queued', async (t) => {
    const server = await startNameServer(t, silence)
    const { resolver } = makeResolver(t, server)
    const under = Promise.allSettled(Array.from({ length: 256 }, (_, index) => resolver.resolve(`host-${index}.test`)))
    await assert.rejects(resolver.resolve('one-more.test'), { ...failed, message: /256 other names/ })
    resolver.close()
    for (const outcome of await under) assert.equal(outcome.status, 'rejected')
  })
})

describe('hostile answers', () => {
  test('an answer that was cut is asked for again over TCP', async (t) => {
    const addresses = Array.from({ length: 100 }, (_, index) => `10.0.1.${index}`)
    const { tcp, udp } = await listenOnOnePort(t, zone(addresses), (query) => [answerTo(query, [], rcode.noError, TRUNCATED_RESPONSE)])
    const { resolver } = makeResolver(t, udp)
    assert.deepEqual(addressesOf(await resolver.resolve('big.test'))?.toSorted(), addresses.toSorted())
    assert.ok(tcp.questionCount >= 1)
  })

  test('an answer that was cut is no answer when there is no TCP', async (t) => {
    const server = await startNameServer(t, (query) => [
      answerTo(query, [{ type: 'A', name: 'app.test', ttl: 60, data: '10.6.6.6' }], rcode.noError, TRUNCATED_RESPONSE),
    ])
    const { resolver } = makeResolver(t, server, { timeoutMs: 500 })
    await assert.rejects(resolver.resolve('app.test'), isDnsError)
    assert.equal(resolver.lookupCached('app.test'), undefined)
  })

  test('an answer to another question or with another id is passed over, and the right one still counts', async (t) => {
    const server = await startNameServer(t, (query, type) => [
      answerTo({ ...query, id: ((query.id ?? 0) + 1) & 0xffff }, [{ type: 'A', name: 'app.test', ttl: 60, data: '10.6.6.6' }]),
      encode({
        type: 'response',
        id: query.id ?? 0,
        questions: [{ type: 'A', name: 'other.test' }],
        answers: [{ type: 'A', name: 'other.test', ttl: 60, data: '10.6.6.6' }],
      }),
      ...zone(['10.0.0.1'])(query, type),
    ])
    const { resolver } = makeResolver(t, server)
    assert.deepEqual(addressesOf(await resolver.resolve('app.test')), ['10.0.0.1'])
  })

  test('any bytes instead of an answer end in a DNS error or in IP addresses', async (t) => {
    const server = await startNameServer(t, silence)
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 600 }), fc.boolean(), async (bytes, isRightId) => {
        server.reply = (query) => {
          const datagram = Buffer.from(bytes)
          if (isRightId && datagram.length >= 2) datagram.writeUInt16BE(query.id ?? 0)
          return [datagram]
        }
        await assertContained(t, server)
      }),
      { numRuns: 60 },
    )
  })

  test('any change to a good answer ends in a DNS error or in IP addresses', async (t) => {
    const server = await startNameServer(t, silence)
    const change = fc.record({ at: fc.nat(200), value: fc.nat(255) })
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), fc.nat(20), async (changes, cut) => {
        server.reply = (query, type) => {
          const [datagram = Buffer.alloc(0)] = zone(['10.0.0.1', '10.0.0.2'], ['2001:db8::1'])(query, type)
          for (const { at, value } of changes) datagram[at % datagram.length] = value
          return [datagram.subarray(0, datagram.length - cut)]
        }
        await assertContained(t, server)
      }),
      { numRuns: 60 },
    )
  })

  async function assertContained(t: TestContext, server: NameServer): Promise<void> {
    const { resolver } = makeResolver(t, server, { timeoutMs: 30 })
    try {
      for (const { address, family } of await resolver.resolve('app.test')) assert.equal(isIP(address), family)
    } catch (error) {
      assert.ok(isDnsError(error), String(error))
    } finally {
      resolver.close()
    }
  }
})

describe('names', () => {
  const label = 'a'.repeat(63)
  const oddNames = [
    '', '.', '..', 'a..b', '.a', 'a..', ' ', 'a b', 'a\tb', 'a\r\nb', 'a\0b', 'a\0.test', 'a/b', 'a:80', 'a@b', 'a%00', 'a#b', 'a?b', 'a\\b', '*.test', '[::1]', '256.1.1.1:80',
    'caf\u00e9.test', '\u212a.test', '\u3002test', 'a\u200b.test', '\ud800', 'xn--a', 'app.xn--\u0000', `${label}a.test`, `${label}.${label}.${label}.${label}`, 'a'.repeat(100_000), 'a.'.repeat(50_000),
  ] // prettier-ignore

  test('names with odd bytes, empty or too long labels are refused without a query', async (t) => {
    const server = await startNameServer(t, zone(['10.6.6.6']))
    const { resolver } = makeResolver(t, server)
    await resolver.resolve('k.test')
    server.asked.length = 0
    for (const name of oddNames) {
      assert.equal(resolver.lookupCached(name), undefined, JSON.stringify(name.slice(0, 80)))
      await assert.rejects(resolver.resolve(name), (error) => {
        assert.ok(error instanceof ProxyError)
        assert.equal(error.code, 'ERR_EPROXY_DNS_FAILED')
        // The name is quoted: it must not write lines of its own into a log.
        assert.match(error.message, /^[\x20-\x7e\u0080-\uffff]{1,700}$/)
        return true
      })
    }
    assert.deepEqual(server.asked, [])
  })

  test('names of the longest kind, with underscores or in punycode are asked for', async (t) => {
    const server = await startNameServer(t, zone(['10.0.0.1']))
    const { resolver } = makeResolver(t, server)
    const longest = `${label}.${label}.${label}.${'a'.repeat(61)}`
    assert.equal(longest.length, 253)
    for (const name of [longest, `${longest}.`, 'my_service', '_http._tcp.test', 'xn--caf-dma.test', '1.test', 'a-.-b']) {
      assert.deepEqual(addressesOf(await resolver.resolve(name)), ['10.0.0.1'], name)
    }
  })

  test('no string makes it throw or reject with anything but a DNS error', async (t) => {
    const server = await startNameServer(t, code(rcode.nameError))
    const { resolver } = makeResolver(t, server)
    const anyName = fc.oneof(fc.string({ unit: 'binary' }), fc.domain(), fc.stringMatching(/^[a-z0-9_.-]{0,300}$/))
    await fc.assert(
      fc.asyncProperty(anyName, async (name) => {
        const outcome = await resolver.resolve(name).catch((error: unknown) => error)
        assert.ok(isDnsError(outcome) || isIP(name) > 0 || /localhost\.?$/i.test(name))
      }),
      { numRuns: 200 },
    )
  })
})

describe('the hosts file', () => {
  async function writeHosts(t: TestContext, text: string): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'eproxy-hosts-'))
    t.after(() => rm(folder, { recursive: true }))
    const path = join(folder, 'hosts')
    await writeFile(path, text)
    return path
  }

  test('its names win over DNS, with aliases, comments, any case and IPv4 first', async (t) => {
    const text = [
      '\ufeff# private names',
      '2001:db8::5\tDB.internal db',
      '  10.0.0.5  db.internal   db # the old one',
      '10.0.0.5 db',
      'not-an-address bad.internal',
      '10.0.0.6',
      '#10.0.0.7 commented.internal',
      '10.0.0.8 crlf.internal\r',
      '',
    ].join('\n')
    const hostsFile = await writeHosts(t, text)
    const server = await startNameServer(t, code(rcode.nameError))
    const { resolver } = makeResolver(t, server, { hostsFile })
    const db = [
      { address: '10.0.0.5', family: 4 },
      { address: '2001:db8::5', family: 6 },
    ]
    for (const name of ['db.internal', 'DB', 'db.internal.']) assert.deepEqual(await resolver.resolve(name), db)
    assert.deepEqual(addressesOf(await resolver.resolve('crlf.internal')), ['10.0.0.8'])
    assert.deepEqual(server.asked, [])
    for (const name of ['bad.internal', 'commented.internal', 'old', 'constructor']) await assert.rejects(resolver.resolve(name), failed)
    assert.equal(server.asked.length, 8)
  })

  test('a change is seen after some seconds, in the background, and a file that is gone leaves the names to DNS', async (t) => {
    const hostsFile = await writeHosts(t, '10.0.0.1 app.internal')
    const server = await startNameServer(t, zone(['10.9.9.9']))
    const { resolver, clock } = makeResolver(t, server, { hostsFile })
    assert.deepEqual(addressesOf(await resolver.resolve('app.internal')), ['10.0.0.1'])
    await writeFile(hostsFile, '10.0.0.2 app.internal new.internal')
    // Both may have been written within one tick of the file system's clock.
    await utimes(hostsFile, 1_000_000, 1_000_000)
    clock.now += 4_999
    assert.deepEqual(addressesOf(await resolver.resolve('app.internal')), ['10.0.0.1'])
    assert.deepEqual(addressesOf(await resolver.resolve('new.internal')), ['10.9.9.9'])
    server.asked.length = 0
    clock.now += 1
    assert.deepEqual(addressesOf(resolver.lookupCached('app.internal')), ['10.0.0.1'])
    await until(() => addressesOf(resolver.lookupCached('app.internal'))?.[0] === '10.0.0.2')
    assert.deepEqual(server.asked, [])

    await rm(hostsFile)
    clock.now += 5_000
    await until(() => addressesOf(resolver.lookupCached('app.internal'))?.[0] === '10.9.9.9')
  })

  test('something that is not a file is passed over', async (t) => {
    const server = await startNameServer(t, zone(['10.0.0.1']))
    const { resolver } = makeResolver(t, server, { hostsFile: tmpdir() })
    assert.deepEqual(addressesOf(await resolver.resolve('app.test')), ['10.0.0.1'])
  })

  test('localhost and every name below it is loopback and is not asked for, unless the file says otherwise', async (t) => {
    const server = await startNameServer(t, zone(['10.6.6.6']))
    const hostsFile = await writeHosts(t, '127.0.0.9 listed.localhost')
    const { resolver } = makeResolver(t, server, { hostsFile })
    for (const name of ['localhost', 'LOCALHOST.', 'app.localhost']) {
      assert.deepEqual(await resolver.resolve(name), [
        { address: '127.0.0.1', family: 4 },
        { address: '::1', family: 6 },
      ])
    }
    assert.deepEqual(addressesOf(await resolver.resolve('listed.localhost')), ['127.0.0.9'])
    assert.deepEqual(server.asked, [])
    assert.deepEqual(addressesOf(await resolver.resolve('notlocalhost')), ['10.6.6.6'])
  })
})

describe('close', () => {
  test('rejects who waits, forgets every answer and asks nothing any more', async (t) => {
    const server = await startNameServer(t, zone(['10.0.0.1'], [], 10))
    const { resolver, clock } = makeResolver(t, server)
    await resolver.resolve('known.test')
    server.reply = silence
    const asked = server.asked.length
    const waiting = [resolver.resolve('app.test'), resolver.resolve('app.test'), resolver.resolve('other.test')]
    clock.now += 10_000
    // A background query without anyone who waits must not become an unhandled rejection.
    assert.ok(resolver.lookupCached('known.test'))
    await until(() => server.asked.length === asked + 6)
    assert.equal(resolver.queriesPending, 3)
    resolver.close()
    resolver.close()
    assert.equal(resolver.queriesPending, 0)
    for (const promise of waiting) await assert.rejects(promise, { ...failed, message: /closed/ })
    assert.equal(resolver.lookupCached('known.test'), undefined)
    await assert.rejects(resolver.resolve('known.test'), { ...failed, message: /closed/ })
    assert.equal(server.asked.length, asked + 6)
  })

  test('leaves nothing that would keep a process alive', async (t) => {
    const server = await startNameServer(t, silence)
    const { href } = new URL('../../lib/upstream/resolver.js', import.meta.url)
    // The deadline is an hour away: the process ends by itself only when close() leaves neither a socket nor a timer.
    const script = `
      import { Resolver } from ${JSON.stringify(href)}
      const resolver = new Resolver({ timeoutMs: 3_600_000, ttlMinMs: 0, ttlMaxMs: 1, staleMs: 0, servers: [${JSON.stringify(server.address)}] })
      resolver.resolve('app.test').catch((error) => process.stdout.write(error.code))
      process.stdin.once('data', () => { resolver.close(); process.stdin.destroy() })`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['pipe', 'pipe', 'inherit'] })
    t.after(() => child.kill('SIGKILL'))
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
    const ended = once(child, 'close')
    await until(() => server.asked.length === 2)
    child.stdin.write('close\n')
    assert.deepEqual(await ended, [0, null])
    assert.equal(output, 'ERR_EPROXY_DNS_FAILED')
  })

  test('a wrong server address throws when the resolver is made', () => {
    const options = { timeoutMs: 1, ttlMinMs: 1, ttlMaxMs: 1, staleMs: 1 }
    assert.throws(() => new Resolver({ ...options, servers: ['not an address'] }), { code: 'ERR_INVALID_IP_ADDRESS' })
  })
})

function isFailureBy(causeCode: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof ProxyError)
    assert.equal(error.code, 'ERR_EPROXY_DNS_FAILED')
    assert.equal((error.cause as NodeJS.ErrnoException).code, causeCode)
    return true
  }
}

function isDnsError(error: unknown): boolean {
  return error instanceof ProxyError && (error.code === 'ERR_EPROXY_DNS_FAILED' || error.code === 'ERR_EPROXY_DNS_TIMEOUT')
}

/** A server on TCP (RFC 7766: two octets of length before each message) and one on UDP with the same port number. */
async function listenOnOnePort(t: TestContext, overTcp: NameServer['reply'], overUdp: NameServer['reply']) {
  const tcp = { questionCount: 0 }
  const listener: Server = createServer((socket) => {
    let received = Buffer.alloc(0)
    socket.on('error', () => socket.destroy())
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk])
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE()) {
        const end = 2 + received.readUInt16BE()
        const query = decode(received.subarray(2, end))
        received = received.subarray(end)
        tcp.questionCount++
        for (const message of overTcp(query, query.questions?.[0]?.type ?? '')) {
          const length = Buffer.alloc(2)
          length.writeUInt16BE(message.length)
          socket.write(Buffer.concat([length, message]))
        }
      }
    })
  })
  // The kernel gives out a port for TCP; that the same number is free for UDP is likely, not sure.
  for (let attempt = 1; ; attempt++) {
    listener.listen(0, '127.0.0.1')
    await once(listener, 'listening')
    try {
      const udp = await startNameServer(t, overUdp, (listener.address() as AddressInfo).port)
      t.after(() => new Promise((resolve) => listener.close(resolve)))
      return { tcp, udp }
    } catch (error) {
      await new Promise((resolve) => listener.close(resolve))
      if (attempt === 10) throw error
    }
  }
}

describe('services', () => {
  test('the records are told as they are, with the host in lower case', async (t) => {
    const server = await startNameServer(
      t,
      zoneOf([
        { name: '_http._tcp.app.test', type: 'SRV', data: '10 60 8080 A.App.test' },
        { name: '_http._tcp.app.test', type: 'SRV', data: '20 0 65535 b.app.test' },
      ]),
    )
    const { resolver } = makeResolver(t, server)
    const verdict = await resolver.renewServices('_http._tcp.app.test')
    assert.equal(verdict.kind, 'services')
    assert.deepEqual(
      verdict.services.toSorted((one, other) => one.priority - other.priority),
      [
        { host: 'a.app.test', port: 8080, priority: 10, weight: 60 },
        { host: 'b.app.test', port: 65_535, priority: 20, weight: 0 },
      ],
    )
  })

  test('a TTL that is not told is ten seconds: the datagram is lost, or is no answer', async (t) => {
    for (const reply of [
      (): readonly Buffer[] => [],
      (): readonly Buffer[] => [Buffer.from('nonsense')],
      (query: DecodedPacket) => [answerTo({ ...query, id: (query.id ?? 0) ^ 1 }, [])],
      (query: DecodedPacket) => [answerTo(query, [], rcode.serverFailure)],
    ]) {
      const records = zoneOf([{ name: '_http._tcp.app.test', type: 'SRV', ttl: 77, data: '1 1 1 a.test' }])
      const server = await startNameServer(t, (query, type) => ((query.additionals ?? []).length > 0 ? reply(query) : records(query, type)))
      const { resolver } = makeResolver(t, server)
      const verdict = await resolver.renewServices('_http._tcp.app.test')
      assert(verdict.kind === 'services')
      assert.equal(verdict.ttlMs, 10_000)
    }
  })

  test('a service that is not there is news; a server that refuses, says nothing or says nonsense is an outage', async (t) => {
    const server = await startNameServer(t, code(rcode.nameError))
    const { resolver: patient } = makeResolver(t, server)
    const { resolver: hasty } = makeResolver(t, server, { timeoutMs: 200 })
    const ask = async (resolver: Resolver): Promise<string> => {
      const verdict = await resolver.renewServices('_http._tcp.app.test')
      return verdict.kind === 'services' ? verdict.kind : `${verdict.kind} ${verdict.error.code}`
    }
    assert.equal(await ask(patient), 'absent ERR_EPROXY_DNS_FAILED')
    server.reply = (query) => [answerTo(query, [])]
    assert.equal(await ask(patient), 'absent ERR_EPROXY_DNS_FAILED')
    server.reply = code(rcode.refused)
    assert.equal(await ask(patient), 'failed ERR_EPROXY_DNS_FAILED')
    server.reply = silence
    assert.equal(await ask(hasty), 'failed ERR_EPROXY_DNS_TIMEOUT')
    server.reply = () => [Buffer.from('nonsense')]
    assert.match(await ask(hasty), /^failed /)
  })

  test('what is no name is not asked for', async (t) => {
    const server = await startNameServer(t, silence)
    const { resolver } = makeResolver(t, server)
    for (const name of ['', '.', 'a b', 'x'.repeat(300)]) assert.equal((await resolver.renewServices(name)).kind, 'failed')
    assert.equal((await resolver.renew('a b')).kind, 'failed')
    assert.deepEqual(server.asked, [])
  })

  test('close ends a question that is under way, and what is asked after it', async (t) => {
    const server = await startNameServer(t, silence)
    const { resolver } = makeResolver(t, server)
    const pending = [resolver.renewServices('_http._tcp.app.test'), resolver.renew('app.test')]
    assert.equal(resolver.queriesPending, 2)
    resolver.close()
    for (const verdict of await Promise.all(pending)) assert.equal(verdict.kind, 'failed')
    assert.equal((await resolver.renew('app.test')).kind, 'failed')
    assert.equal((await resolver.renewServices('_http._tcp.app.test')).kind, 'failed')
  })
})

describe('renewing', () => {
  test('asks although an answer is known, and keeps the new one for everybody', async (t) => {
    const server = await startNameServer(t, zone(['10.0.0.1']))
    const { resolver } = makeResolver(t, server)
    await resolver.resolve('app.test')
    server.reply = zone(['10.0.0.2'], [], 1_000_000)
    const verdict = await resolver.renew('APP.test')
    assert.deepEqual(verdict, { kind: 'addresses', addresses: [{ address: '10.0.0.2', family: 4 }], ttlMs: 300_000 })
    assert.deepEqual(addressesOf(resolver.lookupCached('app.test')), ['10.0.0.2'])
  })

  test('an IP literal is what it is, without a question', async (t) => {
    const server = await startNameServer(t, silence)
    const { resolver } = makeResolver(t, server)
    const verdict = await resolver.renew('192.0.2.1')
    assert.equal(verdict.kind, 'addresses')
    assert.deepEqual(server.asked, [])
  })
})

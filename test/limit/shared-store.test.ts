/**
 * Limits shared through a real Redis: several processes, each with a connection of its own, are held to one limit; and whatever becomes of
 * the server, requests are decided at once, in the way that was chosen for it.
 */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { RateLimitOptions, RateLimitStoreOptions } from '../../lib/core/service-options.ts'
import { systemClock, type Clock } from '../../lib/core/timers.ts'
import { RateLimit } from '../../lib/limit/rate-limit.ts'
import { SharedStore, type StoreState } from '../../lib/limit/shared-store.ts'
import { until } from '../support/patience.ts'
import { isMissing } from '../support/program.ts'
import { makeCertificate, readCertificate, type CertificateFiles } from '../support/certificate.ts'
import { RedisServer, type RedisServerOptions } from '../support/redis-server.ts'
import { TemporaryFolder } from '../support/temporary-folder.ts'
import { UnrulyRedis, type RedisManner } from '../support/unruly-redis.ts'
import { VirtualClock } from '../sim/virtual-clock.ts'

const skip = isMissing('redis-server')
const skipSecure = isMissing('redis-server', 'openssl')
/** So few that a test ends before the next one is due. */
const tenAnHour = { requests: 10, perMs: 3_600_000, burst: 10 }
const patientMs = 5_000

/** Where the account of a key of a member with ten an hour is. */
const keyOf = (key: number): string => `test:rule:10/3600000ms+10:client:192.0.2.${key}`

interface Rate {
  readonly requests: number
  readonly perMs: number
  readonly burst: number
}

/** One of the processes that share a limit. */
class Member {
  readonly store: SharedStore
  readonly limit: RateLimit
  readonly states: StoreState[] = []
  readonly reasons: string[] = []
  /** That it is used, or not. */
  readonly told: boolean[] = []
  readonly faults: unknown[] = []
  readonly #clock: Clock

  constructor(t: TestContext, url: string, rate: Rate, options: Partial<RateLimitStoreOptions> = {}, clock: Clock = systemClock) {
    this.#clock = clock
    const settings: RateLimitStoreOptions = { url, deadlineMs: patientMs, onError: 'local', prefix: 'test:', ...options }
    const events = {
      onStoreState: (state: StoreState, reason: string): void => {
        this.states.push(state)
        this.reasons.push(reason)
      },
      onStoreUse: (isUsed: boolean): void => void this.told.push(isUsed),
      onFault: (error: unknown): void => void this.faults.push(error),
    }
    // No chance in it: reconnects come as early as they may.
    this.store = new SharedStore(settings, clock, events, () => 0)
    const row: RateLimitOptions = { ...rate, key: { kind: 'client' }, ipv6Prefix: 64, shared: true }
    this.limit = new RateLimit('rule', row, this.store)
    t.after(() => {
      this.store.close()
      assert.deepEqual(this.faults, [])
    })
  }

  take(key = 1): boolean {
    this.#clock.refresh()
    return this.limit.take(key, 1, 'client', `192.0.2.${key}`, this.#clock.now())
  }

  /** As many as are let through of `times`. */
  takeAll(times: number, key = 1): number {
    let allowed = 0
    for (let i = 0; i < times; i++) if (this.take(key)) allowed++
    return allowed
  }

  async ready(): Promise<void> {
    await this.state('ready')
  }

  async state(state: StoreState): Promise<void> {
    await until(
      () => this.store.stats.state === state,
      () => `the store to be ${state}: ${JSON.stringify(this.store.stats)} ${this.reasons.join(', ')}`,
    )
  }

  /** No question is open. */
  async settled(): Promise<void> {
    await until(
      () => this.store.stats.questionsTotal === this.store.stats.answersTotal + this.store.stats.errorsTotal,
      () => `answers: ${JSON.stringify(this.store.stats)}`,
    )
  }
}

async function startServer(t: TestContext, options: RedisServerOptions = {}): Promise<RedisServer> {
  const server = await RedisServer.start(options)
  t.after(() => server[Symbol.asyncDispose]())
  return server
}

test('what one process lets through another one does not', { skip }, async (t) => {
  const server = await startServer(t)
  const [one, other] = [new Member(t, server.url, tenAnHour), new Member(t, server.url, tenAnHour)]
  await Promise.all([one.ready(), other.ready()])
  assert.equal(one.takeAll(9), 9)
  await one.settled()
  // It has not heard of this key, and lets one through before it has; from then on it knows.
  assert(other.take())
  await other.settled()
  assert.deepEqual(await server.admin.keys('test:rule:*'), [keyOf(1)])
  assert.equal(other.takeAll(5), 0)
  assert.equal(other.limit.counts.limited.shared, 5)
  assert.equal(other.takeAll(3, 2), 3, 'another key is another account')
})

test('processes that meet a key at one moment let through their bursts at most, and are behind until that is paid', { skip }, async (t) => {
  const server = await startServer(t)
  const members = [0, 1, 2].map(() => new Member(t, server.url, { requests: 100, perMs: 3_600_000, burst: 5 }))
  await Promise.all(members.map((member) => member.ready()))
  const allowed = members.map((member) => member.takeAll(20)).reduce((sum, count) => sum + count)
  assert.equal(allowed, 15)
  await Promise.all(members.map((member) => member.settled()))
  for (const member of members) assert.equal(member.takeAll(5), 0)
  // All fifteen are on the account; the one whose answer came last has seen them all.
  const behindMs = Math.max(...members.map(({ limit }) => limit.retryAfterMs))
  assert(behindMs > 10 * 36_000 && behindMs <= 11 * 36_000, `${behindMs} ms`)
})

test('a key in much use is leased requests ahead, and all of them are charged', { skip }, async (t) => {
  const server = await startServer(t)
  // A lease is good for a second, which may pass on a busy machine: time stands still here.
  const clock = new VirtualClock()
  const member = new Member(t, server.url, { requests: 1_000, perMs: 1_000, burst: 100 }, {}, clock)
  await member.ready()
  assert(member.take())
  await member.settled()
  const before = member.store.stats.questionsTotal
  // 50 ms of 1000 a second are 50, half of which are used before more is asked for.
  assert.equal(member.takeAll(20), 20)
  assert.equal(member.store.stats.questionsTotal, before)
  assert.equal(member.takeAll(10), 10)
  assert.equal(member.store.stats.questionsTotal, before + 1)
  await member.settled()
  // What is left of a lease that nobody used for a second is given up, and asked for again with the next request.
  clock.advance(1_001)
  const asked = member.store.stats.questionsTotal
  assert(member.take())
  assert.equal(member.store.stats.questionsTotal, asked + 1)
})

test('over time two processes together get what the limit says, not twice as much', { skip }, async (t) => {
  const server = await startServer(t)
  const rate = { requests: 200, perMs: 1_000, burst: 20 }
  const members = [new Member(t, server.url, rate), new Member(t, server.url, rate)]
  await Promise.all(members.map((member) => member.ready()))
  const startedAt = performance.now()
  let allowed = 0
  let endedAt = startedAt
  // Both ask for far more than there is; every round waits for the store, so that a slow machine makes fewer rounds and not other ones.
  for (let round = 0; round < 150; round++) {
    for (const member of members) allowed += member.takeAll(10)
    endedAt = performance.now()
    await Promise.all(members.map((member) => member.settled()))
    await new Promise((resolve) => setImmediate(resolve))
  }
  // The burst of each at the start, what is due since, and a lease of each.
  const most = 2 * 20 + ((endedAt - startedAt) * 200) / 1_000 + 2 * 10 + 2
  assert(allowed <= most, `${allowed} requests in ${endedAt - startedAt} ms, at most ${most}`)
  assert(allowed >= 20)
})

test('a server that is killed in mid-run is noticed; the limit goes on here, and is shared again when it is back', { skip }, async (t) => {
  const server = await startServer(t)
  const member = new Member(t, server.url, tenAnHour)
  await member.ready()
  assert.equal(member.takeAll(4), 4)
  await member.settled()
  await server.kill()
  await member.state('gone')
  // The account goes on from what is known.
  assert.equal(member.takeAll(20), 6)
  assert.deepEqual(member.limit.counts.allowed, { local: 6, shared: 4 })
  await server.restart()
  await member.ready()
  assert.deepEqual(member.states, ['ready', 'gone', 'ready'])
  assert(member.store.stats.reconnectsTotal >= 1)
  assert.equal(member.takeAll(20, 2), 10)
  assert.equal(member.limit.counts.allowed.shared, 14)
})

test('a server that stands still is not waited for, and used again when it answers', { skip }, async (t) => {
  const server = await startServer(t)
  const member = new Member(t, server.url, tenAnHour, { deadlineMs: 200 })
  await member.ready()
  server.freeze()
  // Decided without an answer.
  assert.equal(member.takeAll(3), 3)
  await member.state('slow')
  assert.equal(member.takeAll(20), 7)
  assert(member.store.stats.lateTotal >= 1)
  server.thaw()
  await member.ready()
  assert.equal(member.states.at(-1), 'ready')
})

test('a request that another limit refused is given back to the account that it was taken from', { skip }, async (t) => {
  const server = await startServer(t)
  const member = new Member(t, server.url, tenAnHour, { deadlineMs: 200 })
  await member.ready()
  server.freeze()
  assert(member.take())
  await member.state('slow')
  // Its question is open; this one is not a part of it.
  assert(member.take())
  member.limit.giveBack(1, 1)
  assert.equal(member.takeAll(20), 9)
  server.thaw()
  await member.ready()
})

for (const { onError, allowed } of [
  { onError: 'open', allowed: 30 },
  { onError: 'closed', allowed: 0 },
] as const) {
  test(
    `without a server ${onError === 'open' ? 'everything is let through' : 'nothing is let through'} when that is what is chosen`,
    { skip },
    async (t) => {
      const server = await startServer(t)
      const member = new Member(t, server.url, tenAnHour, { onError })
      await member.ready()
      await server.kill()
      await member.state('gone')
      assert.equal(member.takeAll(30), allowed)
      assert.deepEqual(member.limit.counts.unreachable, { local: 0, shared: 30 })
      assert.equal(member.limit.wasUnreachable, onError === 'closed')
    },
  )
}

test('before the first answer of a server it is as if it were gone', { skip }, async (t) => {
  const server = await startServer(t)
  const member = new Member(t, server.url, tenAnHour)
  assert.equal(member.takeAll(20), 10)
  assert.deepEqual(member.limit.counts.allowed, { local: 10, shared: 0 })
  await member.ready()
})

test('junk at our keys is taken for nothing', { skip }, async (t) => {
  const server = await startServer(t)
  const member = new Member(t, server.url, tenAnHour)
  await member.ready()
  const { admin } = server
  const junk = [
    '',
    'junk',
    'nan',
    'inf',
    '-inf',
    '1e300',
    '-1e300',
    '\0\xff',
    'x'.repeat(100_000),
    String(Date.now() * 1_000_000),
    '99999999999999999999.0 1',
    '1.0 99999999999999999999',
    '1.5 2 3',
  ]
  for (const [i, text] of junk.entries()) await admin.set(keyOf(i), text)
  await admin.lpush(keyOf(100), 'a', 'b')
  await admin.hset(keyOf(101), 'a', 'b')
  for (const key of [...junk.keys(), 100, 101]) {
    assert(member.take(key))
    await member.settled()
    assert.equal(member.takeAll(20, key), 9, `key ${key}`)
    await member.settled()
  }
  assert.equal(member.store.stats.errorsTotal, 0)
  assert.equal(member.store.stats.state, 'ready')
})

test('when the clock of the server is set back accounts go with it, and nobody is refused for longer', { skip }, async (t) => {
  const server = await startServer(t)
  const member = new Member(t, server.url, tenAnHour)
  await member.ready()
  const { admin } = server
  // What a server writes whose clock goes half a day before: four requests are on the account.
  const aheadMs = 4 * 360_000
  const [seconds = ''] = (await admin.call('TIME')) as string[]
  const thenMicros = (Number(seconds) - 1_600_000_000 + 43_200) * 1_000_000
  await admin.set(keyOf(1), `${thenMicros + aheadMs * 1_000}.000 ${thenMicros}`)
  assert(member.take())
  await member.settled()
  assert.equal(member.takeAll(20), 5)
  assert(member.limit.retryAfterMs <= 360_000, `${member.limit.retryAfterMs} ms`)
})

test('limits of one name with other numbers are counted apart', { skip }, async (t) => {
  const server = await startServer(t)
  const strict = new Member(t, server.url, tenAnHour)
  const loose = new Member(t, server.url, { requests: 1_000, perMs: 86_400_000, burst: 1_000 })
  await Promise.all([strict.ready(), loose.ready()])
  assert.equal(loose.takeAll(500), 500)
  await loose.settled()
  assert(strict.take())
  await strict.settled()
  assert.equal(strict.takeAll(20), 9)
  await strict.settled()
  assert.equal(loose.takeAll(600), 500)
})

test('a server that was emptied is believed', { skip }, async (t) => {
  const server = await startServer(t)
  const member = new Member(t, server.url, tenAnHour)
  await member.ready()
  assert.equal(member.takeAll(9), 9)
  await member.settled()
  await server.admin.flushall()
  assert(member.take())
  await member.settled()
  assert.equal(member.takeAll(20), 9)
  assert.deepEqual(member.states, ['ready'])
})

test('a server that answers with errors is not used until it does what is asked', { skip }, async (t) => {
  const server = await startServer(t)
  const member = new Member(t, server.url, tenAnHour)
  await member.ready()
  await server.admin.config('SET', 'maxmemory', '1')
  assert(member.take())
  await member.state('failing')
  assert.match(member.reasons.at(-1) ?? '', /^OOM /)
  assert.equal(member.takeAll(20), 9)
  await server.admin.config('SET', 'maxmemory', '0')
  await member.ready()
})

test('a server that forgot the script is told it again', { skip }, async (t) => {
  const server = await startServer(t)
  const member = new Member(t, server.url, tenAnHour)
  await member.ready()
  await server.admin.script('FLUSH')
  assert.equal(member.takeAll(10), 10)
  await member.settled()
  assert.equal(member.take(), false)
  assert.equal(member.store.stats.errorsTotal, 0)
  assert.deepEqual(member.states, ['ready'])
})

test('name, password and database are taken from the address, and a wrong password is told without it', { skip }, async (t) => {
  const password = 'p@ss/w:rd %'
  const server = await startServer(t, { password })
  const right = new Member(t, `redis://default:${encodeURIComponent(password)}@127.0.0.1:${server.port}/3`, tenAnHour)
  await right.ready()
  assert(right.take())
  await right.settled()
  assert.deepEqual((await server.admin.info('keyspace')).match(/^db\d+/gm), ['db3'])

  const wrong = new Member(t, `redis://default:mistaken@127.0.0.1:${server.port}`, tenAnHour)
  await until(
    () => wrong.reasons.length > 0,
    () => 'the reason why it is not used',
  )
  assert.notEqual(wrong.store.stats.state, 'ready')
  assert.match(wrong.reasons.join(' '), /WRONGPASS|NOAUTH/)
  assert.doesNotMatch(wrong.reasons.join(' '), /mistaken/)
  assert.equal(wrong.takeAll(20), 10)
})

test('what is at its address and is no Redis at all is not used', { skip }, async (t) => {
  const { createServer } = await import('node:http')
  const http = createServer((_request, response) => void response.end('hello')).listen(0, '127.0.0.1')
  t.after(() => {
    http.closeAllConnections()
    http.close()
  })
  await new Promise((resolve) => http.once('listening', resolve))
  const { port } = http.address() as { port: number }
  const member = new Member(t, `redis://127.0.0.1:${port}`, tenAnHour)
  await until(
    () => member.reasons.length > 0,
    () => `the reason why it is not used: ${JSON.stringify(member.store.stats)}`,
  )
  assert.notEqual(member.store.stats.state, 'ready')
  assert.equal(member.takeAll(20), 10)
})

test('a database that the server has not is not exchanged for another one', { skip }, async (t) => {
  const server = await startServer(t)
  const member = new Member(t, `${server.url}/99`, tenAnHour)
  await until(
    () => member.states.includes('failing'),
    () => `it not to be used: ${member.states.join()}`,
  )
  assert.match(member.reasons[0] ?? '', /DB index is out of range/)
  assert.equal(member.takeAll(20), 10)
  await until(
    () => member.store.stats.reconnectsTotal >= 2,
    () => `it to be looked for again: ${JSON.stringify(member.store.stats)}`,
  )
  assert(!member.states.includes('ready'))
  assert.deepEqual(await server.admin.keys('*'), [])
})

test('a user of the store needs no more rights than the script takes', { skip }, async (t) => {
  const server = await startServer(t)
  const { admin } = server
  const rights = ['reset', 'on', '>secret', '~test:*', '+evalsha', '+eval', '+time', '+get', '+set']
  await admin.call('ACL', 'SETUSER', 'limits', ...rights)
  const member = new Member(t, `redis://limits:secret@127.0.0.1:${server.port}`, tenAnHour)
  await member.ready()
  assert.equal(member.takeAll(20), 10)
  await member.settled()
  assert.equal(member.store.stats.errorsTotal, 0)
  // Keys of others are out of reach.
  const other = new Member(t, `redis://limits:secret@127.0.0.1:${server.port}`, tenAnHour, { prefix: 'other:' })
  await other.state('failing')
  assert.match(other.reasons[0] ?? '', /^NOPERM/)
})

test('a server that became a replica is not used, and is again when it can be written to', { skip }, async (t) => {
  const server = await startServer(t)
  const member = new Member(t, server.url, tenAnHour)
  await member.ready()
  assert.equal(member.takeAll(4), 4)
  await member.settled()
  // Nobody is at port 1: it serves what it has, and takes nothing.
  await server.admin.call('REPLICAOF', '127.0.0.1', '1')
  assert(member.take())
  await until(
    () => member.states.includes('failing'),
    () => `it not to be used: ${member.states.join()}`,
  )
  assert.match(member.reasons[1] ?? '', /^READONLY/)
  assert.equal(member.takeAll(20), 5)
  await server.admin.call('REPLICAOF', 'NO', 'ONE')
  await member.ready()
})

/** A server with TLS, what shows and asks for certificates; undefined when this build of it cannot, which is told. */
async function startSecure(
  t: TestContext,
  subject?: string,
): Promise<{ server: RedisServer; folder: TemporaryFolder; tls: CertificateFiles } | undefined> {
  const folder = new TemporaryFolder()
  t.after(() => folder[Symbol.dispose]())
  const tls = await makeCertificate(folder, 'server', subject)
  try {
    return { server: await startServer(t, { tls, password: 'secret' }), folder, tls }
  } catch (error) {
    if (!/Bad directive/.test(String(error))) throw error
    t.skip('this redis-server is built without TLS')
    return undefined
  }
}

test('a server is spoken to over TLS when its authority is known, with a certificate of our own', { skip: skipSecure }, async (t) => {
  const secure = await startSecure(t)
  if (secure === undefined) return
  const { server, tls } = secure
  const { certificate, key } = readCertificate(tls)
  const url = `rediss://default:secret@127.0.0.1:${server.port}/2`
  const members = [0, 1].map(() => new Member(t, url, tenAnHour, { ca: certificate, certificate, key }))
  await Promise.all(members.map((member) => member.ready()))
  assert.equal(members[0]!.takeAll(20), 10)
  await members[0]!.settled()
  assert(members[1]!.take())
  await members[1]!.settled()
  assert.equal(members[1]!.take(), false)
})

test('a server is not trusted that another authority speaks for, or that has another name', { skip: skipSecure }, async (t) => {
  const secure = await startSecure(t)
  const other = await startSecure(t, 'DNS:elsewhere.example')
  if (secure === undefined || other === undefined) return
  const { server, folder, tls } = secure
  const { certificate, key } = readCertificate(tls)
  const { certificate: ca } = readCertificate(await makeCertificate(folder, 'stranger'))
  const url = `rediss://default:secret@127.0.0.1:${server.port}`
  const elsewhere = `rediss://default:secret@127.0.0.1:${other.server.port}`
  for (const { member, reason } of [
    { member: new Member(t, url, tenAnHour, { ca, certificate, key }), reason: /self.signed certificate/ },
    // Nor is it by the authorities that the system knows.
    { member: new Member(t, url, tenAnHour, { certificate, key }), reason: /self.signed certificate/ },
    {
      member: new Member(t, elsewhere, tenAnHour, { ...readCertificate(other.tls), ca: readCertificate(other.tls).certificate }),
      reason: /does not match certificate's altnames/,
    },
    // It asks for a certificate and gets none: it hangs up, with a word for it or without.
    { member: new Member(t, url, tenAnHour, { ca: certificate }), reason: /certificate|ended|ECONNRESET|EPIPE|closed/ },
    { member: new Member(t, `redis://127.0.0.1:${server.port}`, tenAnHour), reason: /./ },
  ]) {
    await member.state('gone')
    assert.match(member.reasons[0] ?? '', reason)
    assert.doesNotMatch(member.reasons.join(' '), /secret/)
    assert.equal(member.takeAll(20), 10)
    assert(!member.states.includes('ready'))
  }
})

async function startUnruly(t: TestContext, manner: RedisManner): Promise<UnrulyRedis> {
  const redis = await UnrulyRedis.start(manner)
  t.after(() => redis[Symbol.asyncDispose]())
  return redis
}

for (const manner of ['hang-up', 'nonsense'] as const) {
  test(`a server that takes connections and then does this: ${manner}, is connected to later each time`, async (t) => {
    const redis = await startUnruly(t, manner)
    const member = new Member(t, redis.url, tenAnHour)
    await until(
      () => redis.connectedAt.length >= 6,
      () => `connections: ${redis.connectedAt.length}, ${member.states.join()}`,
    )
    // 50, 100, 200, 400 and 800 ms; timers of the system may be a millisecond early.
    const waitedMs = redis.connectedAt[5]! - redis.connectedAt[0]!
    assert(waitedMs >= 1_550 - 5, `${waitedMs} ms`)
    assert.equal(member.takeAll(20), 10)
  })
}

test('a server that comes and goes is believed later each time, and told to be used when it stays', async (t) => {
  const clock = new VirtualClock()
  const redis = await startUnruly(t, 'answer')
  const member = new Member(t, redis.url, tenAnHour, {}, clock)
  await member.ready()
  const lose = async (connections: number): Promise<void> => {
    redis.hangUp()
    await member.state('gone')
    await until(
      () => redis.connectedAt.length === connections,
      () => `${connections} connections, of which there were ${redis.connectedAt.length}`,
    )
    await until(
      () => clock.scheduledCount === 1,
      () => `a probe to be planned: ${clock.scheduledCount}`,
    )
  }
  let connections = 1
  for (const doubtMs of [500, 1_000, 2_000, 4_000, 5_000, 5_000]) {
    // A connection that lasted, so that the next one comes soon.
    clock.advance(6_000)
    await lose(++connections)
    clock.advance(doubtMs - 1)
    assert.equal(clock.scheduledCount, 1)
    assert.equal(member.store.stats.state, 'gone')
    clock.advance(1)
    await member.ready()
  }
  assert.deepEqual(member.told, [true, false, true, false])
  clock.advance(15_000)
  await until(
    () => member.told.length === 5,
    () => 'it to be told to be used',
  )
  await lose(++connections)
  assert.deepEqual(member.told, [true, false, true, false, true, false])
  clock.advance(249)
  assert.equal(clock.scheduledCount, 1)
  clock.advance(1)
  await member.ready()
  assert.deepEqual(member.told, [true, false, true, false, true, false, true])
})

test('a server that is in use and that nobody asks anything is asked now and then, so that its connection is not idle', async (t) => {
  const clock = new VirtualClock()
  const redis = await startUnruly(t, 'answer')
  const member = new Member(t, redis.url, tenAnHour, {}, clock)
  await member.ready()
  redis.manner = 'refuse'
  clock.advance(14_999)
  assert.deepEqual(member.states, ['ready'])
  clock.advance(1)
  await member.state('failing')
  assert.equal(member.reasons.at(-1), 'ERR no')
})

test('a server that may not be written to is left for the one that is at its address now', async (t) => {
  const redis = await startUnruly(t, 'refuse')
  redis.refusal = "READONLY You can't write against a read only replica."
  const member = new Member(t, redis.url, tenAnHour)
  await until(
    () => redis.connectedAt.length >= 3,
    () => `connections: ${redis.connectedAt.length}`,
  )
  assert.match(member.reasons[0] ?? '', /^READONLY/)
  redis.manner = 'answer'
  await member.ready()
})

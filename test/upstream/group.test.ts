/** A group of servers over time: whom it chooses, what it learns of them, and what stays when its list changes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseUpstreamAddress } from '../../lib/core/options.ts'
import type { HealthOptions, OutlierOptions } from '../../lib/core/service-options.ts'
import { plainBalancing, UpstreamGroup, type Balancing } from '../../lib/upstream/group.ts'
import type { GroupServer, Server } from '../../lib/upstream/server.ts'
import { parseRequestHead } from '../support/parsed-head.ts'
import { RecordingWaiter, UpstreamStage } from '../support/upstream-stage.ts'

const health: HealthOptions = {
  kind: 'http',
  path: '/',
  host: '',
  intervalMs: 5_000,
  timeoutMs: 2_000,
  rise: 2,
  fall: 3,
  statuses: [[200, 399]],
  body: '',
}
const outlier: OutlierOptions = {
  consecutive: 3,
  failureShare: 0.5,
  requests: 20,
  windowMs: 10_000,
  ejectMs: 10_000,
  ejectMaxMs: 60_000,
  ejectShareMax: 0.5,
}

const a = '10.0.0.1:80'
const b = '10.0.0.2:80'
const c = '10.0.0.3:80'

function row(address: string, more: Partial<GroupServer> = {}): GroupServer {
  return { address: parseUpstreamAddress(address), weight: 1, backup: false, ...more }
}

class GroupStage {
  readonly stage = new UpstreamStage()
  readonly group: UpstreamGroup
  readonly options: Balancing

  constructor(servers: readonly (string | GroupServer)[], options: Partial<Balancing> = {}) {
    this.options = { ...plainBalancing, ...options }
    this.group = new UpstreamGroup(this.rows(servers), this.stage.environment, 'app', this.options)
  }

  rows(servers: readonly (string | GroupServer)[]): readonly GroupServer[] {
    return servers.map((server) => (typeof server === 'string' ? row(server) : server))
  }

  update(servers: readonly (string | GroupServer)[], options: Partial<Balancing> = {}): void {
    this.group.update(this.rows(servers), { ...this.options, ...options })
  }

  server(name: string): Server {
    return this.group.servers.find((server) => server.name === name)!
  }

  /** The names of the servers that the next exchanges get, one after the other, each over before the next. */
  names(count: number, key = ''): string {
    return Array.from({ length: count }, () => {
      const server = this.group.pick([], key, false)
      if (server !== undefined) this.group.leave(server, false)
      return server === undefined ? '-' : server.name === a ? 'a' : server.name === b ? 'b' : 'c'
    }).join('')
  }

  fail(name: string, times: number): void {
    for (let i = 0; i < times; i++) this.group.onFailure(this.server(name))
  }

  /** Somebody wants a connection to it and is refused. */
  refuse(name: string): void {
    new RecordingWaiter().acquire(this.server(name).pool)
    this.stage.refuse(this.stage.sockets.length - 1)
  }

  /** What was told since it was asked last. */
  events(): string[] {
    return this.stage.servers.splice(0).map(({ server, change }) => `${server} ${change}`)
  }

  /** Every check that is under way gets this answer; undefined: is refused. */
  answerChecks(answer: (name: string) => number | undefined): void {
    for (const [index, socket] of this.stage.sockets.entries()) {
      if (!socket.isConnecting || this.stage.isGone(index)) continue
      const { host } = this.stage.addresses[index] as { host: string }
      const status = answer(`${host}:80`)
      if (status === undefined) this.stage.refuse(index)
      else {
        this.stage.connect(index)
        this.stage.say(index, `HTTP/1.1 ${status} X\r\nContent-Length: 0\r\n\r\n`)
      }
    }
    this.stage.closeSockets()
  }

  end(): void {
    this.group.destroy()
    this.stage.closeSockets()
    this.stage.assertEmpty()
  }
}

test('servers take turns; one that refused a connection is passed over until its time is over or it takes one', () => {
  const stage = new GroupStage([a, b, c])
  assert.equal(stage.names(6), 'abcabc')
  stage.refuse(b)
  assert.deepEqual(stage.events(), [`${b} down`])
  assert.deepEqual(stage.group.stats[b]!.state, 'down')
  assert.match(stage.group.stats[b]!.reason, /ECONNREFUSED/)
  assert(!stage.names(6).includes('b'))
  stage.refuse(b)
  assert.deepEqual(stage.events(), [], 'the same is not told twice')
  stage.stage.clock.advance(10_000)
  assert(stage.names(3).includes('b'), 'it is tried again')
  const waiter = new RecordingWaiter()
  waiter.acquire(stage.server(b).pool)
  stage.stage.connect(2)
  assert.deepEqual(stage.events(), [`${b} up`])
  assert.equal(stage.group.stats[b]!.state, 'up')
  waiter.connection!.terminate()
  stage.end()
})

test('a request that was refused everywhere has no server left; another one finds that all were, and tries all the same', () => {
  const stage = new GroupStage([a, b])
  stage.refuse(a)
  stage.refuse(b)
  const first = stage.group.pick([], '', false)!
  const second = stage.group.pick([first], '', true)!
  assert.notEqual(first, second)
  assert.equal(stage.group.pick([first, second], '', true), undefined)
  assert.equal(stage.group.refusal, 'ERR_EPROXY_NO_SERVER')
  stage.group.leave(first, false)
  stage.group.leave(second, true)
  assert.equal(stage.group.balanceStats.selection, 'last-resort')
  stage.end()
})

test('load is counted while exchanges last, by server and in all', () => {
  const stage = new GroupStage([a, b], { balance: 'least-connections' })
  const held = Array.from({ length: 4 }, () => stage.group.pick([], '', false)!)
  assert.deepEqual([stage.server(a).active, stage.server(b).active, stage.group.active], [2, 2, 4])
  const [first] = held
  for (const one of held.filter((server) => server === first)) stage.group.leave(one, false)
  // What is idle now is chosen until it has as much as the other.
  assert.equal(stage.names(3), first!.name === a ? 'aaa' : 'bbb')
  assert.throws(() => stage.group.leave(first!, false), /left that nobody has/)
  for (const one of held.filter((server) => server !== first)) stage.group.leave(one, false)
  assert.equal(stage.group.stats[a]!.exchangesTotal + stage.group.stats[b]!.exchangesTotal, 7)
  stage.end()
})

test('a group of one server and no options always gives that server, once for each request', () => {
  const stage = new GroupStage([a])
  const server = stage.group.pick([], '', false)!
  stage.refuse(a)
  assert.equal(stage.group.pick([server], '', true), undefined)
  assert.equal(stage.names(2), 'aa')
  stage.group.leave(server, false)
  stage.end()
})

test('checks take a server down after so many bad answers and bring it back after so many good ones; the first alone decides', () => {
  const stage = new GroupStage([a, b], { health })
  const { clock } = stage.stage
  assert(stage.names(4).includes('b'), 'used until something is known of it')
  clock.advance(100)
  assert.equal(stage.stage.sockets.length, 2)
  stage.answerChecks((name) => (name === b ? 503 : 200))
  assert.deepEqual(stage.events(), [`${b} down`])
  assert.equal(stage.group.stats[b]!.reason, 'health check: status 503')
  assert.deepEqual(stage.group.stats[b]!.lastCheck, { isGood: false, reason: 'status 503', status: 503, ms: 0, at: clock.wallNow() })
  assert.equal(stage.names(4), 'aaaa')
  const checkAll = (answer: (name: string) => number | undefined): void => {
    clock.advance(5_100)
    stage.answerChecks(answer)
  }
  checkAll(() => 200)
  assert.equal(stage.names(4), 'aaaa', 'one good answer is not enough')
  checkAll(() => 200)
  assert.deepEqual(stage.events(), [`${b} up`])
  assert(stage.names(4).includes('b'))
  checkAll(() => undefined)
  checkAll(() => undefined)
  checkAll(() => 200)
  checkAll((name) => (name === a ? undefined : 200))
  checkAll((name) => (name === a ? undefined : 200))
  assert.deepEqual(stage.events(), [], 'it takes three bad answers in a row')
  checkAll((name) => (name === a ? undefined : 200))
  assert.deepEqual(stage.events(), [`${a} down`])
  assert.equal(stage.names(3), 'bbb')
  stage.end()
})

test('a server that refuses connections and fails its checks is down once, and up when neither is so; a good check is proof that it can be reached', () => {
  const stage = new GroupStage([a, b], { health })
  const { clock } = stage.stage
  const checkAll = (answer: (name: string) => number | undefined): void => {
    clock.advance(5_000)
    stage.answerChecks(answer)
  }
  stage.refuse(b)
  assert.deepEqual(stage.events(), [`${b} down`])
  clock.advance(100)
  stage.answerChecks(() => 200)
  assert.deepEqual(stage.events(), [`${b} up`])
  assert(stage.names(2).includes('b'), 'sooner than after timeouts.serverDown')
  stage.refuse(b)
  for (let i = 0; i < 3; i++) checkAll((name) => (name === b ? 500 : 200))
  assert.deepEqual(stage.events(), [`${b} down`])
  checkAll(() => 200)
  assert.deepEqual(stage.events(), [])
  checkAll(() => 200)
  assert.deepEqual(stage.events(), [`${b} up`])
  stage.end()
})

test('checks of many servers spread: each interval is varied by a tenth', () => {
  const stage = new UpstreamStage()
  let draw = 0
  const environment = { ...stage.environment, random: () => (draw++ % 2 === 0 ? 0 : 0.999) }
  const group = new UpstreamGroup([row(a), row(b)], environment, 'app', { ...plainBalancing, health: { ...health, kind: 'tcp' } })
  stage.clock.advance(100)
  stage.connect(0)
  stage.connect(1)
  stage.clock.advance(4_500)
  assert.equal(stage.sockets.length, 3)
  stage.clock.advance(1_000)
  assert.equal(stage.sockets.length, 4)
  group.destroy()
  stage.closeSockets()
  stage.assertEmpty()
})

test('when checks say that all are down: nobody is served, or all are used, as the panic share says', () => {
  for (const panicShare of [0, 0.5]) {
    const stage = new GroupStage([a, b, c], { health, panicShare })
    stage.stage.clock.advance(100)
    stage.answerChecks(() => 500)
    assert.equal(stage.names(3), panicShare === 0 ? '---' : 'abc')
    assert.equal(stage.group.balanceStats.selection, panicShare === 0 ? 'none' : 'panic')
    assert.equal(stage.group.isUsable, panicShare !== 0)
    stage.end()
  }
})

test('a backup is used while no other server is, and not a moment longer', () => {
  const stage = new GroupStage([a, row(b, { backup: true })], { health })
  assert.equal(stage.names(3), 'aaa')
  stage.stage.clock.advance(100)
  stage.answerChecks((name) => (name === a ? 500 : 200))
  assert.equal(stage.names(3), 'bbb')
  assert.equal(stage.group.balanceStats.selection, 'backup')
  for (let i = 0; i < 2; i++) {
    stage.stage.clock.advance(5_100)
    stage.answerChecks(() => 200)
  }
  assert.equal(stage.names(3), 'aaa')
  stage.end()
})

test('a server that fails too often is ejected, and is back by itself; each time it is out for longer', () => {
  const stage = new GroupStage([a, b], { outlier })
  const { clock } = stage.stage
  for (const outMs of [10_000, 20_000]) {
    stage.fail(b, 2)
    stage.group.onSuccess(stage.server(b))
    stage.fail(b, 2)
    assert.deepEqual(stage.events(), [])
    stage.fail(b, 1)
    assert.deepEqual(stage.events(), [`${b} ejected`])
    assert.equal(stage.group.stats[b]!.reason, `3 failures in a row; out for ${outMs} ms`)
    assert.equal(stage.names(4), 'aaaa')
    clock.advance(outMs - 1)
    assert.equal(stage.names(4), 'aaaa')
    clock.advance(101)
    assert.deepEqual(stage.events(), [`${b} back`])
    assert(stage.names(4).includes('b'))
    stage.group.onSuccess(stage.server(b))
  }
  const { ejectionsTotal, failuresTotal, state } = stage.group.stats[b]!
  assert.deepEqual([ejectionsTotal, failuresTotal, state], [2, 10, 'up'])
  stage.end()
})

test('what is left of a server that is ejected does not decide how it is taken back: its first exchange after that does', () => {
  const stage = new GroupStage([a, b], { outlier })
  stage.fail(b, 3)
  assert.deepEqual(stage.events(), [`${b} ejected`])
  // One that had begun before ends well.
  stage.group.onSuccess(stage.server(b))
  stage.stage.clock.advance(10_100)
  assert.deepEqual(stage.events(), [`${b} back`])
  stage.fail(b, 1)
  assert.deepEqual(stage.events(), [`${b} ejected`])
  assert.equal(stage.group.stats[b]!.reason, 'it failed again after its ejection; out for 20000 ms')
  stage.end()
})

test('never are more servers out than their share allows', () => {
  const stage = new GroupStage([a, b, c], { outlier })
  stage.fail(a, 10)
  stage.fail(b, 10)
  stage.fail(c, 10)
  assert.deepEqual(stage.events(), [`${a} ejected`])
  // As soon as there is room again, the next failure is enough.
  stage.stage.clock.advance(10_100)
  stage.fail(b, 1)
  assert.deepEqual(stage.events(), [`${a} back`, `${b} ejected`])
  stage.end()
})

test('a server that is new or back begins with a tenth of its share', () => {
  const stage = new GroupStage([a, b], { slowStartMs: 10_000 })
  const share = (): number => stage.names(1_100).replaceAll(/[^c]/g, '').length / 1_100
  stage.update([a, b, c], { slowStartMs: 10_000 })
  assert.deepEqual(stage.events(), [`${c} joined`])
  assert(Math.abs(share() - 0.1 / 2.1) < 0.01, `${share()} at first`)
  stage.stage.clock.advance(5_000)
  assert(Math.abs(share() - 0.5 / 2.5) < 0.01, `${share()} half way`)
  stage.stage.clock.advance(5_000)
  assert(Math.abs(share() - 1 / 3) < 0.01, `${share()} in the end`)
  stage.group.setServerState(c, 'disabled')
  stage.group.setServerState(c, 'enabled')
  assert(Math.abs(share() - 0.1 / 2.1) < 0.01, `${share()} after it was back`)
  stage.end()
})

test('by hash, the same value always finds the same server; without a value the load decides', () => {
  const stage = new GroupStage([a, b, c], { balance: 'hash', hashOn: { kind: 'header', name: 'X-Tenant' } })
  const keyOf = (fields: string): string =>
    stage.group.keyOf(parseRequestHead(`GET / HTTP/1.1\r\nHost: t\r\n${fields}\r\n`), { clientAddress: '192.0.2.1' })
  assert.equal(keyOf('x-tenant: blue\r\n'), 'blue')
  assert.equal(keyOf('X-Tenants: blue\r\n'), '')
  const names = new Set<string>()
  for (let i = 0; i < 40; i++) {
    const name = stage.names(5, `tenant ${i}`)
    assert.equal(new Set(name).size, 1)
    names.add(name)
  }
  assert.equal(names.size, 3)
  stage.end()
})

test('the value for the hash is the client address, a field or a cookie', () => {
  const head = parseRequestHead('GET / HTTP/1.1\r\nHost: t\r\nCookie: x=1\r\ncookie: user=anna; y=2\r\n\r\n')
  const client = { clientAddress: '192.0.2.7' }
  const keyOf = (options: Partial<Balancing>): string => {
    const stage = new GroupStage([a], options)
    const key = stage.group.keyOf(head, client)
    stage.end()
    return key
  }
  assert.equal(keyOf({ balance: 'hash', hashOn: { kind: 'client' } }), '192.0.2.7')
  assert.equal(keyOf({ balance: 'hash', hashOn: { kind: 'header', name: 'host' } }), 't')
  assert.equal(keyOf({ balance: 'hash', hashOn: { kind: 'cookie', name: 'user' } }), 'anna')
  assert.equal(keyOf({ balance: 'sticky', stickyCookie: 'y' }), '2')
  assert.equal(keyOf({}), '')
})

test('a client with the cookie of a server stays with it, also while it drains; it gets another when that server is gone or down', () => {
  const options = { balance: 'sticky', stickyCookie: 'sid', outlier } as const
  const stage = new GroupStage([a, b, c], options)
  const { stickyId } = stage.server(b)
  assert.match(stickyId, /^[\w-]{16}$/)
  assert.equal(stage.names(9, stickyId), 'b'.repeat(9))
  assert.equal(stage.group.cookieFor(stage.server(b), stickyId), '')
  assert.equal(stage.group.cookieFor(stage.server(b), ''), `Set-Cookie: sid=${stickyId}; Path=/; HttpOnly; SameSite=Lax\r\n`)
  assert.notEqual(stage.group.cookieFor(stage.server(a), stickyId), '')
  stage.group.setServerState(b, 'draining')
  assert.equal(stage.names(3, stickyId), 'bbb')
  assert(!stage.names(30).includes('b'), 'nobody else goes there')
  stage.group.setServerState(b, 'disabled')
  assert(!stage.names(30, stickyId).includes('b'))
  stage.group.setServerState(b, 'enabled')
  stage.fail(b, 3)
  assert(!stage.names(30, stickyId).includes('b'))
  stage.stage.clock.advance(10_100)
  assert.equal(stage.names(3, stickyId), 'bbb')
  const tried = stage.server(b)
  const other = stage.group.pick([tried], stickyId, true)!
  assert.notEqual(other, tried)
  stage.group.leave(other, true)
  stage.update([a, c], options)
  assert(!stage.names(30, stickyId).includes('b'))
  assert(!stage.names(30, 'what a stranger made up').includes('-'))
  stage.end()
})

test('a server that drains says so when its last exchange is over', () => {
  const stage = new GroupStage([a, b])
  const held = [stage.group.pick([], '', false)!, stage.group.pick([], '', false)!]
  stage.group.setServerState(a, 'draining')
  assert.deepEqual(stage.events(), [`${a} draining`])
  assert.equal(stage.group.stats[a]!.state, 'draining')
  for (const server of held) stage.group.leave(server, false)
  assert.deepEqual(stage.events(), [`${a} drained`])
  stage.group.setServerState(a, 'draining')
  assert.deepEqual(stage.events(), [], 'it does so already')
  const late = stage.group.pick([], '', false)!
  stage.group.leave(late, false)
  assert.deepEqual(stage.events(), [])
  stage.group.setServerState(b, 'disabled')
  assert.deepEqual(stage.events(), [`${b} disabled`, `${b} drained`])
  assert.equal(stage.names(1), '-')
  assert.equal(stage.group.setServerState('10.9.9.9:80', 'enabled'), false)
  stage.end()
})

test('a server that is in the old and the new list keeps what is known of it, and its turn', () => {
  const options = { health, outlier } as const
  const stage = new GroupStage([a, b, c], options)
  stage.stage.clock.advance(100)
  stage.answerChecks((name) => (name === a ? 500 : 200))
  stage.fail(b, 3)
  stage.group.setServerState(c, 'draining')
  const held = stage.group.pick([], stage.server(c).stickyId, false)
  assert.equal(held, undefined)
  const known = stage.group.stats
  stage.events()
  stage.update([c, b, a], { ...options, slowStartMs: 1_000 })
  assert.deepEqual(stage.group.stats, known)
  assert.deepEqual(stage.events(), [])
  // Without checks and without outliers there is nothing left that speaks against them.
  stage.group.update(stage.rows([a, b]), plainBalancing)
  assert.deepEqual(stage.events(), [`${a} up`, `${b} back`, `${c} draining`, `${c} drained`])
  assert.match(stage.names(2), /ab|ba/)
  stage.end()
})

test('a server that is no longer in the list closes with its last exchange, and comes back as a new one', () => {
  const stage = new GroupStage([a, b])
  const waiter = new RecordingWaiter()
  const server = stage.server(b)
  const held = [stage.group.pick([], '', false)!, stage.group.pick([], '', false)!]
  waiter.acquire(server.pool)
  stage.stage.connect(0)
  stage.update([a])
  assert.deepEqual(stage.events(), [`${b} draining`])
  assert.equal(stage.names(3), 'aaa')
  assert.equal(stage.stage.isGone(0), false)
  stage.update([a, b])
  assert.notEqual(stage.server(b), server)
  stage.stage.say(0, 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
  server.pool.release(waiter.connection!)
  assert(stage.stage.isGone(0))
  for (const one of held) stage.group.leave(one, false)
  assert.deepEqual(stage.events(), [`${b} joined`, `${b} drained`])
  stage.end()
})

test('options that are wrong change nothing', () => {
  const stage = new GroupStage([a, b], { health })
  for (const wrong of [{ balance: 'sticky', stickyCookie: 'a b' } as const, { health: { ...health, path: 'x y' } }])
    assert.throws(() => stage.update([c], wrong), { code: 'ERR_EPROXY_OPTION' })
  assert.deepEqual(
    stage.group.servers.map(({ name }) => name),
    [a, b],
  )
  stage.end()
})

test('the circuit breaker bounds exchanges, retries and waiting, says so once, and closes when it was quiet', () => {
  const stage = new GroupStage([a, b], { breaker: { exchanges: 3, waiting: 1, retries: 1 } })
  const { group } = stage
  const held = Array.from({ length: 2 }, () => group.pick([], '', false)!)
  const retry = group.pick([held[0]!], '', true)!
  assert.equal(group.retrying, 1)
  for (let i = 0; i < 5; i++) assert.equal(group.pick([], '', false), undefined)
  assert.equal(group.refusal, 'ERR_EPROXY_CIRCUIT_OPEN')
  group.leave(held[0]!, false)
  assert.equal(group.pick([held[0]!], '', true), undefined, 'a second retry')
  assert.equal(stage.names(1).length, 1)
  assert.deepEqual(stage.stage.breakers, [{ group: 'app', limit: 'exchanges', state: 'opens' }])
  assert.deepEqual([group.balanceStats.isBreakerOpen, group.balanceStats.brokenTotal], [true, 6])
  stage.stage.clock.advance(1_100)
  assert.deepEqual(stage.stage.breakers.at(-1), { group: 'app', limit: 'exchanges', state: 'closes' })
  assert.equal(group.balanceStats.isBreakerOpen, false)
  group.leave(held[1]!, false)
  group.leave(retry, true)
  assert.deepEqual([group.active, group.retrying], [0, 0])
  stage.end()
})

test('the circuit breaker counts those who wait for others to finish', () => {
  const stage = new UpstreamStage({ pool: { connections: 1 } })
  const breaker = { exchanges: 100, waiting: 1, retries: 100 }
  const group = new UpstreamGroup([row(a)], stage.environment, 'app', { ...plainBalancing, breaker })
  const { pool } = group.servers[0]!
  for (let i = 0; i < 2; i++) {
    assert.notEqual(group.pick([], '', false), undefined)
    new RecordingWaiter().acquire(pool)
  }
  assert.equal(pool.queued, 1)
  assert.equal(group.pick([], '', false), undefined)
  assert.equal(stage.breakers[0]?.limit, 'waiting')
  group.destroy()
  stage.closeSockets()
  stage.assertEmpty()
})

test('whatever happens to a group, its figures agree with those who have its servers', () => {
  const command = fc.oneof(
    fc.record({ do: fc.constant('pick' as const), isRetry: fc.boolean() }),
    fc.record({ do: fc.constant('leave' as const), which: fc.nat() }),
    fc.record({ do: fc.constant('fail' as const), which: fc.nat(2) }),
    fc.record({ do: fc.constant('list' as const), which: fc.subarray([a, b, c]) }),
    fc.record({
      do: fc.constant('state' as const),
      which: fc.nat(2),
      state: fc.constantFrom('enabled' as const, 'draining' as const, 'disabled' as const),
    }),
    fc.record({ do: fc.constant('wait' as const), ms: fc.nat(20_000) }),
  )
  const balance = fc.constantFrom(
    'round-robin' as const,
    'least-connections' as const,
    'power-of-two' as const,
    'hash' as const,
    'sticky' as const,
  )
  fc.assert(
    fc.property(balance, fc.array(command, { maxLength: 60 }), (kind, commands) => {
      const options = { balance: kind, stickyCookie: 'sid', slowStartMs: 3_000, outlier }
      const stage = new GroupStage([a, b, c], options)
      const held: { readonly server: Server; readonly isRetry: boolean }[] = []
      for (const step of commands) {
        switch (step.do) {
          case 'pick': {
            const server = stage.group.pick([], `key ${held.length}`, step.isRetry)
            if (server === undefined) break
            assert(!server.hasLeft && server.admin === 'enabled')
            held.push({ server, isRetry: step.isRetry })
            break
          }
          case 'leave': {
            const [one] = held.splice(step.which % Math.max(1, held.length), 1)
            if (one !== undefined) stage.group.leave(one.server, one.isRetry)
            break
          }
          case 'fail': {
            const server = stage.group.servers[step.which]
            if (server !== undefined) stage.group.onFailure(server)
            break
          }
          case 'list':
            stage.update(step.which, options)
            break
          case 'state':
            stage.group.setServerState([a, b, c][step.which]!, step.state)
            break
          case 'wait':
            stage.stage.clock.advance(step.ms)
        }
        assert.equal(stage.group.active, held.length)
        assert.equal(stage.group.retrying, held.filter(({ isRetry }) => isRetry).length)
        for (const server of stage.group.servers) assert.equal(server.active, held.filter((one) => one.server === server).length)
        const out = stage.group.servers.filter(({ isEjected }) => isEjected).length
        if (step.do === 'fail') assert(out <= Math.max(0, stage.group.servers.length * outlier.ejectShareMax) || out <= 1)
      }
      stage.end()
    }),
  )
})

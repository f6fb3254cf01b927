/**
 * The connections to one server and those who wait for them: single behaviours first, then any sequence of events against a pool of plain
 * arrays. Servers are simulated sockets, names are resolved when the test says so.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ProxyError } from '../../lib/core/errors.ts'
import type { Pool } from '../../lib/upstream/pool.ts'
import { RecordingClient, RecordingWaiter, UpstreamStage } from '../support/upstream-stage.ts'

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'
const nothing = { idle: 0, busy: 0, connecting: 0, waiting: 0 }
const refused = (error: unknown): boolean => error instanceof ProxyError && error.code === 'ERR_EPROXY_QUEUE_FULL'
const unresolved = new ProxyError('ERR_EPROXY_DNS_FAILED', 'app has no address')

function acquireAll(pool: Pool, count: number): RecordingWaiter[] {
  return Array.from({ length: count }, () => {
    const waiter = new RecordingWaiter()
    waiter.acquire(pool)
    return waiter
  })
}

/** The server answers on this socket, and the exchange gives its connection back. */
function finish(stage: UpstreamStage, pool: Pool, waiter: RecordingWaiter, index: number): void {
  stage.say(index, ok)
  pool.release(waiter.connection!)
}

/** So many connections, used once and idle, the highest index on top. */
function idlePool(stage: UpstreamStage, count: number): Pool {
  const pool = stage.pool()
  const waiters = acquireAll(pool, count)
  for (const index of waiters.keys()) stage.connect(index)
  for (const [index, waiter] of waiters.entries()) finish(stage, pool, waiter, index)
  return pool
}

function end(stage: UpstreamStage, pool: Pool): void {
  pool.destroy()
  assert.deepEqual(pool.stats, nothing)
  stage.assertEmpty()
}

test('no more connections are made than the bound, whoever waits', () => {
  const stage = new UpstreamStage({ pool: { connections: 3 } })
  const pool = stage.pool()
  const waiters = acquireAll(pool, 10)
  assert.equal(stage.sockets.length, 3)
  assert.deepEqual(pool.stats, { idle: 0, busy: 0, connecting: 3, waiting: 10 })
  for (let index = 0; index < 3; index++) stage.connect(index)
  assert.deepEqual(pool.stats, { idle: 0, busy: 3, connecting: 0, waiting: 7 })
  assert.equal(stage.sockets.length, 3)
  for (const waiter of waiters) pool.cancel(waiter)
  end(stage, pool)
})

test('one more than may wait is refused at once, and nothing of it is left', () => {
  const stage = new UpstreamStage({ pool: { connections: 1, waiting: 2 } })
  const pool = stage.pool()
  const [first] = acquireAll(pool, 1)
  stage.connect(0)
  const [second, third] = acquireAll(pool, 2)
  const late = new RecordingWaiter()
  assert.throws(() => late.acquire(pool), refused)
  assert.deepEqual(pool.stats, { idle: 0, busy: 1, connecting: 0, waiting: 2 })
  finish(stage, pool, first!, 0)
  finish(stage, pool, second!, 0)
  finish(stage, pool, third!, 0)
  assert.equal(late.answers, 0)
  assert.deepEqual(pool.stats, { idle: 1, busy: 0, connecting: 0, waiting: 0 })
  end(stage, pool)
})

test('with no room to wait, a request still gets a connection of its own as long as there may be one more', () => {
  const stage = new UpstreamStage({ pool: { connections: 2, waiting: 0 } })
  const pool = stage.pool()
  const waiters = acquireAll(pool, 2)
  assert.throws(() => new RecordingWaiter().acquire(pool), refused)
  stage.connect(0)
  stage.connect(1)
  assert(waiters.every(({ answers }) => answers === 1))
  end(stage, pool)
})

test('the connection that came back last is used first, so that the others grow old', () => {
  const stage = new UpstreamStage({ pool: { connections: 3 }, timeouts: { upstreamKeepAlive: 4_000 } })
  const pool = idlePool(stage, 3)
  for (let i = 0; i < 5; i++) {
    const waiter = new RecordingWaiter()
    assert(waiter.acquire(pool))
    assert.equal(waiter.connection!.socket, stage.socket(2))
    stage.clock.advance(1_000)
    finish(stage, pool, waiter, 2)
  }
  assert(stage.isGone(0) && stage.isGone(1) && !stage.isGone(2))
  assert.deepEqual(pool.stats, { ...nothing, idle: 1 })
  end(stage, pool)
})

test('who waits first is served first, by whatever connection comes', () => {
  const stage = new UpstreamStage({ pool: { connections: 2 } })
  const pool = stage.pool()
  const waiters = acquireAll(pool, 4)
  const [a, b, c, d] = waiters
  stage.connect(1)
  assert.equal(a!.connection?.socket, stage.socket(1))
  assert.equal(b!.answers, 0)
  finish(stage, pool, a!, 1)
  assert.equal(b!.connection?.socket, stage.socket(1))
  stage.connect(0)
  assert.equal(c!.connection?.socket, stage.socket(0))
  waiters[1]!.connection!.terminate()
  assert.equal(stage.sockets.length, 3, 'a connection that is gone makes room for the next')
  stage.connect(2)
  assert.equal(d!.connection?.socket, stage.socket(2))
  end(stage, pool)
})

test('who does not wait any more is told nothing, and the connection made for it is kept', () => {
  const stage = new UpstreamStage()
  const pool = stage.pool()
  const [first, second] = acquireAll(pool, 2)
  pool.cancel(first!)
  pool.cancel(first!)
  assert.deepEqual(pool.stats, { idle: 0, busy: 0, connecting: 2, waiting: 1 })
  stage.connect(0)
  stage.connect(1)
  assert.equal(first!.answers, 0)
  assert.equal(second!.connection?.socket, stage.socket(0))
  assert.deepEqual(pool.stats, { idle: 1, busy: 1, connecting: 0, waiting: 0 })
  end(stage, pool)
})

test('a place in the middle of the queue can be given up, and the same request may wait again', () => {
  const stage = new UpstreamStage({ pool: { connections: 1 } })
  const pool = stage.pool()
  const [a, b, c, d] = acquireAll(pool, 4)
  pool.cancel(b!)
  pool.cancel(d!)
  b!.acquire(pool)
  stage.connect(0)
  finish(stage, pool, a!, 0)
  assert.equal(c!.answers, 1)
  finish(stage, pool, c!, 0)
  assert.equal(b!.answers, 1)
  assert.equal(d!.answers, 0)
  assert.throws(() => {
    d!.acquire(pool)
    d!.acquire(pool)
  }, /waits twice/)
  pool.cancel(d!)
  end(stage, pool)
})

test('a pool does not take a waiter out of the queue of another', () => {
  const stage = new UpstreamStage()
  const pool = stage.pool()
  const other = stage.pool('10.0.0.2:80')
  const [waiter] = acquireAll(pool, 1)
  other.cancel(waiter!)
  assert.equal(pool.stats.waiting, 1)
  assert.equal(other.stats.waiting, 0)
  stage.connect(0)
  assert.equal(waiter!.answers, 1)
  end(stage, pool)
  end(stage, other)
})

test('a connection that fails tells one waiter, and marks the server down until one succeeds or the time is over', () => {
  const stage = new UpstreamStage({ timeouts: { serverDown: 10_000 } })
  const pool = stage.pool()
  const waiters = acquireAll(pool, 3)
  assert.equal(pool.isDown, false)
  stage.refuse(1)
  assert.deepEqual(
    waiters.map(({ answers }) => answers),
    [1, 0, 0],
  )
  const { error } = waiters[0]!
  assert.equal(error?.code, 'ERR_EPROXY_CONNECT_FAILED')
  assert.match(String(error?.cause), /ECONNREFUSED/)
  assert.equal(pool.isDown, true)
  stage.connect(0)
  assert.equal(pool.isDown, false)
  stage.refuse(2)
  assert.equal(waiters[2]!.error?.code, 'ERR_EPROXY_CONNECT_FAILED')
  stage.clock.advance(9_999)
  assert.equal(pool.isDown, true)
  stage.clock.advance(1)
  assert.equal(pool.isDown, false)
  end(stage, pool)
})

test('a server that does not answer is given up after the time to connect', () => {
  const stage = new UpstreamStage({ timeouts: { connect: 4_000 } })
  const pool = stage.pool()
  const [waiter] = acquireAll(pool, 1)
  stage.clock.advance(3_999)
  assert.equal(waiter!.answers, 0)
  stage.clock.advance(101)
  assert.equal(waiter!.error?.code, 'ERR_EPROXY_CONNECT_TIMEOUT')
  assert(stage.isGone(0))
  assert.equal(pool.isDown, true)
  assert.deepEqual(pool.stats, nothing)
  end(stage, pool)
})

test('an attempt that fails while others are on their way for all tells nobody', () => {
  const stage = new UpstreamStage()
  const pool = stage.pool()
  const [first, second] = acquireAll(pool, 2)
  pool.cancel(first!)
  stage.refuse(0)
  assert.equal(second!.answers, 0)
  assert.equal(pool.isDown, true)
  stage.refuse(1)
  assert.equal(second!.error?.code, 'ERR_EPROXY_CONNECT_FAILED')
  end(stage, pool)
})

test('with more waiting than there may be connections, a failure tells the first and tries again for the next', () => {
  const stage = new UpstreamStage({ pool: { connections: 1 } })
  const pool = stage.pool()
  const waiters = acquireAll(pool, 3)
  for (let index = 0; index < 3; index++) {
    assert.equal(stage.sockets.length, index + 1)
    stage.refuse(index)
    assert.deepEqual(
      waiters.map(({ answers }) => answers),
      [0, 1, 2].map((i) => (i <= index ? 1 : 0)),
    )
  }
  assert.equal(stage.sockets.length, 3)
  end(stage, pool)
})

test('who is told of a failure may ask again at once, and comes behind those who wait', () => {
  const stage = new UpstreamStage({ pool: { connections: 1 } })
  const pool = stage.pool()
  const again = new RecordingWaiter()
  const first = new RecordingWaiter()
  first.onConnectionFailed = () => void again.acquire(pool)
  first.acquire(pool)
  const [second] = acquireAll(pool, 1)
  stage.refuse(0)
  stage.connect(1)
  assert.equal(second!.answers, 1)
  finish(stage, pool, second!, 1)
  assert.equal(again.connection?.socket, stage.socket(1))
  end(stage, pool)
})

test('isConnectingForAll is true exactly while every waiter has an attempt under way', () => {
  const stage = new UpstreamStage({ pool: { connections: 2 } })
  const pool = stage.pool()
  assert.equal(pool.isConnectingForAll, true)
  const waiters = acquireAll(pool, 2)
  assert.equal(pool.isConnectingForAll, true)
  const [third] = acquireAll(pool, 1)
  assert.equal(pool.isConnectingForAll, false)
  stage.connect(0)
  assert.equal(pool.isConnectingForAll, false)
  pool.cancel(waiters[1]!)
  assert.equal(pool.isConnectingForAll, true)
  pool.cancel(third!)
  end(stage, pool)
})

test('a fresh connection is asked for past those that are idle', () => {
  const stage = new UpstreamStage({ pool: { connections: 2 } })
  const pool = idlePool(stage, 1)
  const waiter = new RecordingWaiter()
  assert.equal(waiter.acquire(pool, true), false)
  assert.deepEqual(pool.stats, { idle: 1, busy: 0, connecting: 1, waiting: 1 })
  stage.connect(1)
  assert.equal(waiter.connection?.socket, stage.socket(1))
  assert.equal(waiter.connection?.uses, 1)
  end(stage, pool)
})

test('a connection past its age is never handed out', () => {
  const stage = new UpstreamStage({ timeouts: { upstreamMaxAge: 60_000, upstreamKeepAlive: 600_000 } })
  const pool = idlePool(stage, 2)
  stage.clock.advance(60_000)
  const waiter = new RecordingWaiter()
  assert.equal(waiter.acquire(pool), false)
  assert(stage.isGone(0) && stage.isGone(1))
  assert.deepEqual(pool.stats, { ...nothing, connecting: 1, waiting: 1 })
  stage.connect(2)
  assert.equal(waiter.connection?.socket, stage.socket(2))
  end(stage, pool)
})

test('a connection that is not fit for another request is never handed out, and makes room for a new one', () => {
  const unfit: ((stage: UpstreamStage) => void)[] = [
    (stage) => stage.say(0, `${ok}stray`),
    (stage) => stage.say(0, 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'),
    (stage) => stage.say(0, 'HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 0\r\n\r\n'),
    (stage) => {
      stage.say(0, ok)
      stage.hangUp(0)
    },
    (stage) => stage.say(0, 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhalf'),
    () => {},
  ]
  for (const happen of unfit) {
    const stage = new UpstreamStage({ pool: { connections: 1 } })
    const pool = stage.pool()
    const [first, second] = acquireAll(pool, 2)
    stage.connect(0)
    happen(stage)
    pool.release(first!.connection!)
    assert(stage.isGone(0))
    assert.equal(second!.answers, 0)
    stage.connect(1)
    assert.equal(second!.connection?.socket, stage.socket(1))
    end(stage, pool)
  }
})

test('names are resolved once for each attempt, and not at all when the answer is known', async () => {
  const stage = new UpstreamStage()
  const pool = stage.pool('app:8080')
  assert.equal(pool.name, 'app:8080')
  const [waiter] = acquireAll(pool, 1)
  assert.deepEqual(
    stage.lookups.map(({ host }) => host),
    ['app'],
  )
  assert.equal(stage.sockets.length, 0)
  assert.deepEqual(pool.stats, { ...nothing, connecting: 1, waiting: 1 })
  await stage.lookups[0]!.succeed('10.1.0.1')
  assert.deepEqual(stage.addresses, [{ kind: 'tcp', host: '10.1.0.1', port: 8_080 }])
  assert.deepEqual(pool.stats, { ...nothing, connecting: 1, waiting: 1 })
  stage.connect(0)
  assert.equal(waiter!.answers, 1)
  stage.known.set('app', [{ address: '10.1.0.2', family: 4 }])
  acquireAll(pool, 1)
  assert.equal(stage.lookups.length, 0)
  assert.deepEqual(stage.addresses[1], { kind: 'tcp', host: '10.1.0.2', port: 8_080 })
  stage.connect(1)
  end(stage, pool)
})

test('attempts whose name is being resolved count as connections', async () => {
  const stage = new UpstreamStage({ pool: { connections: 2, waiting: 0 } })
  const pool = stage.pool('app:80')
  const waiters = acquireAll(pool, 2)
  assert.throws(() => new RecordingWaiter().acquire(pool), refused)
  assert.equal(stage.lookups.length, 2)
  await stage.lookups[0]!.succeed('10.1.0.1')
  await stage.lookups[0]!.succeed('10.1.0.1')
  stage.connect(0)
  stage.connect(1)
  assert(waiters.every(({ answers }) => answers === 1))
  end(stage, pool)
})

test('the addresses of a name take turns', async () => {
  const stage = new UpstreamStage()
  stage.known.set('app', [
    { address: '10.1.0.1', family: 4 },
    { address: '10.1.0.2', family: 4 },
  ])
  const pool = stage.pool('app:80')
  const waiters = acquireAll(pool, 4)
  assert.deepEqual(
    stage.addresses.map((address) => address.kind === 'tcp' && address.host),
    ['10.1.0.1', '10.1.0.2', '10.1.0.1', '10.1.0.2'],
  )
  for (const index of waiters.keys()) stage.connect(index)
  end(stage, pool)
})

test('a name that has no address tells one waiter and marks the server down', async () => {
  const stage = new UpstreamStage()
  const pool = stage.pool('app:80')
  const [first, second] = acquireAll(pool, 2)
  await stage.lookups[0]!.fail(unresolved)
  assert.equal(first!.error, unresolved)
  assert.equal(second!.answers, 0)
  assert.equal(pool.isDown, true)
  await stage.lookups[0]!.fail(new Error('not an error of ours'))
  assert.equal(second!.error?.code, 'ERR_EPROXY_DNS_FAILED')
  assert.deepEqual(pool.stats, nothing)
  end(stage, pool)
})

test('a unix socket needs no name', () => {
  const stage = new UpstreamStage()
  const pool = stage.pool('unix:/run/app.sock')
  const [waiter] = acquireAll(pool, 1)
  assert.deepEqual(stage.addresses, [{ kind: 'unix', path: '/run/app.sock' }])
  stage.connect(0)
  assert.equal(waiter!.answers, 1)
  end(stage, pool)
})

test('a closed pool closes what is idle and keeps nothing more; busy connections end with their exchange', async () => {
  const stage = new UpstreamStage({ pool: { connections: 4 } })
  const pool = idlePool(stage, 2)
  const [busy] = acquireAll(pool, 1)
  assert.equal(busy!.connection?.socket, stage.socket(1))
  const [gone] = [new RecordingWaiter()]
  gone.acquire(pool, true)
  pool.cancel(gone)
  pool.close()
  assert(stage.isGone(0) && !stage.isGone(1))
  assert.deepEqual(pool.stats, { idle: 0, busy: 1, connecting: 1, waiting: 0 })
  stage.connect(2)
  assert(stage.isGone(2), 'a connection that nobody waits for is not kept')
  finish(stage, pool, busy!, 1)
  assert(stage.isGone(1))
  assert.deepEqual(pool.stats, nothing)
  stage.assertEmpty()
})

test('who waits when the pool is closed is still served, from connections that come back too', () => {
  const stage = new UpstreamStage({ pool: { connections: 1 } })
  const pool = stage.pool()
  const [first, second] = acquireAll(pool, 2)
  pool.close()
  stage.connect(0)
  assert.equal(first!.answers, 1)
  finish(stage, pool, first!, 0)
  assert(stage.isGone(0))
  stage.connect(1)
  assert.equal(second!.answers, 1)
  finish(stage, pool, second!, 1)
  assert.deepEqual(pool.stats, nothing)
  stage.assertEmpty()
})

test('a name that is resolved after the pool was closed leads to no connection, unless someone waits', async () => {
  const stage = new UpstreamStage()
  const pool = stage.pool('app:80')
  const [first, second] = acquireAll(pool, 2)
  pool.cancel(first!)
  pool.close()
  await stage.lookups[0]!.succeed('10.1.0.1')
  stage.connect(0)
  assert.equal(second!.answers, 1)
  await stage.lookups[0]!.succeed('10.1.0.1')
  assert.equal(stage.sockets.length, 1)
  finish(stage, pool, second!, 0)
  assert.deepEqual(pool.stats, nothing)
  stage.assertEmpty()
})

test('destroy cuts what is busy, tells its users once, and leaves nothing', async () => {
  const stage = new UpstreamStage()
  const pool = idlePool(stage, 2)
  const waiters = acquireAll(pool, 1)
  pool.destroy()
  pool.destroy()
  assert.deepEqual(waiters[0]!.user.events, ['lost ERR_EPROXY_DRAINED'])
  assert.deepEqual(pool.stats, nothing)
  stage.assertEmpty()
})

test('destroy ends attempts that are under way: none of them is counted any more', async () => {
  const stage = new UpstreamStage()
  const pool = stage.pool()
  const waiters = acquireAll(pool, 2)
  for (const waiter of waiters) pool.cancel(waiter)
  pool.destroy()
  assert.deepEqual(pool.stats, nothing)
  stage.closeSockets()
  assert.deepEqual(pool.stats, nothing)
  assert(waiters.every(({ answers }) => answers === 0))
  stage.assertEmpty()

  const named = stage.pool('app:80')
  const [waiter] = acquireAll(named, 1)
  named.cancel(waiter!)
  named.destroy()
  await stage.lookups[0]!.succeed('10.1.0.1')
  assert.deepEqual(named.stats, nothing)
  assert.equal(stage.sockets.length, 2)
  stage.assertEmpty()
})

test('destroy answers everyone who still waits, once, and connects for nobody', () => {
  const stage = new UpstreamStage({ pool: { connections: 2 } })
  const pool = stage.pool()
  const waiters = acquireAll(pool, 4)
  stage.connect(0)
  pool.destroy()
  stage.closeSockets()
  assert.equal(stage.sockets.length, 2)
  assert.deepEqual(
    waiters.map(({ answers }) => answers),
    [1, 1, 1, 1],
  )
  assert(waiters.slice(1).every(({ error }) => error?.code === 'ERR_EPROXY_DRAINED'))
  assert.deepEqual(pool.stats, nothing)
  stage.assertEmpty()
})

// Any sequence of events

const connections = 3
const waiting = 3
const maxAgeMs = 10_000
const serverDownMs = 4_000
const quarantineAfter = 2
const quarantineMs = 5_000
const windowMs = 3_000
/** As long as a connection is kept for one client, and as late as a deadline may be. */
const reservedMs = 1_000
const tickMs = 100

/** The pool as plain arrays: numbers are those of sockets, in the order in which they were opened. */
interface Model {
  readonly named: boolean
  closed: boolean
  opened: number
  resolving: number
  connecting: number[]
  idle: number[]
  readonly busy: Map<number, number>
  /** Numbers of requests. */
  queue: number[]
  /** By number of request. */
  readonly clients: { readonly client: number; readonly reserves: boolean }[]
  /** By number of socket. */
  readonly uses: number[]
  readonly reservedFor: number[]
  readonly idleSince: number[]
  proofs: number[]
  isQuarantined: boolean
  quarantinedUntil: number
  readonly bornAt: number[]
  downUntil: number
  /** What became of each request: the number of its socket, or why there is none. */
  readonly outcomes: ('waits' | 'cancelled' | 'refused' | 'failed' | number)[]
}

interface Real {
  readonly stage: UpstreamStage
  readonly pool: Pool
  readonly waiters: RecordingWaiter[]
  readonly clients: readonly RecordingClient[]
}

function startAttempts(model: Model, real: Real): void {
  const attempts = (): number => model.resolving + model.connecting.length
  while (model.queue.length > attempts() && attempts() + model.idle.length + model.busy.size < connections) {
    if (model.named) model.resolving++
    else startConnect(model, real)
  }
}

function startConnect(model: Model, { stage }: Real): void {
  model.bornAt.push(stage.clock.now())
  model.uses.push(0)
  model.reservedFor.push(0)
  model.idleSince.push(0)
  model.connecting.push(model.opened++)
}

function isFor(model: Model, socket: number, request: number): boolean {
  return model.reservedFor[socket] === 0 || model.reservedFor[socket] === model.clients[request]!.client
}

function use(model: Model, socket: number, request: number): void {
  const { client, reserves } = model.clients[request]!
  model.busy.set(socket, request)
  model.uses[socket]!++
  if (reserves) model.reservedFor[socket] = client
}

function serve(model: Model, real: Real, socket: number): void {
  const [first] = model.queue
  if (first !== undefined && isFor(model, socket, first)) {
    model.outcomes[model.queue.shift()!] = socket
    return use(model, socket, first)
  }
  if (model.queue.length > model.resolving + model.connecting.length) return startAttempts(model, real)
  model.idleSince[socket] = real.stage.clock.now()
  model.idle.push(socket)
}

/** A sign that a connection is out of step which no healthy server gives. */
function prove(model: Model, real: Real): void {
  const now = real.stage.clock.now()
  model.proofs = [...model.proofs.filter((at) => at > now - windowMs), now]
  if (model.closed || model.proofs.length < quarantineAfter) return
  model.proofs = []
  model.quarantinedUntil = now + quarantineMs
  if (model.isQuarantined) return
  model.isQuarantined = true
  model.idle = model.idle.filter((socket) => model.uses[socket] === 0)
}

function failAttempt(model: Model, real: Real): void {
  model.downUntil = real.stage.clock.now() + serverDownMs
  if (model.queue.length > model.resolving + model.connecting.length) model.outcomes[model.queue.shift()!] = 'failed'
  startAttempts(model, real)
}

/** What is real must be what the arrays say. */
function compare(model: Model, { stage, pool, waiters }: Real): void {
  const stats = {
    idle: model.idle.length,
    busy: model.busy.size,
    connecting: model.resolving + model.connecting.length,
    waiting: model.queue.length,
  }
  assert.deepEqual(pool.stats, stats)
  assert(stats.idle + stats.busy + stats.connecting <= connections)
  assert.equal(stage.sockets.length, model.opened)
  assert.equal(stage.lookups.length, model.resolving)
  assert.equal(pool.isDown, stage.clock.now() < model.downUntil)
  assert.equal(pool.isConnectingForAll, stats.connecting >= stats.waiting)
  assert.equal(pool.desyncStats.isQuarantined, model.isQuarantined)
  const alive = new Set([...model.connecting, ...model.idle, ...model.busy.keys()])
  for (const index of stage.sockets.keys()) assert.equal(stage.isGone(index), !alive.has(index), `socket ${index}`)
  for (const [request, waiter] of waiters.entries()) {
    const outcome = model.outcomes[request]
    assert(waiter.answers <= 1)
    assert.equal(waiter.connection?.socket, typeof outcome === 'number' ? stage.socket(outcome) : undefined, `request ${request}`)
    assert.equal(waiter.error !== undefined, outcome === 'failed', `request ${request}`)
    assert.equal(waiter.waitsIn, outcome === 'waits' ? pool : undefined)
  }
}

/** One event, applied to both. `index` chooses among the things that it can happen to. */
class PoolCommand implements fc.AsyncCommand<Model, Real> {
  readonly name: string
  readonly index: number
  readonly isPossible: (model: Model) => boolean
  readonly happen: (model: Model, real: Real) => void | Promise<void>

  constructor(
    name: string,
    index: number,
    isPossible: (model: Model) => boolean,
    happen: (model: Model, real: Real) => void | Promise<void>,
  ) {
    this.name = name
    this.index = index
    this.isPossible = isPossible
    this.happen = happen
  }

  check(model: Readonly<Model>): boolean {
    return this.isPossible(model)
  }

  async run(model: Model, real: Real): Promise<void> {
    await this.happen(model, real)
    compare(model, real)
  }

  toString(): string {
    return `${this.name}(${this.index})`
  }
}

function acquire(fresh: boolean, client: number, reserves: boolean): PoolCommand {
  return new PoolCommand(
    `acquire${fresh ? ' fresh' : ''}${reserves ? ' for itself' : ''}`,
    client,
    () => true,
    (model, real) => {
      const { stage, pool, waiters } = real
      const request = waiters.length
      const waiter = new RecordingWaiter(real.clients[client], reserves)
      waiters.push(waiter)
      model.clients.push({ client, reserves })
      let found: number | undefined
      for (const socket of model.idle.toReversed()) {
        if (fresh || model.isQuarantined ? model.uses[socket]! > 0 : !isFor(model, socket, request)) continue
        model.idle.splice(model.idle.indexOf(socket), 1)
        if (stage.clock.now() >= model.bornAt[socket]! + maxAgeMs) {
          startAttempts(model, real)
          continue
        }
        found = socket
        break
      }
      if (found !== undefined) {
        use(model, found, request)
        model.outcomes.push(found)
        assert.equal(waiter.acquire(pool, fresh), true)
        return
      }
      if (model.idle.length > 0 && model.resolving + model.connecting.length + model.idle.length + model.busy.size >= connections) {
        model.idle.shift()
        startAttempts(model, real)
      }
      const size = model.resolving + model.connecting.length + model.idle.length + model.busy.size
      if (size >= connections && model.queue.length - model.resolving - model.connecting.length >= waiting) {
        model.outcomes.push('refused')
        assert.throws(() => waiter.acquire(pool, fresh), refused)
        return
      }
      model.outcomes.push('waits')
      model.queue.push(request)
      startAttempts(model, real)
      assert.equal(waiter.acquire(pool, fresh), false)
    },
  )
}

function cancel(index: number): PoolCommand {
  return new PoolCommand(
    'cancel',
    index,
    ({ queue }) => queue.length > 0,
    (model, { pool, waiters }) => {
      const [request] = model.queue.splice(index % model.queue.length, 1)
      model.outcomes[request!] = 'cancelled'
      pool.cancel(waiters[request!]!)
    },
  )
}

function resolve(index: number): PoolCommand {
  return new PoolCommand(
    'resolve',
    index,
    ({ resolving }) => resolving > 0,
    async (model, real) => {
      const lookup = real.stage.lookups[index % model.resolving]!
      model.resolving--
      // Nobody waits any more: nothing is connected.
      if (!model.closed || model.queue.length > 0) startConnect(model, real)
      await lookup.succeed('10.1.0.1')
    },
  )
}

function failLookup(index: number): PoolCommand {
  return new PoolCommand(
    'fail to resolve',
    index,
    ({ resolving }) => resolving > 0,
    async (model, real) => {
      const lookup = real.stage.lookups[index % model.resolving]!
      model.resolving--
      failAttempt(model, real)
      await lookup.fail(unresolved)
    },
  )
}

function connect(index: number): PoolCommand {
  return new PoolCommand(
    'connect',
    index,
    ({ connecting }) => connecting.length > 0,
    (model, real) => {
      const [socket] = model.connecting.splice(index % model.connecting.length, 1)
      model.downUntil = Number.NEGATIVE_INFINITY
      if (!model.closed || model.queue.length > 0) serve(model, real, socket!)
      real.stage.connect(socket!)
    },
  )
}

function refuse(index: number): PoolCommand {
  return new PoolCommand(
    'refuse',
    index,
    ({ connecting }) => connecting.length > 0,
    (model, real) => {
      const [socket] = model.connecting.splice(index % model.connecting.length, 1)
      failAttempt(model, real)
      real.stage.refuse(socket!)
    },
  )
}

/** An exchange ends: well, or in a way after which the connection is of no use. */
function release(index: number, how: 'well' | 'close' | 'stray' | 'half' | 'ended' | 'given up'): PoolCommand {
  return new PoolCommand(
    `release ${how}`,
    index,
    ({ busy }) => busy.size > 0,
    (model, real) => {
      const { stage, pool, waiters } = real
      const [socket, request] = [...model.busy][index % model.busy.size]!
      model.busy.delete(socket)
      if (how === 'stray') prove(model, real)
      const isFit = how === 'well' && !model.closed && !model.isQuarantined && stage.clock.now() < model.bornAt[socket]! + maxAgeMs
      if (isFit) serve(model, real, socket)
      else startAttempts(model, real)
      if (how === 'close') stage.say(socket, 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
      else if (how === 'half') stage.say(socket, 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf')
      else if (how !== 'given up') stage.say(socket, how === 'stray' ? `${ok}?` : ok)
      if (how === 'ended') stage.hangUp(socket)
      const { connection } = waiters[request]!
      if (how === 'given up') connection!.terminate()
      else pool.release(connection!)
    },
  )
}

/** The server ends a connection. */
function lose(index: number, state: 'idle' | 'busy', how: 'hangUp' | 'cut' | 'say'): PoolCommand {
  const socketsOf = (model: Model): number[] => (state === 'idle' ? model.idle : [...model.busy.keys()])
  return new PoolCommand(
    `lose ${state} ${how}`,
    index,
    (model) => socketsOf(model).length > 0,
    (model, real) => {
      const sockets = socketsOf(model)
      const socket = sockets[index % sockets.length]!
      const user = real.waiters[model.busy.get(socket) ?? -1]?.user
      model.idle = model.idle.filter((other) => other !== socket)
      model.busy.delete(socket)
      if (how === 'say' && (state === 'idle' || model.uses[socket]! > 1)) prove(model, real)
      startAttempts(model, real)
      if (how === 'say') real.stage.say(socket, 'nonsense\r\n\r\n')
      else real.stage[how](socket)
      assert.equal(user === undefined || user.loss !== undefined, true, 'the user of a connection is told of its loss')
    },
  )
}

function pass(ms: number): PoolCommand {
  return new PoolCommand(
    'pass',
    ms,
    () => true,
    (model, real) => {
      const { stage } = real
      stage.clock.advance(ms)
      const now = stage.clock.now()
      // A deadline may be a tick late: what lies between is read from what is real.
      model.idle = model.idle.filter((socket) => {
        const restedMs = now - model.idleSince[socket]!
        if (model.reservedFor[socket] === 0 || restedMs < reservedMs) return true
        return restedMs < reservedMs + tickMs && !stage.isGone(socket)
      })
      if (now >= model.quarantinedUntil) model.isQuarantined = now < model.quarantinedUntil + tickMs && real.pool.desyncStats.isQuarantined
      startAttempts(model, real)
    },
  )
}

function close(): PoolCommand {
  return new PoolCommand(
    'close',
    0,
    () => true,
    (model, real) => {
      model.closed = true
      // It ends by itself no more.
      model.quarantinedUntil = Number.POSITIVE_INFINITY
      model.idle = []
      startAttempts(model, real)
      real.pool.close()
    },
  )
}

test('whatever happens in whatever order, the pool does what a pool of arrays does', async () => {
  const index = fc.nat(5)
  const client = fc.integer({ min: 1, max: 3 })
  const events = [
    fc.tuple(fc.boolean(), client).map(([fresh, number]) => acquire(fresh, number, false)),
    client.map((number) => acquire(false, number, false)),
    client.map((number) => acquire(false, number, true)),
    index.map(cancel),
    index.map(resolve),
    index.map(resolve),
    index.map(failLookup),
    index.map(connect),
    index.map(connect),
    index.map(refuse),
    index.map((i) => release(i, 'well')),
    index.map((i) => release(i, 'well')),
    fc.tuple(index, fc.constantFrom('close', 'stray', 'half', 'ended', 'given up')).map(([i, how]) => release(i, how)),
    fc.tuple(index, fc.constantFrom('idle', 'busy'), fc.constantFrom('hangUp', 'cut', 'say')).map(([i, state, how]) => lose(i, state, how)),
    fc.oneof(fc.nat(2_500), fc.constant(maxAgeMs)).map(pass),
  ]
  const sequences = fc.tuple(
    fc.boolean(),
    fc.commands<Model, Real, false>(events, { maxCommands: 60, size: 'max' }),
    fc.option(fc.commands<Model, Real, false>([...events, fc.constant(0).map(() => close())], { maxCommands: 20, size: 'max' })),
  )
  await fc.assert(
    fc.asyncProperty(sequences, async ([named, before, after]) => {
      const stage = new UpstreamStage({
        pool: { connections, waiting },
        desync: { quarantineAfter, window: windowMs, quarantine: quarantineMs },
        timeouts: { upstreamMaxAge: maxAgeMs, upstreamKeepAlive: 600_000, serverDown: serverDownMs, connect: 86_400_000 },
      })
      const real: Real = {
        stage,
        pool: stage.pool(named ? 'app:80' : '10.0.0.1:80'),
        waiters: [],
        clients: Array.from({ length: 4 }, () => new RecordingClient()),
      }
      const model: Model = {
        named,
        closed: false,
        opened: 0,
        resolving: 0,
        connecting: [],
        idle: [],
        busy: new Map(),
        queue: [],
        clients: [],
        uses: [],
        reservedFor: [],
        idleSince: [],
        proofs: [],
        isQuarantined: false,
        quarantinedUntil: Number.POSITIVE_INFINITY,
        bornAt: [],
        downUntil: Number.NEGATIVE_INFINITY,
        outcomes: [],
      }
      const setup = (): { model: Model; real: Real } => ({ model, real })
      await fc.asyncModelRun(setup, before)
      if (after !== null) await fc.asyncModelRun(setup, after)
      for (const request of model.queue.splice(0)) real.pool.cancel(real.waiters[request]!)
      real.pool.destroy()
      while (stage.lookups.length > 0) await stage.lookups[0]!.fail(unresolved)
      assert.deepEqual(real.pool.stats, nothing)
      for (const socket of model.busy.keys()) {
        assert.equal(real.waiters[model.busy.get(socket)!]!.user.loss?.code, 'ERR_EPROXY_DRAINED')
      }
      stage.assertEmpty()
    }),
    { numRuns: 1_000 },
  )
})

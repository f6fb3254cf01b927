/**
 * When proofs that a server's connections are out of step begin a quarantine, how long it lasts, and what is told of each sign. Time stands
 * still unless it is moved; servers are simulated sockets.
 */
import assert from 'node:assert/strict'
import test from 'node:test'
import { desyncTable, type DesyncKind } from '../../lib/core/desync.ts'
import { resolveOptions, type DesyncLimits } from '../../lib/core/options.ts'
import { TimerWheel } from '../../lib/core/timers.ts'
import type { Pool } from '../../lib/upstream/pool.ts'
import { Sentinel } from '../../lib/upstream/sentinel.ts'
import { VirtualClock } from '../sim/virtual-clock.ts'
import { RecordingClient, RecordingWaiter, UpstreamStage } from '../support/upstream-stage.ts'

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const kinds = Object.keys(desyncTable) as DesyncKind[]

class Watch {
  readonly clock = new VirtualClock()
  readonly wheel: TimerWheel
  readonly sentinel: Sentinel
  ends = 0

  constructor(desync: Partial<DesyncLimits>) {
    const onFault = (error: unknown): never => {
      throw error
    }
    this.wheel = new TimerWheel(this.clock, { onLag: () => {}, onFault })
    this.sentinel = new Sentinel(resolveOptions({ desync }, 'test').desync, this.wheel, () => void this.ends++)
  }
}

test('proofs within the window begin a quarantine, which ends by itself', () => {
  const watch = new Watch({ quarantineAfter: 3, window: 10_000, quarantine: 5_000 })
  const { clock, sentinel, wheel } = watch
  assert.equal(sentinel.record('excess-response'), false)
  assert.equal(sentinel.record('idle-bytes'), false)
  assert.equal(sentinel.isQuarantined, false)
  assert.equal(sentinel.record('excess-bytes'), true)
  assert.equal(sentinel.isQuarantined, true)
  clock.advance(4_999)
  assert.equal(sentinel.isQuarantined, true)
  clock.advance(101)
  assert.equal(sentinel.isQuarantined, false)
  assert.equal(wheel.size, 0)
  clock.advance(60_000)
  assert.equal(watch.ends, 1, 'its end is told once')
})

test('a proof that has left the window does not count', () => {
  const { clock, sentinel } = new Watch({ quarantineAfter: 3, window: 10_000 })
  for (let i = 0; i < 20; i++) {
    assert.equal(sentinel.record('excess-response'), false)
    clock.advance(5_000)
  }
  sentinel.record('excess-response')
  assert.equal(sentinel.record('excess-response'), true)
})

test('hints are counted and begin no quarantine, however many there are', () => {
  const { sentinel } = new Watch({ quarantineAfter: 1 })
  for (const kind of kinds.filter((one) => !desyncTable[one].isEvidence)) {
    for (let i = 0; i < 100; i++) assert.equal(sentinel.record(kind), false, kind)
    assert.equal(sentinel.counts[kind], 100)
  }
  assert.equal(sentinel.isQuarantined, false)
})

test('each kind of proof begins one', () => {
  for (const kind of kinds.filter((one) => desyncTable[one].isEvidence)) {
    const { sentinel } = new Watch({ quarantineAfter: 1 })
    assert.equal(sentinel.record(kind), true, kind)
  }
})

test('as many proofs again begin its time anew, and what came during a quarantine is not held against the time after it', () => {
  const watch = new Watch({ quarantineAfter: 2, window: 60_000, quarantine: 5_000 })
  const { clock, sentinel } = watch
  for (let i = 0; i < 2; i++) sentinel.record('excess-response')
  clock.advance(4_000)
  for (let i = 0; i < 2; i++) assert.equal(sentinel.record('excess-response'), false, 'it is on already')
  clock.advance(4_000)
  assert.equal(sentinel.isQuarantined, true)
  clock.advance(1_100)
  assert.equal(sentinel.isQuarantined, false)
  assert.equal(watch.ends, 1)
  assert.equal(sentinel.record('excess-response'), false)
})

test('0 switches quarantine off, and the counts go on', () => {
  const { sentinel, wheel } = new Watch({ quarantineAfter: 0 })
  for (let i = 0; i < 1_000; i++) assert.equal(sentinel.record('excess-response'), false)
  assert.equal(sentinel.counts['excess-response'], 1_000)
  assert.equal(wheel.size, 0)
})

test('once it is disposed of, nothing of it is in the wheel any more', () => {
  const { sentinel, wheel } = new Watch({ quarantineAfter: 1 })
  sentinel.record('excess-response')
  sentinel.dispose()
  sentinel.record('excess-response')
  assert.equal(wheel.size, 0)
})

// What the pool makes of it

function start(options: ConstructorParameters<typeof UpstreamStage>[0] = {}): { stage: UpstreamStage; pool: Pool } {
  const stage = new UpstreamStage(options)
  return { stage, pool: stage.pool() }
}

/** An exchange from start to end; opens the next socket when none may be reused. Returns the number of its socket. */
function exchange({ stage, pool }: { stage: UpstreamStage; pool: Pool }, response = ok, waiter = new RecordingWaiter()): number {
  if (!waiter.acquire(pool)) stage.connect(stage.sockets.length - 1)
  const index = stage.sockets.findIndex((socket) => socket === waiter.connection!.socket)
  stage.say(index, response)
  if (waiter.user.loss === undefined) pool.release(waiter.connection!)
  return index
}

function finish({ stage, pool }: { stage: UpstreamStage; pool: Pool }): void {
  pool.destroy()
  stage.assertEmpty()
}

test('in quarantine every request has a connection of its own, and after it connections are reused again', () => {
  const act = start({ desync: { quarantineAfter: 2, quarantine: 5_000 } })
  const { stage, pool } = act
  assert.deepEqual([exchange(act), exchange(act)], [0, 0])
  assert.deepEqual([exchange(act, `${ok}${ok}`), exchange(act, `${ok}!`)], [0, 1])
  assert.deepEqual(stage.quarantines, ['+10.0.0.1:80'])
  assert.deepEqual([exchange(act), exchange(act), exchange(act)], [2, 3, 4])
  assert.deepEqual(pool.stats, { idle: 0, busy: 0, connecting: 0, waiting: 0 })
  assert.equal(pool.desyncStats.isQuarantined, true)
  stage.clock.advance(5_100)
  assert.deepEqual(stage.quarantines, ['+10.0.0.1:80', '-10.0.0.1:80'])
  assert.deepEqual([exchange(act), exchange(act)], [5, 5])
  assert.equal(pool.desyncStats.isQuarantined, false)
  assert.equal(pool.desyncStats.desync['excess-response'], 1)
  assert.equal(pool.desyncStats.desync['excess-bytes'], 1)
  finish(act)
})

test('a quarantine that begins closes what is idle, and what is busy is closed with its exchange', () => {
  const act = start({ desync: { quarantineAfter: 1 } })
  const { stage, pool } = act
  const waiters = [new RecordingWaiter(), new RecordingWaiter(), new RecordingWaiter()]
  for (const [index, waiter] of waiters.entries()) {
    waiter.acquire(pool)
    stage.connect(index)
  }
  for (const index of [0, 1]) {
    stage.say(index, ok)
    pool.release(waiters[index]!.connection!)
  }
  stage.say(0, 'HTTP/1.1 200 OK\r\n')
  assert(stage.isGone(0) && stage.isGone(1) && !stage.isGone(2))
  stage.say(2, ok)
  pool.release(waiters[2]!.connection!)
  assert(stage.isGone(2))
  finish(act)
})

test('those who wait when a quarantine begins are served one after the other, each by a new connection', () => {
  const act = start({ desync: { quarantineAfter: 1 }, pool: { connections: 1 } })
  const { stage, pool } = act
  const waiters = Array.from({ length: 4 }, () => new RecordingWaiter())
  for (const waiter of waiters) waiter.acquire(pool)
  for (const [index, waiter] of waiters.entries()) {
    stage.connect(index)
    assert.equal(waiter.connection?.socket, stage.socket(index))
    stage.say(index, index === 0 ? `${ok}?` : ok)
    pool.release(waiter.connection)
  }
  assert.equal(stage.sockets.length, 4)
  finish(act)
})

test('one server in quarantine does not keep another from being reused', () => {
  const act = start({ desync: { quarantineAfter: 1 } })
  const other = { stage: act.stage, pool: act.stage.pool('10.0.0.2:80') }
  exchange(act, `${ok}?`)
  const first = exchange(other)
  assert.equal(exchange(other), first)
  assert.deepEqual(act.stage.quarantines, ['+10.0.0.1:80'])
  other.pool.destroy()
  finish(act)
})

test('both exchanges are known when a sign shows: the one that has the connection, and the one before it', () => {
  const act = start()
  const { stage } = act
  const [first, second] = [new RecordingWaiter(), new RecordingWaiter()]
  exchange(act, ok, first)
  exchange(act, `${ok}${ok}`, second)
  assert.equal(stage.desyncs.length, 1)
  const { connection, ...seen } = stage.desyncs[0]!
  assert.equal(connection.id, second.connection?.id)
  assert.deepEqual(seen, {
    kind: 'excess-response',
    bytes: ok.length,
    uses: 2,
    status: 200,
    exchange: second.user.exchangeNumber,
    previous: first.user.exchangeNumber,
  })
  assert.deepEqual([first.client.suspicions, second.client.suspicions], [0, 1])
  finish(act)
})

test('nonsense at the start of a response is the doing of the exchange before, and its client is the one that goes', () => {
  for (const nonsense of ['rest of a body', '\r\nHTTP/1.1 200 OK\r\n']) {
    const act = start()
    const [first, second] = [new RecordingWaiter(), new RecordingWaiter()]
    exchange(act, ok, first)
    exchange(act, nonsense, second)
    assert.deepEqual(
      act.stage.desyncs.map(({ kind }) => kind),
      ['nonsense-after-reuse'],
    )
    assert.equal(second.user.loss?.code, 'ERR_EPROXY_RESPONSE_REFUSED')
    assert.deepEqual([first.client.suspicions, second.client.suspicions], [1, 0])
    finish(act)
  }
})

test('nonsense on a new connection is a bad server, and a bad field on a reused one a bad response: neither is a sign', () => {
  const act = start()
  exchange(act, 'SSH-2.0-x\r\n')
  exchange(act)
  exchange(act, 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n')
  assert.deepEqual(act.stage.desyncs, [])
  finish(act)
})

test('a 400 or 408 on a reused connection is a hint: the connection is not kept, and no client is suspected', () => {
  for (const status of [400, 408]) {
    const act = start({ desync: { quarantineAfter: 1 } })
    const refusal = `HTTP/1.1 ${status} No\r\nContent-Length: 0\r\n\r\n`
    assert.equal(exchange(act, refusal), 0)
    assert.equal(exchange(act), 0, 'on a new connection it says nothing about the connection')
    const waiter = new RecordingWaiter()
    assert.equal(exchange(act, refusal, waiter), 0)
    assert.deepEqual(
      act.stage.desyncs.map(({ kind }) => kind),
      ['refusal-after-reuse'],
    )
    assert(act.stage.isGone(0))
    assert.equal(waiter.client.suspicions, 0)
    assert.deepEqual(act.stage.quarantines, [])
    finish(act)
  }
})

test('a response before the end of the request is told when the server means to go on', () => {
  for (const [fields, expected] of [
    ['', ['early-response']],
    ['Connection: close\r\n', []],
  ] as const) {
    const act = start()
    const waiter = new RecordingWaiter()
    waiter.acquire(act.pool)
    act.stage.connect(0)
    act.stage.say(0, `HTTP/1.1 200 OK\r\n${fields}Content-Length: 0\r\n\r\n`)
    waiter.connection!.answeredEarly()
    waiter.connection!.terminate()
    assert.deepEqual(
      act.stage.desyncs.map(({ kind }) => kind),
      expected,
    )
    finish(act)
  }
})

test('a server that speaks first says something that nobody asked for', () => {
  const act = start()
  const waiter = new RecordingWaiter()
  waiter.acquire(act.pool)
  act.pool.cancel(waiter)
  act.stage.connect(0)
  act.stage.say(0, '220 mail ready\r\n')
  assert.deepEqual(
    act.stage.desyncs.map(({ kind, connection }) => [kind, connection.uses]),
    [['idle-bytes', 0]],
  )
  finish(act)
})

// Connections for one client only

const [one, two, three] = [new RecordingClient(), new RecordingClient(), new RecordingClient()]

test('a connection that is reserved for a client is used by it alone, and others have connections of their own', () => {
  const act = start()
  assert.equal(exchange(act, ok, new RecordingWaiter(one, true)), 0)
  assert.equal(exchange(act, ok, new RecordingWaiter(two)), 1)
  assert.equal(exchange(act, ok, new RecordingWaiter(one)), 1, 'the newest that it may use')
  assert.equal(exchange(act, ok, new RecordingWaiter(two, true)), 1)
  assert.equal(exchange(act, ok, new RecordingWaiter(one)), 0)
  assert.equal(exchange(act, ok, new RecordingWaiter(three)), 2)
  assert.deepEqual(act.pool.stats, { idle: 3, busy: 0, connecting: 0, waiting: 0 })
  finish(act)
})

test('a reserved connection is kept for a second at most', () => {
  const act = start({ timeouts: { upstreamKeepAlive: 60_000 } })
  exchange(act, 'HTTP/1.1 200 OK\r\nKeep-Alive: timeout=100\r\nContent-Length: 0\r\n\r\n', new RecordingWaiter(one, true))
  act.stage.clock.advance(999)
  assert.equal(act.stage.isGone(0), false)
  act.stage.clock.advance(101)
  assert(act.stage.isGone(0))
  finish(act)
})

test('what is reserved for others makes room, the longest idle first', () => {
  const act = start({ pool: { connections: 2 } })
  exchange(act, ok, new RecordingWaiter(one, true))
  exchange(act, ok, new RecordingWaiter(two, true))
  assert.equal(exchange(act, ok, new RecordingWaiter(three)), 2)
  assert(act.stage.isGone(0) && !act.stage.isGone(1))
  finish(act)
})

test('who waits is not served by what is reserved for another, but by a new connection in its place', () => {
  const act = start({ pool: { connections: 1 } })
  const [first, second] = [new RecordingWaiter(one, true), new RecordingWaiter(two)]
  first.acquire(act.pool)
  second.acquire(act.pool)
  act.stage.connect(0)
  act.stage.say(0, ok)
  act.pool.release(first.connection!)
  assert(act.stage.isGone(0))
  act.stage.connect(1)
  assert.equal(second.connection?.socket, act.stage.socket(1))
  finish(act)
})

test('a client that is gone takes its idle connection with it, and one that is busy is left alone', () => {
  const act = start()
  const waiter = new RecordingWaiter(one, true)
  waiter.acquire(act.pool)
  act.stage.connect(0)
  act.pool.abandon(one)
  assert.equal(act.stage.isGone(0), false)
  act.stage.say(0, ok)
  act.pool.release(waiter.connection!)
  act.pool.abandon(one)
  assert(act.stage.isGone(0))
  finish(act)
})

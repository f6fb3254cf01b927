/**
 * One connection to a server, through its pool: which responses leave it fit for another request, for how long, and what ends it. The
 * server is a simulated socket, time stands still unless it is moved.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DesyncKind } from '../../lib/core/desync.ts'
import { ConnectionState, type UpstreamConnection } from '../../lib/upstream/connection.ts'
import type { Pool } from '../../lib/upstream/pool.ts'
import { RecordingWaiter, UpstreamStage } from '../support/upstream-stage.ts'

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const lostAfter = (code: string): string[] => [`lost ${code}`]

interface Stage {
  readonly stage: UpstreamStage
  readonly pool: Pool
  readonly waiter: RecordingWaiter
  readonly connection: UpstreamConnection
}

/** A connection that has just begun its first exchange. */
function begin(options: ConstructorParameters<typeof UpstreamStage>[0] = {}, windowBytes?: number): Stage {
  const stage = new UpstreamStage(options, windowBytes)
  const pool = stage.pool()
  const waiter = new RecordingWaiter()
  waiter.acquire(pool)
  stage.connect(0)
  return { stage, pool, waiter, connection: waiter.connection! }
}

function end({ stage, pool }: Stage): void {
  pool.destroy()
  stage.assertEmpty()
}

/** For how long the connection is kept after this response, in whole seconds; 0: not at all. */
function keptSeconds(response: string, upstreamKeepAlive = 4_000): number {
  const act = begin({ timeouts: { upstreamKeepAlive } })
  const { stage, pool, connection } = act
  stage.say(0, response)
  pool.release(connection)
  let seconds = 0
  while (!stage.isGone(0) && seconds < 1_000) {
    stage.clock.advance(1_000)
    seconds++
  }
  end(act)
  return seconds
}

test('a response that says nothing about it is kept as long as the options say', () => {
  assert.equal(keptSeconds(ok), 4)
  assert.equal(keptSeconds(ok, 9_000), 9)
})

test('a Keep-Alive of the server wins over the options, less a second, and ten minutes at most', () => {
  const cases: [string, number][] = [
    ['timeout=5', 4],
    ['timeout=60', 59],
    ['timeout=2', 1],
    ['timeout=1', 0],
    ['timeout=0', 0],
    ['Timeout = 7', 6],
    ['timeout="7"', 6],
    ['timeout=7, max=100', 6],
    ['max=100, timeout=7', 6],
    ['max=100;timeout=7', 6],
    ['max=100 timeout=7', 6],
    ['timeout=86400', 600],
    ['timeout=999999999999999999999', 600],
  ]
  for (const [value, seconds] of cases) {
    assert.equal(keptSeconds(`HTTP/1.1 200 OK\r\nKeep-Alive: ${value}\r\nContent-Length: 0\r\n\r\n`), seconds, value)
  }
})

test('a Keep-Alive that names no time is no hint', () => {
  for (const value of ['', 'max=5', 'timeout', 'timeout=', 'timeout=x', 'timeout=-5', 'idletimeout=60', 'no-timeout=60']) {
    assert.equal(keptSeconds(`HTTP/1.1 200 OK\r\nKeep-Alive: ${value}\r\nContent-Length: 0\r\n\r\n`), 4, value)
  }
})

test('the hint of one server is not taken for that of another', () => {
  assert.equal(keptSeconds('HTTP/1.1 200 OK\r\nKeep-Alive: timeout=30\r\nContent-Length: 0\r\n\r\n'), 29)
  assert.equal(keptSeconds(ok), 4)
  assert.equal(keptSeconds('HTTP/1.1 200 OK\r\nKeep-Alive: timeout=30\r\nContent-Length: 0\r\n\r\n'), 29)
})

test('an idle connection begins its time anew with every exchange', () => {
  const act = begin({ timeouts: { upstreamKeepAlive: 4_000 } })
  const { stage, pool, connection } = act
  stage.say(0, ok)
  pool.release(connection)
  for (let i = 0; i < 5; i++) {
    stage.clock.advance(3_000)
    const next = new RecordingWaiter()
    assert(next.acquire(pool))
    assert.equal(next.connection, connection)
    stage.say(0, ok)
    pool.release(connection)
  }
  assert.equal(connection.uses, 6)
  stage.clock.advance(4_100)
  assert(stage.isGone(0))
  end(act)
})

test('persistence is that of RFC 9112 section 9.3', () => {
  const cases: [string, boolean][] = [
    ['HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', true],
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', true],
    ['HTTP/1.1 204 No Content\r\n\r\n', true],
    ['HTTP/1.1 304 Not Modified\r\n\r\n', true],
    ['HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n', true],
    ['HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n', false],
    ['HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n', false],
    ['HTTP/1.1 200 OK\r\nConnection: x, close\r\nContent-Length: 0\r\n\r\n', false],
    ['HTTP/1.1 200 OK\r\nConnection: keep-alive, close\r\nContent-Length: 0\r\n\r\n', false],
    ['HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: close\r\nContent-Length: 0\r\n\r\n', false],
    ['HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n', false],
    ['HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n', true],
    ['HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n', true],
    ['HTTP/1.0 200 OK\r\nConnection: keep-alive, close\r\nContent-Length: 0\r\n\r\n', false],
    ['HTTP/1.0 200 OK\r\nKeep-Alive: timeout=60\r\nContent-Length: 0\r\n\r\n', false],
    ['HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokX', false],
    ['HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', false],
  ]
  for (const [response, persists] of cases) {
    const act = begin()
    const { stage, pool, waiter, connection } = act
    stage.say(0, response)
    assert(waiter.user.isComplete, response)
    assert.equal(connection.isReusable, persists, response)
    pool.release(connection)
    assert.equal(pool.stats.idle, persists ? 1 : 0)
    assert.equal(stage.isGone(0), !persists)
    end(act)
  }
})

test('what an earlier response allowed counts nothing for the next one', () => {
  const act = begin()
  const { stage, pool, connection } = act
  stage.say(0, ok)
  pool.release(connection)
  const next = new RecordingWaiter()
  next.acquire(pool)
  assert.equal(connection.isReusable, false)
  stage.say(0, 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
  pool.release(connection)
  assert(stage.isGone(0))
  assert.equal(pool.stats.idle, 0)
  end(act)
})

test('an interim response says nothing about persistence', () => {
  const act = begin()
  const { stage, waiter, connection } = act
  stage.say(0, 'HTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\n')
  assert.equal(connection.isReusable, false)
  stage.say(0, ok)
  assert.equal(connection.isReusable, true)
  assert.deepEqual(waiter.user.events, ['head 103', 'turn', 'head 200', 'body ok', 'complete', 'turn'])
  end(act)
})

test('a connection that ends with its body is complete with it, and of no further use', () => {
  const act = begin()
  const { stage, pool, waiter, connection } = act
  stage.say(0, 'HTTP/1.1 200 OK\r\n\r\nall there is')
  stage.hangUp(0)
  assert.deepEqual(waiter.user.events, ['head 200', 'body all there is', 'turn', 'complete', 'turn'])
  pool.release(connection)
  assert(stage.isGone(0))
  assert.equal(stage.socket(0).wasReset, false)
  end(act)
})

test('what an idle connection says is reported as what it is, and ends it', () => {
  const cases: [string, DesyncKind][] = [
    ['x', 'idle-bytes'],
    ['\r\n', 'stray-newlines'],
    [ok, 'excess-response'],
    [`\r\n${ok}`, 'excess-response'],
    ['HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n', 'idle-timeout'],
  ]
  for (const [stray, kind] of cases) {
    const act = begin()
    const { stage, pool, connection } = act
    stage.say(0, ok)
    pool.release(connection)
    stage.say(0, stray)
    assert.deepEqual(
      stage.desyncs.map((seen) => [seen.connection, seen.kind, seen.bytes]),
      [[connection, kind, stray.length]],
    )
    assert.equal(connection.state, ConnectionState.CLOSED)
    assert(stage.isGone(0))
    assert.deepEqual(pool.stats, { idle: 0, busy: 0, connecting: 0, waiting: 0 })
    assert.equal(new RecordingWaiter().acquire(pool), false)
    end(act)
  }
})

test('bytes behind a response are reported and make the connection unfit, together with it or after it', () => {
  const cases: [string[], DesyncKind][] = [
    [[`${ok}stray`], 'excess-bytes'],
    [[ok, 'stray'], 'excess-bytes'],
    [[`${ok}HTTP/`], 'excess-response'],
    [[`${ok}HTTP/1.1 408 T\r\n`], 'excess-response'],
    [[ok, '\r\n\n'], 'stray-newlines'],
  ]
  for (const [reads, kind] of cases) {
    const act = begin()
    const { stage, pool, waiter, connection } = act
    for (const read of reads) stage.say(0, read)
    assert.deepEqual(
      waiter.user.events.filter((event) => event !== 'turn'),
      ['head 200', 'body ok', 'complete'],
    )
    assert.deepEqual(
      stage.desyncs.map((seen) => seen.kind),
      [kind],
    )
    pool.release(connection)
    assert(stage.isGone(0))
    end(act)
  }
})

test('an end between response and release makes the connection unfit', () => {
  const act = begin()
  const { stage, pool, connection } = act
  stage.say(0, ok)
  stage.hangUp(0)
  assert.equal(connection.isReusable, false)
  pool.release(connection)
  assert(stage.isGone(0))
  end(act)
})

test('an end or a reset of an idle connection takes it out of the pool', () => {
  for (const leave of ['hangUp', 'cut'] as const) {
    const act = begin()
    const { stage, pool, connection } = act
    stage.say(0, ok)
    pool.release(connection)
    stage[leave](0)
    assert.deepEqual(pool.stats, { idle: 0, busy: 0, connecting: 0, waiting: 0 })
    assert.deepEqual(stage.desyncs, [])
    end(act)
  }
})

test('a connection whose request the kernel has not all taken is not given to the next', () => {
  const act = begin({}, 10)
  const { stage, pool, waiter, connection } = act
  assert.equal(connection.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n'), false)
  stage.say(0, ok)
  assert(waiter.user.isComplete)
  pool.release(connection)
  assert(stage.isGone(0))
  end(act)
})

test('a connection that has reached its age is not kept', () => {
  for (const [ageMs, persists] of [
    [59_000, true],
    [60_000, false],
  ] as const) {
    const act = begin({ timeouts: { upstreamMaxAge: 60_000 } })
    const { stage, pool, connection } = act
    stage.clock.advance(ageMs)
    stage.say(0, ok)
    assert.equal(connection.isExpired, !persists)
    pool.release(connection)
    assert.equal(pool.stats.idle, persists ? 1 : 0)
    end(act)
  }
})

test('an exchange is told once why it loses its connection', () => {
  const cases: [string, (act: Stage) => void, string[]][] = [
    ['an end before the response', ({ stage }) => stage.hangUp(0), lostAfter('ERR_EPROXY_UPSTREAM_CLOSED')],
    ['a reset before the response', ({ stage }) => stage.cut(0), lostAfter('ERR_EPROXY_UPSTREAM_CLOSED')],
    [
      'an end in the middle of a head',
      ({ stage }) => {
        stage.say(0, 'HTTP/1.1 200 OK\r\nContent-')
        stage.hangUp(0)
      },
      ['turn', ...lostAfter('ERR_EPROXY_RESPONSE_INCOMPLETE')],
    ],
    [
      'an end in the middle of a body',
      ({ stage }) => {
        stage.say(0, 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok')
        stage.hangUp(0)
      },
      ['head 200', 'body ok', 'turn', ...lostAfter('ERR_EPROXY_RESPONSE_INCOMPLETE')],
    ],
    [
      'an end in the middle of a chunked body',
      ({ stage }) => {
        stage.say(0, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n')
        stage.hangUp(0)
      },
      ['head 200', 'body ok', 'turn', ...lostAfter('ERR_EPROXY_RESPONSE_INCOMPLETE')],
    ],
    [
      'a reset in a body that ends with the connection',
      ({ stage }) => {
        stage.say(0, 'HTTP/1.1 200 OK\r\n\r\nok')
        stage.cut(0)
      },
      ['head 200', 'body ok', 'turn', ...lostAfter('ERR_EPROXY_RESPONSE_INCOMPLETE')],
    ],
    [
      'a final response is missing behind an interim one',
      ({ stage }) => {
        stage.say(0, 'HTTP/1.1 103 Early Hints\r\n\r\n')
        stage.hangUp(0)
      },
      ['head 103', 'turn', ...lostAfter('ERR_EPROXY_RESPONSE_INCOMPLETE')],
    ],
    ['nonsense', ({ stage }) => stage.say(0, 'SSH-2.0-x\r\n'), lostAfter('ERR_EPROXY_RESPONSE_REFUSED')],
    [
      'no response in time',
      ({ stage, connection }) => {
        connection.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
        connection.awaitResponse()
        stage.clock.advance(60_100)
      },
      lostAfter('ERR_EPROXY_RESPONSE_HEAD_TIMEOUT'),
    ],
    [
      'no body in time',
      ({ stage }) => {
        stage.say(0, 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n')
        stage.clock.advance(60_100)
      },
      ['head 200', 'turn', ...lostAfter('ERR_EPROXY_RESPONSE_BODY_TIMEOUT')],
    ],
    ['the end of the proxy', ({ connection }) => connection.shutdown(), lostAfter('ERR_EPROXY_DRAINED')],
    ['a fault', ({ connection }) => connection.onFault(), lostAfter('ERR_EPROXY_INTERNAL')],
  ]
  for (const [what, happen, events] of cases) {
    const act = begin()
    happen(act)
    act.stage.closeSockets()
    assert.deepEqual(act.waiter.user.events, events, what)
    assert.equal(act.connection.state, ConnectionState.CLOSED, what)
    assert.deepEqual(act.pool.stats, { idle: 0, busy: 0, connecting: 0, waiting: 0 }, what)
    end(act)
  }
})

test('a server that takes nothing of the request loses the exchange, one that takes a little does not', () => {
  const act = begin({ timeouts: { upstreamWriteIdle: 10_000 } }, 10)
  const { stage, waiter, connection } = act
  assert.equal(connection.write('x'.repeat(100)), false)
  for (let i = 0; i < 5; i++) {
    stage.clock.advance(9_000)
    stage.socket(0).happen('take', 5)
  }
  assert.deepEqual(waiter.user.events, [])
  stage.clock.advance(20_200)
  assert.deepEqual(waiter.user.events, lostAfter('ERR_EPROXY_UPSTREAM_WRITE_TIMEOUT'))
  end(act)
})

test('a request cut short is reset, an exchange that is over ends with FIN', () => {
  const cut = begin()
  cut.connection.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n')
  cut.connection.terminate()
  assert.equal(cut.stage.socket(0).wasReset, true)
  assert.deepEqual(cut.waiter.user.events, [], 'who gives a connection up is not told that it is gone')
  end(cut)
  const over = begin()
  over.stage.say(0, ok)
  over.connection.terminate()
  over.connection.terminate()
  assert.equal(over.stage.socket(0).wasReset, false)
  end(over)
})

test('a connection that became a tunnel passes all bytes on and is never idle again', () => {
  const act = begin()
  const { stage, waiter, connection } = act
  connection.expect({ toHead: false, offered: ['echo'] })
  const { user } = waiter
  user.onUpstreamTurnEnd = () => {
    if (connection.state === ConnectionState.BUSY) connection.becomeTunnel()
  }
  stage.say(0, 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nfirst')
  stage.say(0, ok)
  stage.clock.advance(3_600_000)
  stage.hangUp(0)
  stage.cut(0)
  assert.deepEqual(user.events, ['head 101', 'data first', `data ${ok}`, 'end', 'close read ECONNRESET'])
  assert.equal(connection.state, ConnectionState.CLOSED)
  end(act)
})

test('a connection refuses to be used twice at once, and to rest while it is resting', () => {
  const act = begin()
  const { stage, pool, connection } = act
  assert.throws(() => connection.assign(new RecordingWaiter().user), { name: 'AssertionError' })
  stage.say(0, ok)
  pool.release(connection)
  assert.throws(() => connection.idle(), { name: 'AssertionError' })
  assert.throws(() => connection.becomeTunnel(), { name: 'AssertionError' })
  end(act)
})

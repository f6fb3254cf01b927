/**
 * Servers that can be desynchronised, on real sockets: no client is ever given the answer to another's request, each sign is told with both
 * sides' names, and repeated proofs put a server's connections in quarantine, which ends by itself. The server is LenientServer, which falls
 * for what is smuggled; what it answers names the request.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import test, { type TestContext } from 'node:test'
import type { DesyncEvent, Logger, QuarantineEvent } from '../../lib/index.ts'
import {
  innocentRequest,
  leniencies,
  LenientServer,
  smugglingRequest,
  type HostileRequest,
  type Leniency,
} from '../support/lenient-server.ts'
import { patiently, until } from '../support/patience.ts'
import { ProxyUnderTest, type StartOptions } from '../support/proxy-under-test.ts'
import { get, withBody, type RawClient, type RawResponse } from '../support/raw-client.ts'
import { answeringWith, ScriptedOrigin, type Script } from '../support/scripted-origin.ts'
import { SeededRandom } from '../support/seeded-random.ts'
import { WireEnded } from '../support/wire.ts'

const innocents = 6
const smugglers = 6
const requestsOfClient = 25
const patienceTurns = 300

/** Between the pieces that it sends, the others of this process get so many turns. */
async function giveTurns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}

function fallingFor(leniency: Leniency, random: SeededRandom): Script {
  return async (connection) => {
    const server = new LenientServer(leniency)
    for (;;) {
      for (const piece of server.receive(await connection.until(/[^]+/, true))) {
        await giveTurns(random.pick([0, 0, 1, 5]))
        connection.send(piece)
      }
    }
  }
}

/** The answer, or undefined when the connection ended before it. */
async function ask(client: RawClient, request: HostileRequest, random: SeededRandom): Promise<RawResponse | undefined> {
  try {
    for (const piece of request.pieces) {
      client.send(piece)
      await giveTurns(random.pick([0, 1, 3]))
    }
    return await client.response({ toHead: request.method === 'HEAD' })
  } catch (error) {
    if (error instanceof WireEnded) return undefined
    throw error
  }
}

/** The same, by a client that leaves when there is no answer: a server that was given half a request waits for the other half for ever. */
async function askAndLeave(client: RawClient, request: HostileRequest, random: SeededRandom): Promise<RawResponse | undefined> {
  const answer = ask(client, request, random)
  const response = await Promise.race([answer, giveTurns(patienceTurns)])
  if (response !== undefined) return response
  client.destroy()
  return answer
}

interface Storm {
  /** Answers to the requests of others. */
  readonly mixedUp: string[]
  readonly answered: number
}

/** Many clients at once, of which half smuggle. */
async function storm(proxy: ProxyUnderTest, random: SeededRandom): Promise<Storm> {
  const mixedUp: string[] = []
  let answered = 0
  const play = async (name: string, isInnocent: boolean): Promise<void> => {
    let client = await proxy.client()
    for (let i = 0; i < requestsOfClient; i++) {
      if (client.ending !== undefined) {
        client.destroy()
        client = await proxy.client()
      }
      const tag = `${name}${i}`
      const request = isInnocent ? innocentRequest(tag) : smugglingRequest(tag, (choices) => random.pick(choices))
      const response = await (isInnocent ? ask : askAndLeave)(client, request, random)
      if (response === undefined) {
        assert(!isInnocent, `${tag} was not answered`)
        client.destroy()
        client = await proxy.client()
        continue
      }
      answered++
      const given = response.field('X-Tag')
      if (given === '' ? response.field('Proxy-Status') === '' : !given.startsWith(name))
        mixedUp.push(`${tag} was given the answer to ${given}`)
      else if (isInnocent && given !== tag) mixedUp.push(`${tag} was given ${given === '' ? response.body : given}`)
    }
  }
  await Promise.all([
    ...Array.from({ length: innocents }, (_, i) => play(`good${i}-`, true)),
    ...Array.from({ length: smugglers }, (_, i) => play(`evil${i}-`, false)),
  ])
  return { mixedUp, answered }
}

async function start(t: TestContext, leniency: Leniency, random: SeededRandom, options: StartOptions): Promise<ProxyUnderTest> {
  const origin = await ScriptedOrigin.start(t, fallingFor(leniency, random))
  return ProxyUnderTest.start(t, { upstreams: [origin.address], ...options })
}

for (const [index, leniency] of leniencies.entries()) {
  test(`a server that ${leniency.what}: every client gets its own answers, with quarantine and without`, async (t) => {
    for (const quarantineAfter of [0, 2]) {
      const random = new SeededRandom(index)
      const proxy = await start(t, leniency, random, { desync: { quarantineAfter } })
      const { mixedUp, answered } = await storm(proxy, random)
      assert.deepEqual(mixedUp, [])
      assert(answered >= innocents * requestsOfClient)
      const reused = proxy.summaries.filter(({ target, reused: isReused }) => target.startsWith('/good') && isReused).length
      if (quarantineAfter === 0) assert(reused > 0, 'no connection was ever reused: nothing was at stake')
    }
  })
}

test('with connections shared after a body, half a request takes the next answer of another; in quarantine it does not', async (t) => {
  const random = new SeededRandom(1)
  const proxy = await start(t, leniencies[2]!, random, { reuseAfterBody: 'anyone', desync: { quarantineAfter: 1, quarantine: 60_000 } })
  const half = 'GET /evil HTTP/1.1\r\nX-Swallow: '
  const poison = async (): Promise<void> => {
    assert.equal((await (await proxy.client()).exchange(withBody('POST', half, '', '/post'))).field('X-Tag'), 'post')
  }
  await poison()
  const victim = await proxy.client()
  assert.equal((await victim.exchange(get('/victim'))).field('X-Tag'), 'evil', 'the server is harmless: this test proves nothing')
  assert.deepEqual(proxy.proxy.stats.desync['excess-response'], 0, 'nobody can see that from outside')

  // A whole request shows itself: there is an answer too many, and that is enough here.
  const quarantine = once(proxy.proxy, 'quarantine')
  const smuggler = await proxy.client()
  smuggler.send(withBody('POST', 'GET /evil HTTP/1.1\r\n\r\n', '', '/post'))
  await patiently(quarantine, () => 'a quarantine to begin')
  for (let i = 0; i < 5; i++) {
    await poison()
    assert.equal((await (await proxy.client()).exchange(get(`/victim${i}`))).field('X-Tag'), `victim${i}`)
  }
  assert(proxy.summaries.slice(-10).every(({ reused }) => !reused))
})

class RecordingLogger implements Logger {
  readonly lines: { readonly level: string; readonly fields: Record<string, unknown>; readonly message: string }[] = []
  readonly trace = this.#at('trace')
  readonly debug = this.#at('debug')
  readonly info = this.#at('info')
  readonly warn = this.#at('warn')
  readonly error = this.#at('error')
  readonly fatal = this.#at('fatal')

  #at(level: string): (fields: object, message: string) => void {
    return (fields, message) => void this.lines.push({ level, fields: { ...fields }, message })
  }

  about(text: string): RecordingLogger['lines'] {
    return this.lines.filter(({ message }) => message.includes(text))
  }
}

/** Answers twice when the target says so, in one write. */
const twiceOnRequest: Script = answeringWith(({ target }, connection) => {
  const one = `HTTP/1.1 200 OK\r\nX-Tag: ${target}\r\nContent-Length: 2\r\n\r\nok`
  connection.send(target === '/twice' ? one + one : one)
})

test('quarantine begins with the proofs that the options say, is told and logged, and ends', async (t) => {
  const origin = await ScriptedOrigin.start(t, twiceOnRequest)
  const logger = new RecordingLogger()
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], logger, desync: { quarantineAfter: 3, quarantine: 1_000 } })
  const stats = () => proxy.proxy.stats.upstreams[origin.address]!
  const told: QuarantineEvent[] = []
  proxy.proxy.on('quarantine', (event) => told.push(event))
  for (let i = 0; i < 3; i++) {
    assert.equal(stats().isQuarantined, false)
    assert.equal((await (await proxy.client()).exchange(get('/twice'))).status, 200)
  }
  assert.equal(stats().isQuarantined, true)
  assert.equal(stats().desync['excess-response'], 3)
  const before = origin.connections.length
  const client = await proxy.client()
  for (let i = 0; i < 2; i++) assert.equal((await client.exchange(get())).status, 200)
  assert.equal(origin.connections.length, before + 2)
  await until(
    () => told.length === 2,
    () => 'the end of the quarantine',
  )
  assert.deepEqual(told, [
    { upstream: origin.address, state: 'begins' },
    { upstream: origin.address, state: 'ends' },
  ])
  assert.equal(stats().isQuarantined, false)
  for (let i = 0; i < 3; i++) assert.equal((await client.exchange(get())).status, 200)
  assert.equal(origin.connections.length, before + 3)
  assert.deepEqual(
    logger.about('quarantine').map(({ level, fields, message }) => [level, fields, message.split(':')[0]]),
    [
      ['warn', { upstream: origin.address, forMs: 1_000 }, 'quarantine begins'],
      ['warn', { upstream: origin.address }, 'quarantine ends'],
    ],
  )
})

test('a sign is told with the names of both exchanges, as the access log has them', async (t) => {
  const origin = await ScriptedOrigin.start(t, twiceOnRequest)
  const logger = new RecordingLogger()
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], logger })
  const told: DesyncEvent[] = []
  proxy.proxy.on('desync', (event) => told.push(event))
  assert.equal((await (await proxy.client()).exchange(get('/first'))).status, 200)
  assert.equal((await (await proxy.client()).exchange(get('/twice'))).status, 200)
  const [first, second] = [await proxy.summary(), await proxy.summary()]
  assert.deepEqual(told, [
    {
      kind: 'excess-response',
      isEvidence: true,
      rule: 'H1-RESPONSE-UNASKED',
      upstream: origin.address,
      address: origin.address,
      connection: first.upstreamConnection,
      uses: 2,
      exchange: { id: second.id, client: second.client },
      previous: { id: first.id, client: first.client },
      status: 200,
      bytes: 'HTTP/1.1 200 OK\r\nX-Tag: /twice\r\nContent-Length: 2\r\n\r\nok'.length,
    },
  ])
  const [line, ...others] = logger.about('out of step')
  assert.equal(others.length, 0)
  assert.equal(line?.level, 'warn')
  assert.deepEqual(line.fields, { ...told[0] })
  assert.equal(proxy.proxy.stats.desync['excess-response'], 1)
})

test('the client whose request brought an answer too many gets its own, and no other on that connection', async (t) => {
  const origin = await ScriptedOrigin.start(t, twiceOnRequest)
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const [smuggler, other] = [await proxy.client(), await proxy.client()]
  assert.equal((await other.exchange(get('/other'))).status, 200)
  smuggler.send(get('/twice') + get('/pipelined'))
  assert.equal((await smuggler.response()).field('X-Tag'), '/twice')
  assert.equal(await smuggler.closed(), 'fin')
  assert.equal(smuggler.unread, '')
  assert.equal((await other.exchange(get('/other'))).field('X-Tag'), '/other')
  assert.deepEqual(
    origin.heads.map((head) => head.split(' ')[1]),
    ['/other', '/twice', '/other'],
  )
})

test('a 408 on an idle connection is counted by itself, is no proof, and costs the client nothing', async (t) => {
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    await connection.request()
    connection.respond(200, 'ok')
  })
  const logger = new RecordingLogger()
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], logger, desync: { quarantineAfter: 1 } })
  const client = await proxy.client()
  for (let i = 0; i < 3; i++) {
    assert.equal((await client.exchange(get())).body, 'ok')
    const connection = await origin.connection(i)
    connection.send('HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
    await connection.ended()
  }
  const { desync, upstreams } = proxy.proxy.stats
  assert.equal(desync['idle-timeout'], 3)
  assert.equal(upstreams[origin.address]!.isQuarantined, false)
  assert.deepEqual(
    logger.about('out of step').map(({ level }) => level),
    ['debug', 'debug', 'debug'],
  )
})

test('a 400 on a reused connection and an early answer are hints: the connection goes, the client stays', async (t) => {
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    for (;;) {
      const { method } = await connection.head()
      connection.respond(method === 'PUT' ? 400 : 200, 'ok')
    }
  })
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], desync: { quarantineAfter: 1 } })
  const client = await proxy.client()
  assert.equal((await client.exchange(get())).status, 200)
  assert.equal((await client.exchange('PUT / HTTP/1.1\r\nHost: test\r\n\r\n')).status, 400)
  assert.equal((await client.exchange('POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\n12')).status, 200)
  client.send('34')
  assert.equal((await client.exchange(get())).status, 200)
  const { desync, upstreams } = proxy.proxy.stats
  assert.equal(desync['refusal-after-reuse'], 1)
  assert.equal(desync['early-response'], 1)
  assert.equal(upstreams[origin.address]!.isQuarantined, false)
  assert.equal(origin.connections.length, 3)
})

test('a flood of signs fills neither the log nor the memory', async (t) => {
  const origin = await ScriptedOrigin.start(t, twiceOnRequest)
  const logger = new RecordingLogger()
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], logger })
  const startedAt = performance.now()
  for (let i = 0; i < 300; i++) {
    const client = await proxy.client()
    assert.equal((await client.exchange(get('/twice'))).status, 200)
    await client.closed()
  }
  const seconds = Math.ceil((performance.now() - startedAt) / 1_000) + 1
  assert.equal(proxy.proxy.stats.desync['excess-response'], 300)
  const lines = logger.about('out of step').length
  assert(lines > 0 && lines <= 50 * seconds, `${lines} lines in ${seconds} s`)
})

test('a connection that has carried a body is left to its client, and ends with it', async (t) => {
  const origin = await ScriptedOrigin.start(
    t,
    answeringWith((request, connection) => connection.respond(200, request.target)),
  )
  for (const { reuseAfterBody, connections } of [
    { reuseAfterBody: 'same-client', connections: 2 },
    { reuseAfterBody: 'anyone', connections: 1 },
  ] as const) {
    const before = origin.connections.length
    const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], reuseAfterBody })
    const [first, second] = [await proxy.client(), await proxy.client()]
    for (const body of ['one', 'two']) assert.equal((await first.exchange(withBody('POST', body))).status, 200)
    assert.equal((await first.exchange(get())).status, 200)
    assert.equal((await second.exchange(get())).status, 200)
    assert.equal(origin.connections.length - before, connections)
    if (reuseAfterBody === 'anyone') continue
    first.end()
    await origin.connections[before]!.ended()
    assert.equal((await second.exchange(get())).status, 200)
    assert.equal(origin.connections.length - before, connections)
  }
})

/** Several processes behind one port: connections reach all of them, and outlive any of them. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import test from 'node:test'
import { ProxyError } from '../../lib/index.ts'
import { GroupUnderTest } from '../support/group-under-test.ts'
import { NodeOrigin } from '../support/node-origin.ts'
import { patiently, until } from '../support/patience.ts'
import { get, RawClient } from '../support/raw-client.ts'
import { ScriptedOrigin, silent } from '../support/scripted-origin.ts'
import { TemporaryFolder } from '../support/temporary-folder.ts'
import { WorkerModule } from '../support/worker-module.ts'

test('connections reach every worker, and the figures of all are added up', async (t) => {
  const group = await GroupUnderTest.start(t)
  const clients = await group.clientsOfAll()
  assert.deepEqual(new Set(clients.keys()), new Set(await group.pids()))
  for (const client of clients.values()) assert.equal((await client.exchange(get())).status, 200)
  const stats = await group.statsWhen(({ total }) => total.exchangesTotal === 2)
  assert.deepEqual(
    stats.workers.map(({ number, state, ageMs, stats: own }) => [number, state, ageMs, own?.exchangesTotal]),
    [
      [1, 'ready', 0, 1],
      [2, 'ready', 0, 1],
    ],
  )
  assert.equal(
    stats.total.connectionsTotal,
    stats.workers.reduce((sum, worker) => sum + (worker.stats?.connectionsTotal ?? 0), 0),
  )
})

test('every worker listens on every address: both protocols, socket files, and one port for all', async (t) => {
  using folder = new TemporaryFolder()
  const path = folder.file('group.sock')
  const group = await GroupUnderTest.start(t, { listen: ['127.0.0.1:0', '[::1]:0', `unix:${path}`] })
  assert.match(group.addresses.join(' '), /^127\.0\.0\.1:[1-9]\d* \[::1\]:[1-9]\d* unix:/)
  for (const address of group.addresses) {
    const client = await RawClient.connect(address)
    assert.equal((await client.exchange(get())).status, 200)
    client.destroy()
  }
  const closing = group.group.close()
  assert.ok(!existsSync(path))
  await patiently(closing, () => 'close() to resolve')
  await assert.rejects(RawClient.connect(group.address), { code: 'ECONNREFUSED' })
})

test('a worker that is killed is replaced, and its sibling does not notice', async (t) => {
  const group = await GroupUnderTest.start(t)
  const clients = await group.clientsOfAll()
  const [victim = 0, survivor = 0] = await group.pids()
  const crashed = once(group.group, 'crash')
  process.kill(victim, 'SIGKILL')
  assert.deepEqual(await patiently(crashed, () => 'a crash'), [1, victim])
  assert.notEqual(await clients.get(victim)!.ended(), 'here')
  assert.equal((await clients.get(survivor)!.exchange(get())).status, 200)
  await group.logged(/^worker 1 ended unexpectedly: signal SIGKILL$/)
  const { workers, crashesTotal } = await group.statsWhen(
    (stats) => stats.workers.length === 2 && stats.workers.every(({ state }) => state === 'ready'),
  )
  assert.equal(crashesTotal, 1)
  assert.equal(workers[1]?.pid, survivor)
  assert.notEqual(workers[0]?.pid, victim)
})

test('a connection that comes when no worker lives waits for one', async (t) => {
  const group = await GroupUnderTest.start(t, { supervision: { restartMin: 300 } })
  const pids = await group.pids()
  for (const pid of pids) process.kill(pid, 'SIGKILL')
  await group.statsWhen(({ crashesTotal, workers }) => crashesTotal === 2 && workers.length === 0)
  const client = await group.client()
  assert.equal((await client.exchange(get())).status, 200)
})

/** Answers with the target and how many bytes of a body came: what `Load` expects. */
function startCountingOrigin(): Promise<NodeOrigin> {
  return NodeOrigin.start((request, response) => {
    let bytes = 0
    request.on('data', (chunk: Buffer) => (bytes += chunk.length)).on('end', () => response.end(`${request.url} ${bytes}`))
  })
}

test('10 reloads under load: no request fails, no connection is refused, every worker is a new one', async (t) => {
  await using origin = await startCountingOrigin()
  const group = await GroupUnderTest.start(t, { workers: 2, upstreams: [origin.address] })
  const seen = new Set(await group.pids())
  const load = new Load(group.address)
  for (let reload = 1; reload <= 10; reload++) {
    const requestsBefore = load.requests
    await patiently(group.group.reload(), () => `reload ${reload}; log: ${group.log.join(', ')}`)
    const pids = await group.pids()
    for (const pid of pids) assert.ok(!seen.has(pid))
    for (const pid of pids) seen.add(pid)
    await until(
      () => load.requests > requestsBefore + 50 || load.failures.length > 0,
      () => 'load',
    )
  }
  await load.stop()
  assert.deepEqual(load.failures, [])
  // Those who were replaced had 5 s for idle clients, and have told what they counted.
  const stats = await group.statsWhen(({ total }) => total.exchangesTotal >= load.requests)
  assert.equal(stats.total.exchangesTotal, load.requests)
  assert.equal(stats.crashesTotal, 0)
  assert.equal(stats.reloadsTotal, 10)
})

test('a group becomes larger and smaller under load: no request fails, no connection is refused', async (t) => {
  await using origin = await startCountingOrigin()
  const group = await GroupUnderTest.start(t, { upstreams: [origin.address] })
  let before = await group.pids()
  const load = new Load(group.address)
  t.after(() => load.stop())
  for (const [index, workers] of [4, 1, 3, 2].entries()) {
    const requestsBefore = load.requests
    const change = { upstreams: [origin.address], workers, supervision: { hang: 6_000 + index } }
    await patiently(group.group.reconfigure(change, ['127.0.0.1:0']), () => `${workers} workers; log: ${group.log.join(', ')}`)
    const pids = await group.pids()
    assert.equal(pids.length, workers)
    // With fewer each has a larger part of the limits, for which it may have to be another process; with more nobody is replaced.
    if (workers > before.length) assert.deepEqual(pids.slice(0, before.length), before)
    before = pids
    await until(
      () => load.requests > requestsBefore + 50 || load.failures.length > 0,
      () => 'load',
    )
  }
  await load.stop()
  assert.deepEqual(load.failures, [])
  const stats = await group.statsWhen(({ total }) => total.exchangesTotal >= load.requests)
  assert.equal(stats.total.exchangesTotal, load.requests)
  assert.equal(stats.crashesTotal, 0)
})

test('a group that becomes much smaller at once lets every exchange finish', async (t) => {
  const origin = await ScriptedOrigin.start(t, silent)
  const options = { upstreams: [origin.address] }
  const group = await GroupUnderTest.start(t, options)
  // Not all at once: that many processes are slow to start.
  for (const workers of [4, 6])
    await patiently(group.group.reconfigure({ ...options, workers }, ['127.0.0.1:0']), () => `${workers} workers`)
  const clients: RawClient[] = []
  // More than there are workers, and each of these leaves what comes to those who have less.
  for (let i = 0; i < 18; i++) clients.push(await group.client())
  for (const client of clients) client.send(get('/slow'))
  await until(
    () => origin.heads.length === clients.length,
    () => 'all requests',
  )
  await patiently(group.group.reconfigure({ ...options, workers: 1 }, ['127.0.0.1:0']), () => 'one worker')
  assert.equal((await group.pids()).length, 1)
  // Nobody is started only to end.
  assert.equal(group.log.filter((line) => /^worker [2-6] is ready$/.test(line)).length, 5)
  for (const connection of origin.connections) if (connection.heads.length > 0) connection.respond(200, 'done')
  for (const client of clients) assert.equal((await client.response()).body, 'done')
})

test('an idle client of a worker that is replaced may send one more request, and is told to go', async (t) => {
  const group = await GroupUnderTest.start(t, { timeouts: { drainIdle: 60_000 } })
  const client = await group.client()
  assert.equal((await client.exchange(get())).field('Connection'), '')
  await patiently(group.group.reload(), () => 'the reload')
  const response = await client.exchange(get())
  assert.equal(response.status, 200)
  assert.equal(response.field('Connection'), 'close')
  assert.equal(await client.closed(), 'fin')
})

test('a tunnel and a running exchange survive a reload', async (t) => {
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    const { target } = await connection.head()
    if (target !== '/tunnel') return
    connection.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n')
    for (;;) connection.send((await connection.until('\n')).toUpperCase())
  })
  const group = await GroupUnderTest.start(t, { upstreams: [origin.address] })
  const [tunnel, slow] = [await group.client(), await group.client()]
  tunnel.send(get('/tunnel', 'Connection: Upgrade\r\nUpgrade: x\r\n'))
  await tunnel.until('\r\n\r\n')
  slow.send(get('/slow'))
  await until(
    () => origin.heads.length === 2,
    () => 'both requests',
  )
  await patiently(group.group.reload(), () => 'the reload')
  tunnel.send('hello\n')
  assert.equal(await tunnel.until('\n'), 'HELLO\n')
  origin.connections.find(({ heads }) => heads[0]?.includes('/slow'))!.respond(200, 'done')
  assert.equal((await slow.response()).body, 'done')
  // Nobody has to wait for the tunnel when all is to end.
  await patiently(group.group.close({ graceMs: 50 }), () => 'close() to resolve')
  await tunnel.ended()
})

test('reload() while another one is on replaces all once more', async (t) => {
  const group = await GroupUnderTest.start(t)
  const [first, second, third] = [group.group.reload(), group.group.reload(), group.group.reload()]
  assert.equal(second, third)
  assert.notEqual(first, second)
  await patiently(Promise.all([first, second, third]), () => 'all reloads')
  assert.equal((await group.group.stats()).reloadsTotal, 2)
})

test('a worker that is told to end by somebody else is replaced first', async (t) => {
  const group = await GroupUnderTest.start(t)
  const [first = 0, second = 0] = await group.pids()
  const ready = once(group.group, 'ready')
  process.kill(second, 'SIGTERM')
  const [number, pid] = (await patiently(ready, () => 'a new worker')) as [number, number]
  assert.equal(number, 2)
  assert.deepEqual(await group.pids(), [first, pid])
  await group.statsWhen(({ workers }) => workers.length === 2)
  assert.equal((await group.group.stats()).crashesTotal, 0)
})

test('a worker whose event loop stands still is logged, killed and replaced; asking for figures does not wait for it', async (t) => {
  using module = new WorkerModule({ serving: "process.on('SIGWINCH', () => { for (;;); })" })
  const group = await GroupUnderTest.start(t, { module: module.path, supervision: { hang: 2_000, kill: 3_000 } })
  const [victim = 0] = await group.pids()
  // Its counters are heard of with its first beat.
  await group.statsWhen(({ workers }) => workers.every(({ stats }) => stats !== undefined))
  const crashed = once(group.group, 'crash')
  process.kill(victim, 'SIGWINCH')
  const { workers } = await group.statsWhen((stats) => stats.workers.some(({ ageMs }) => ageMs > 0))
  assert.deepEqual(
    workers.map(({ pid, ageMs }) => [pid === victim, ageMs > 0]),
    [
      [true, true],
      [false, false],
    ],
  )
  const client = await group.client()
  assert.equal((await client.exchange(get())).status, 200)
  assert.deepEqual(await patiently(crashed, () => 'the kill'), [1, victim])
  assert.ok(group.log.includes('worker 1 does not answer: its event loop stands still'))
  assert.ok(group.log.includes('worker 1 does not answer and is killed'))
  await group.statsWhen((stats) => stats.workers.length === 2 && stats.workers.every(({ state }) => state === 'ready'))
})

test('a worker that ends at its start fails the start of the group, and nothing is left', async (t) => {
  using module = new WorkerModule({ before: "if (process.argv[2] === '2') process.exit(7)" })
  const group = new GroupUnderTest(t, { module: module.path })
  await rejectsWith(group.group.listen('127.0.0.1:0'), /^worker 2 ended at its start: exit code 7$/)
  await patiently(group.group.ended, () => 'the group to end')
  assert.deepEqual((await group.group.stats()).workers, [])
})

test('a worker that says why it cannot start is quoted', async (t) => {
  using module = new WorkerModule({ serving: "await member.fail(new Error('the sky is falling')); process.exit(1)" })
  const group = new GroupUnderTest(t, { module: module.path })
  await rejectsWith(group.group.listen('127.0.0.1:0'), /^the sky is falling$/)
})

test('a worker that does not become ready is not waited for', async (t) => {
  using module = new WorkerModule({ before: 'setInterval(() => {}, 1_000); await new Promise(() => {})' })
  const group = new GroupUnderTest(t, { module: module.path, supervision: { start: 300 } })
  await rejectsWith(group.group.listen('127.0.0.1:0'), /^worker [12] was not ready after 300ms$/)
})

test('a reload whose new worker does not start leaves the old ones in peace', async (t) => {
  using module = new WorkerModule({ before: 'if (isMarked()) process.exit(3)' })
  const group = await GroupUnderTest.start(t, { module: module.path })
  const pids = await group.pids()
  writeFileSync(module.mark, '')
  await rejectsWith(group.group.reload(), /^worker 1 ended at its start: exit code 3$/)
  assert.deepEqual(await group.pids(), pids)
  assert.equal((await (await group.client()).exchange(get())).status, 200)
})

test('when nobody serves and no worker starts any more, the group gives up', async (t) => {
  using module = new WorkerModule({ before: 'if (isMarked()) process.exit(3)' })
  const group = await GroupUnderTest.start(t, { module: module.path, supervision: { restartMin: 1, restartMax: 1 } })
  writeFileSync(module.mark, '')
  for (const pid of await group.pids()) process.kill(pid, 'SIGKILL')
  await rejectsWith(group.group.ended, /^no worker starts any more/)
  await assert.rejects(RawClient.connect(group.address), { code: 'ECONNREFUSED' })
})

test('close() in the middle of a reload ends all', async (t) => {
  const group = await GroupUnderTest.start(t)
  const reloading = group.group.reload()
  const closing = group.group.close()
  await assert.rejects(reloading, ProxyError)
  await patiently(closing, () => 'close() to resolve')
  await assert.rejects(group.group.reload(), { code: 'ERR_EPROXY_STATE' })
  await assert.rejects(group.group.listen('127.0.0.1:0'), { code: 'ERR_EPROXY_STATE' })
})

test('close() lets running exchanges of every worker finish', async (t) => {
  const origin = await ScriptedOrigin.start(t, silent)
  const group = await GroupUnderTest.start(t, { upstreams: [origin.address] })
  const clients = [...(await group.clientsOfAll()).values()]
  for (const client of clients) client.send(get())
  await until(
    () => origin.heads.length === clients.length,
    () => 'the requests',
  )
  const closing = group.group.close()
  // Who answers has had the order before the question.
  await group.statsWhen(({ workers }) => workers.every(({ state, ageMs }) => state === 'draining' && ageMs === 0))
  for (const connection of origin.connections) connection.respond(200, 'done')
  for (const client of clients) {
    const response = await client.response()
    assert.equal(response.body, 'done')
    assert.equal(response.field('Connection'), 'close')
  }
  await patiently(closing, () => 'close() to resolve')
})

test('limits of the group are divided: two workers with one connection to the server each', async (t) => {
  const origin = await ScriptedOrigin.start(t, silent)
  const group = await GroupUnderTest.start(t, { upstreams: [origin.address], pool: { connections: 2 } })
  const clients = await group.clientsOfAll()
  const [first, ...others] = [...clients.values()]
  first!.send(get('/1'))
  for (const other of others) other.send(get('/2'))
  await until(
    () => origin.heads.length === 2,
    () => 'both requests',
  )
  // Whoever has it now has had its share.
  const third = await group.client()
  third.send(get('/3'))
  await group.statsWhen(({ total }) => Object.values(total.upstreams).reduce((sum, { waiting }) => sum + waiting, 0) === 1)
  assert.equal(origin.connections.length, 2)
})

test('a worker finds loops through any other', async (t) => {
  const group = await GroupUnderTest.start(t, { via: 'edge' })
  for (const client of (await group.clientsOfAll()).values())
    assert.equal((await client.exchange(get('/', 'Via: 1.1 edge\r\n'))).status, 508)
})

test('a group is started once, and only with options that make sense', async (t) => {
  const group = new GroupUnderTest(t, { workers: 1 })
  assert.throws(() => new GroupUnderTest(t, { workers: 0 }), { code: 'ERR_EPROXY_OPTION' })
  assert.throws(() => new GroupUnderTest(t, { supervision: { hang: 1 } }), { code: 'ERR_EPROXY_OPTION' })
  assert.equal(group.group.workers, 1)
  await group.group.listen('127.0.0.1:0')
  await assert.rejects(group.group.listen('127.0.0.1:0'), { code: 'ERR_EPROXY_STATE' })
})

async function rejectsWith(promise: Promise<unknown>, message: RegExp): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof ProxyError)
    assert.equal(error.code, 'ERR_EPROXY_WORKER')
    assert.match(error.message, message)
    return true
  })
}

/** Clients of every kind that send requests without a pause: kept alive, one connection for each request, with and without a body. */
class Load {
  requests = 0
  readonly failures: string[] = []
  readonly #address: string
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 8 })
  #isStopping = false
  readonly #running: readonly Promise<void>[]

  constructor(address: string) {
    this.#address = address
    this.#running = Array.from({ length: 12 }, (_value, index) => this.#run(index))
  }

  async stop(): Promise<void> {
    this.#isStopping = true
    await patiently(Promise.all(this.#running), () => 'the clients to finish')
    this.#agent.destroy()
  }

  async #run(client: number): Promise<void> {
    for (let index = 0; !this.#isStopping; index++) {
      const body = client % 2 === 0 ? 'x'.repeat(client * 1_000) : ''
      const target = `/${client}/${index}`
      try {
        const answer = await this.#request(target, body, client < 8)
        if (answer !== `200 ${target} ${body.length}`) this.failures.push(answer)
      } catch (error) {
        this.failures.push(`${target}: ${(error as Error).message}`)
      }
      this.requests++
    }
  }

  async #request(path: string, body: string, isKeptAlive: boolean): Promise<string> {
    const [host, port] = this.#address.split(':')
    const request = http.request({ host, port, path, method: body === '' ? 'GET' : 'POST', agent: isKeptAlive ? this.#agent : false })
    request.end(body)
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    let text = ''
    for await (const chunk of response.setEncoding('latin1')) text += chunk
    return `${response.statusCode} ${text}`
  }
}

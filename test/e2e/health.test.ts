/** Checks of servers that may do anything, over real sockets: who is taken out, why, and how one comes back. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HealthOptions } from '../../lib/core/service-options.ts'
import type { Logger, ServerEvent } from '../../lib/index.ts'
import { patienceMs, until } from '../support/patience.ts'
import { ProxyUnderTest } from '../support/proxy-under-test.ts'
import { get } from '../support/raw-client.ts'
import { RefusingAddress } from '../support/refusing-address.ts'
import { ScriptedOrigin, type OriginConnection, type Script } from '../support/scripted-origin.ts'
import { groupOf, routeTo, serviceOf } from '../support/service.ts'
import { socketAccess } from '../support/socket-access.ts'

const health: HealthOptions = {
  kind: 'http',
  path: '/up',
  host: 'health.test',
  intervalMs: 100,
  // Beyond what any test waits for: only what a test does with it ends a check that hangs.
  timeoutMs: 2 * patienceMs,
  rise: 2,
  fall: 2,
  statuses: [[200, 299]],
  body: '',
}

/** Answers requests with its name, and checks as it is told. */
function serving(name: string, onCheck: (connection: OriginConnection) => void): Script {
  return async (connection) => {
    for (;;) {
      const { target } = await connection.request()
      if (target === '/up') onCheck(connection)
      else connection.respond(200, name)
    }
  }
}

/** A logger that keeps its lines. */
function keepLines(lines: string[]): Logger {
  const keep = (fields: object, message = ''): void => void lines.push(`${message} ${JSON.stringify(fields)}`)
  return { trace: keep, debug: keep, info: keep, warn: keep, error: keep, fatal: keep }
}

test('a server whose checks fail gets no requests until they succeed again, and each is told and logged once', async (t) => {
  let isWell = true
  let checks = 0
  const b = await ScriptedOrigin.start(
    t,
    serving('b', (connection) => {
      checks++
      connection.respond(isWell ? 200 : 500, isWell ? 'well' : 'ill')
    }),
  )
  const a = await ScriptedOrigin.start(
    t,
    serving('a', (connection) => connection.respond(204, '')),
  )
  const lines: string[] = []
  const proxy = await ProxyUnderTest.start(t, { logger: keepLines(lines), service: serviceOf({ app: groupOf([a.address, b.address], { health }) }, routeTo('app')) }) // oxfmt-ignore
  const events: ServerEvent[] = []
  proxy.proxy.on('server', (event) => events.push(event))
  const client = await proxy.client()
  const answers = async (): Promise<string> => {
    let bodies = ''
    for (let i = 0; i < 6; i++) bodies += (await client.exchange(get())).body
    return bodies
  }
  await until(
    () => checks > 2,
    () => `checks; there were ${checks}`,
  )
  assert.match(await answers(), /ab|ba/)
  assert.deepEqual(events, [])
  isWell = false
  await until(
    () => events.length > 0,
    () => 'a server to go down',
  )
  assert.deepEqual(events[0], { group: 'app', server: b.address, change: 'down', reason: 'health check: status 500' })
  assert.equal(await answers(), 'aaaaaa')
  assert.equal(proxy.proxy.stats.upstreams[`app/${b.address}`]!.lastCheck!.status, 500)
  isWell = true
  await until(
    () => events.length > 1,
    () => 'a server to come back',
  )
  assert.deepEqual(
    events.map(({ change }) => change),
    ['down', 'up'],
  )
  assert.match(await answers(), /ab|ba/)
  assert.equal(lines.filter((line) => line.startsWith('upstream server')).length, 2, lines.join('\n'))
  assert.match(b.heads[0]!, /^GET \/up HTTP\/1\.1\r\nHost: health\.test\r\n/)
})

test('servers that are silent, stop half way, talk nonsense, reset or refuse are all found out, and only the good one is used', async (t) => {
  const good = await ScriptedOrigin.start(
    t,
    serving('good', (connection) => connection.respond(200, 'well')),
  )
  const bad: string[] = [(await RefusingAddress.hold(t)).address]
  for (const onCheck of [
    () => {},
    (connection: OriginConnection) => connection.send('HTTP/1.1 200 OK\r\nContent-Le'),
    (connection: OriginConnection) => connection.send('SSH-2.0-OpenSSH_9.2\r\n'),
    (connection: OriginConnection) => connection.send(`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(200_000)}`),
    (connection: OriginConnection) => connection.send('HTTP/1.1 200 OK\r\n\r\nno end'),
    (connection: OriginConnection) => connection.reset(),
  ])
    bad.push((await ScriptedOrigin.start(t, serving('bad', onCheck))).address)
  const options = { health: { ...health, timeoutMs: 300, body: 'well' } }
  const service = serviceOf({ app: groupOf([...bad, good.address], options) }, routeTo('app'))
  const proxy = await ProxyUnderTest.start(t, { service })
  const reasons = new Map<string, string>()
  proxy.proxy.on('server', ({ server, change, reason }) => void reasons.set(server, `${change}: ${reason}`))
  await until(
    () => bad.every((address) => proxy.proxy.stats.upstreams[`app/${address}`]!.state === 'down'),
    () => `all bad servers to be found out: ${JSON.stringify([...reasons])}`,
  )
  const expected = [/ECONNREFUSED/, /within 300 ms/, /within 300 ms/, /broke a rule/, /broke a rule/, /within 300 ms/, /ECONNRESET|closed/]
  for (const [index, pattern] of expected.entries()) assert.match(reasons.get(bad[index]!)!, pattern)
  await until(
    () => proxy.proxy.stats.upstreams[`app/${good.address}`]!.state === 'up',
    () => 'the good one to be known as such',
  )
  const client = await proxy.client()
  for (let i = 0; i < 10; i++) assert.equal((await client.exchange(get())).body, 'good')
})

test('a configuration that takes checks away, or a proxy that ends, leaves none behind', async (t) => {
  let checks = 0
  const origin = await ScriptedOrigin.start(
    t,
    serving('a', () => void checks++),
  )
  const serviceWith = (more: { health?: HealthOptions }): ReturnType<typeof serviceOf> =>
    serviceOf({ app: groupOf([origin.address], more) }, routeTo('app'))
  const proxy = await ProxyUnderTest.start(t, { service: serviceWith({ health }) })
  await until(
    () => checks === 1,
    () => 'a check that hangs',
  )
  const connection = await origin.connection()
  proxy.proxy.reload({ ...socketAccess, service: serviceWith({}) })
  await connection.ended()
  assert.equal(proxy.proxy.stats.upstreams[`app/${origin.address}`]!.state, 'up')
  proxy.proxy.reload({ ...socketAccess, service: serviceWith({ health }) })
  await until(
    () => checks === 2,
    () => 'another one',
  )
})

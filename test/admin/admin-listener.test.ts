import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { test, type TestContext } from 'node:test'
import { AdminListener, type AdminListenerOptions } from '../../lib/admin/admin-listener.ts'
import { observeProxy } from '../../lib/admin/subject.ts'
import type { StatusDocument } from '../../lib/admin/status.ts'
import type { LiveEvent } from '../../lib/observe/live-event.ts'
import { askAdmin, EventReader, readMetrics } from '../support/admin-client.ts'
import { NodeOrigin } from '../support/node-origin.ts'
import { until } from '../support/patience.ts'
import { runCommand } from '../support/program.ts'
import { ProxyUnderTest, type StartOptions } from '../support/proxy-under-test.ts'
import { get, RawClient } from '../support/raw-client.ts'
import { TemporaryFolder } from '../support/temporary-folder.ts'

const token = 'a-token-of-some-length'
const bearer = { fields: { authorization: `Bearer ${token}` } } as const

interface Stage {
  readonly front: ProxyUnderTest
  readonly admin: AdminListener
  readonly address: string
  readonly said: string[]
}

async function start(t: TestContext, options: StartOptions = {}, more: Partial<AdminListenerOptions> = {}): Promise<Stage> {
  const front = await ProxyUnderTest.start(t, options)
  const said: string[] = []
  const say = (_fields: object, message: string): void => void said.push(message)
  const logger = { trace: say, debug: say, info: say, warn: say, error: say, fatal: say }
  const admin = new AdminListener({
    address: '127.0.0.1:0',
    token,
    public: false,
    subject: observeProxy(front.proxy),
    version: '1.2.3',
    logger,
    ...more,
  })
  t.after(() => admin.close())
  const { address } = await admin.listen()
  return { front, admin, address, said }
}

test('it is alive and ready while the proxy listens, and not ready when that drains', async (t) => {
  const { address, admin } = await start(t)
  assert.deepEqual([(await askAdmin(address, '/healthz')).status, (await askAdmin(address, '/readyz')).status], [200, 200])
  admin.beginDrain()
  const { status, body } = await askAdmin(address, '/readyz')
  assert.equal(status, 503)
  assert.match(body, /^draining$/m)
  assert.equal((await askAdmin(address, '/healthz')).status, 200)
  assert.equal((await readMetrics(address)).get('eproxy_draining'), 1)
})

test('it is not ready when no server of a group is usable', async (t) => {
  await using origin = await NodeOrigin.start((_request, response) => void response.end('here'))
  const { address } = await start(t, { upstreams: [origin.address] })
  const path = `/servers/default/${encodeURIComponent(origin.address)}`
  assert.equal((await askAdmin(address, `${path}/disable`, { method: 'POST', ...bearer })).status, 200)
  const { status, body } = await askAdmin(address, '/readyz')
  assert.equal(status, 503)
  assert.match(body, /no server of group default is usable/)
  assert.equal((await readMetrics(address)).get(`eproxy_upstream_up{upstream="default",server="${origin.address}"}`), 0)
  assert.equal((await askAdmin(address, `${path}/enable`, { method: 'POST', ...bearer })).status, 200)
  assert.equal((await askAdmin(address, '/readyz')).status, 200)
})

test('a Host that is not ours is not answered, whatever it asks for', async (t) => {
  const { address } = await start(t)
  for (const path of ['/', '/metrics', '/status', '/events'])
    assert.equal((await askAdmin(address, path, { fields: { host: 'rebound.example' } })).status, 421, path)
})

test('nothing is for other sites: no CORS, no frames, no sniffing, no scripts but ours', async (t) => {
  const { address } = await start(t)
  for (const path of ['/', '/metrics', '/status', '/nowhere']) {
    const { fields } = await askAdmin(address, path, { fields: { origin: 'https://elsewhere.example' } })
    assert.equal(fields['access-control-allow-origin'], undefined)
    assert.equal(fields['x-frame-options'], 'DENY')
    assert.equal(fields['x-content-type-options'], 'nosniff')
    assert.match(String(fields['content-security-policy']), /^default-src 'none'/)
    assert.doesNotMatch(String(fields['content-security-policy']), /unsafe/)
  }
  assert.match(String((await askAdmin(address, '/')).fields['content-security-policy']), /script-src 'sha256-[A-Za-z0-9+/=]{44}';/)
})

test('a change without the token is refused and told', async (t) => {
  let drains = 0
  const { address, said } = await start(t, {}, { controls: { drain: () => void drains++ } })
  for (const fields of [{}, { authorization: 'Bearer wrong-token' }, { authorization: `Basic ${token}` }]) {
    const { status, fields: given } = await askAdmin(address, '/drain', { method: 'POST', fields })
    assert.equal(status, 401)
    assert.equal(given['www-authenticate'], 'Bearer')
  }
  assert.equal(drains, 0)
  assert.equal(said.filter((line) => line.includes('without the token')).length, 3)
})

test('without a token nothing can be changed', async (t) => {
  const { address } = await start(t, {}, { token: '', controls: { drain: () => assert.fail('drained') } })
  assert.equal((await askAdmin(address, '/drain', { method: 'POST', fields: { authorization: 'Bearer ' } })).status, 403)
})

test('a control that the program does not have is said to be missing', async (t) => {
  const { address } = await start(t)
  for (const path of ['/reload', '/drain', '/log-level'])
    assert.equal((await askAdmin(address, path, { method: 'POST', ...bearer })).status, 501)
  assert.equal((await askAdmin(address, '/config')).status, 501)
})

test('a reload that fails says why, and the metrics remember', async (t) => {
  let problem = 'line 3: unknown key'
  const { address, said } = await start(
    t,
    {},
    { controls: { reload: () => (problem === '' ? Promise.resolve() : Promise.reject(new Error(problem))) } },
  )
  const bad = await askAdmin(address, '/reload', { method: 'POST', ...bearer })
  assert.deepEqual([bad.status, bad.body], [409, 'line 3: unknown key\n'])
  problem = ''
  assert.equal((await askAdmin(address, '/reload', { method: 'POST', ...bearer })).status, 200)
  assert.equal(said.filter((line) => line === 'admin: reload').length, 2)
})

test('the log level is the body, which is bounded', async (t) => {
  const levels: string[] = []
  const setLogLevel = (level: string): boolean => level === 'debug' && levels.push(level) > 0
  const { address } = await start(t, {}, { controls: { setLogLevel } })
  assert.equal((await askAdmin(address, '/log-level', { method: 'POST', body: 'debug\n', ...bearer })).status, 200)
  assert.equal((await askAdmin(address, '/log-level', { method: 'POST', body: 'loud', ...bearer })).status, 400)
  assert.equal((await askAdmin(address, '/log-level', { method: 'POST', body: 'x'.repeat(2_000), ...bearer })).status, 413)
  assert.deepEqual(levels, ['debug'])
})

test('an order for a server that is not there is not carried out', async (t) => {
  const { address } = await start(t)
  assert.equal((await askAdmin(address, '/servers/default/192.0.2.1:1/drain', { method: 'POST', ...bearer })).status, 404)
})

test('what happens is told while somebody reads, and nobody listens before and after', async (t) => {
  const { front, address } = await start(t)
  assert.equal(front.proxy.listenerCount('failure'), 0)
  {
    using reader = await EventReader.open(address)
    await until(
      () => front.proxy.listenerCount('failure') === 1,
      () => 'somebody to listen',
    )
    const client = await front.client()
    client.send('GET /a HTTP/1.1\r\n\r\n')
    assert.equal((await client.response()).status, 400)
    const lives = (): LiveEvent[] => reader.dataOf('live') as LiveEvent[]
    await until(
      () => lives().length > 0,
      () => 'an event',
    )
    const [event] = lives()
    assert.equal(event?.kind, 'exchange')
    assert.equal(event?.fields['rule'], 'H1-HOST-MISSING')
    assert.equal(event?.fields['termination'], 'PR')
    await until(
      () => (reader.dataOf('status') as StatusDocument[]).some(({ total }) => total.stats.exchangesTotal === 1),
      () => 'figures that have it',
    )
  }
  await until(
    () => front.proxy.listenerCount('failure') === 0,
    () => 'nobody to listen',
  )
})

test('a reader too many is sent away', async (t) => {
  const { address } = await start(t)
  const readers = await Promise.all(Array.from({ length: 32 }, () => EventReader.open(address)))
  assert.equal((await askAdmin(address, '/events')).status, 503)
  for (const reader of readers) reader[Symbol.dispose]()
})

test('the status has what was counted, and who comes later gets the history', async (t) => {
  const { front, address } = await start(t)
  const client = await front.client()
  await client.exchange(get('/'))
  let status: StatusDocument & { history: { total: readonly unknown[] } }
  do status = JSON.parse((await askAdmin(address, '/status')).body) as typeof status
  while (status.total.stats.exchangesTotal === 0)
  assert.equal(status.version, '1.2.3')
  assert.deepEqual(status.total.stats.counters.requests, { '': { '2xx': 1 } })
  assert.deepEqual(status.notReady, [])
  assert.ok(status.history.total.length > 0)
})

test('a socket file is for its owner only', async (t) => {
  using folder = new TemporaryFolder()
  const path = folder.file('admin.sock')
  const { address, admin } = await start(t, {}, { address: `unix:${path}` })
  assert.equal(address, `unix:${path}`)
  assert.equal(statSync(path).mode & 0o777, 0o600)
  assert.equal((await askAdmin(address, '/healthz', { fields: { host: 'whatever.example' } })).status, 200)
  await admin.close()
})

test('a socket file that a killed process left behind is no obstacle, and that of a live one is', async (t) => {
  using folder = new TemporaryFolder()
  const path = folder.file('admin.sock')
  const script = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
  await runCommand(process.execPath, ['-e', script])
  assert.ok(statSync(path).isSocket())
  const { address } = await start(t, {}, { address: `unix:${path}` })
  assert.equal((await askAdmin(address, '/healthz')).status, 200)
  await assert.rejects(start(t, {}, { address }), { code: 'ERR_EPROXY_LISTEN' })
  assert.equal((await askAdmin(address, '/healthz')).status, 200)
})

test('a port that is taken is no riddle', async (t) => {
  const { address } = await start(t)
  await assert.rejects(start(t, {}, { address }), { code: 'ERR_EPROXY_LISTEN', message: /^the admin listener cannot listen on / })
})

test('a request head beyond all measure is refused', async (t) => {
  const { address } = await start(t)
  const { status } = await askAdmin(address, '/metrics', { fields: { 'x-long': 'x'.repeat(20_000) } })
  assert.equal(status, 431)
})

test('a method that no page has is told which it has, and none but POST changes anything', async (t) => {
  const { address } = await start(t, {}, { controls: { drain: () => assert.fail('drained') } })
  for (const method of ['OPTIONS', 'PUT', 'DELETE', 'TRACE', 'PROPFIND', 'GET', 'HEAD']) {
    const { status, fields } = await askAdmin(address, '/drain', { method, ...bearer })
    assert.deepEqual([status, fields.allow], [405, 'POST'], method)
  }
  const { status, fields } = await askAdmin(address, '/metrics', { method: 'OPTIONS' })
  assert.deepEqual([status, fields.allow], [405, 'GET, HEAD'])
  assert.equal((await askAdmin(address, '/metrics', { method: 'HEAD' })).body, '')
  assert.equal((await askAdmin(address, '/healthz')).status, 200)
})

test('a page of another site is not answered, whatever it makes a browser send', async (t) => {
  const { address } = await start(t, {}, { controls: { drain: () => assert.fail('drained') } })
  const elsewhere = { origin: 'https://elsewhere.example', 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'cors' }
  assert.equal((await askAdmin(address, '/events', { fields: elsewhere })).status, 403)
  const form = { ...elsewhere, 'content-type': 'text/plain' }
  assert.equal((await askAdmin(address, '/drain', { method: 'POST', fields: { ...form, ...bearer.fields }, body: 'a=b' })).status, 403)
})

test('where other machines can reach it, who does not know the token learns nothing but that it is alive', async (t) => {
  const everywhere = { address: '0.0.0.0:0', public: true }
  await assert.rejects(start(t, {}, { ...everywhere, token: '' }), { code: 'ERR_EPROXY_OPTION', message: /needs a token/ })
  const { address } = await start(t, {}, { ...everywhere, controls: { drain: () => assert.fail('drained') } })
  const basic = { authorization: `Basic ${Buffer.from(`me:${token}`).toString('base64')}` }
  for (const path of ['/', '/metrics', '/status', '/events', '/config']) {
    const { status, fields } = await askAdmin(address, path)
    assert.deepEqual([status, fields['www-authenticate']], [401, 'Basic realm="eproxy", charset="UTF-8"'], path)
  }
  for (const path of ['/', '/metrics', '/status']) {
    assert.equal((await askAdmin(address, path, bearer)).status, 200, path)
    assert.equal((await askAdmin(address, path, { fields: basic })).status, 200, path)
  }
  for (const path of ['/healthz', '/readyz']) assert.equal((await askAdmin(address, path)).status, 200, path)
  // A browser sends a password that it knows along with whatever a page makes it send.
  assert.equal((await askAdmin(address, '/drain', { method: 'POST', fields: basic })).status, 401)
})

test('who reads events by a token that does not count any more reads no further', async (t) => {
  const everywhere = { address: '0.0.0.0:0', public: true }
  const { admin, address } = await start(t, {}, everywhere)
  using reader = await EventReader.open(address, bearer.fields)
  assert.equal(reader.status, 200)
  ;(await admin.prepare({ ...everywhere, token })).commit()
  assert.equal((await askAdmin(address, '/status', bearer)).status, 200)
  assert.equal(reader.isOver, false)
  ;(await admin.prepare({ ...everywhere, token: 'another-token-of-some-length' })).commit()
  await until(
    () => reader.isOver,
    () => 'the events to end',
  )
  assert.equal((await askAdmin(address, '/events', bearer)).status, 401)
})

test('a client that leaves in its request is no fault', async (t) => {
  const lines: string[] = []
  const note =
    (level: string) =>
    (_fields: object, message: string): void =>
      void lines.push(`${level}: ${message}`)
  const logger = {
    trace: note('trace'),
    debug: note('debug'),
    info: note('info'),
    warn: note('warn'),
    error: note('error'),
    fatal: note('fatal'),
  }
  const { address } = await start(t, {}, { logger })
  const client = await RawClient.connect(address)
  client.send(`POST /log-level HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\nContent-Length: 9\r\n\r\nde`)
  // Its head has been read when the next one is answered.
  assert.equal((await askAdmin(address, '/healthz')).status, 200)
  client.destroy()
  await until(
    () => lines.length > 0,
    () => 'a line about it',
  )
  assert.deepEqual(lines, ['debug: admin listener: a client left in its request'])
})

test('a body that is announced too long is refused before it comes', async (t) => {
  const { address } = await start(t)
  const client = await RawClient.connect(address)
  client.send(`POST /log-level HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\nContent-Length: 1000000000\r\n\r\n`)
  assert.equal((await client.response()).status, 413)
  client.destroy()
})

test('who holds on to all connections keeps nobody else away', async (t) => {
  const { address } = await start(t)
  using reader = await EventReader.open(address)
  const silent = await Promise.all(Array.from({ length: 300 }, () => RawClient.connect(address)))
  for (let ask = 0; ask < 3; ask++) assert.equal((await askAdmin(address, '/healthz')).status, 200)
  const seen = reader.dataOf('status').length
  await until(
    () => reader.dataOf('status').length > seen,
    () => 'the reader that was there before to be told more',
  )
  for (const client of silent) client.destroy()
})

test('who asks on and on without reading is let go, and costs no more than a few answers', async (t) => {
  let questions = 0
  const { front, address } = await start(t)
  const subject = observeProxy(front.proxy)
  const counted = { ...subject, stats: () => (questions++, subject.stats()) }
  const { address: other } = await start(t, {}, { subject: counted })
  assert.notEqual(address, other)
  const client = await RawClient.connect(other)
  client.send('GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(500))
  await client.closed()
  assert.ok(questions < 50, String(questions))
  assert.equal((await askAdmin(other, '/healthz')).status, 200)
})

/** listen() and the options: what is refused, with which code, and that nothing is left open by a call that failed. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import test from 'node:test'
import { createProxy, limitTable, poolTable, ProxyError, timeoutTable } from '../../lib/index.ts'
import { patiently } from '../support/patience.ts'
import { ProxyUnderTest } from '../support/proxy-under-test.ts'
import { get, RawClient } from '../support/raw-client.ts'
import { answering, ScriptedOrigin } from '../support/scripted-origin.ts'

const hasCode =
  (code: string, message = /./) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof ProxyError, String(error))
    assert.equal(error.code, code)
    assert.match(error.message, message)
    return true
  }

test('an address that is taken is refused, with the cause', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const proxy = createProxy()
  t.after(() => proxy.destroy())
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`
  await assert.rejects(proxy.listen(address), (error) => {
    hasCode('ERR_EPROXY_LISTEN', /cannot listen on 127\.0\.0\.1:/)(error)
    assert.equal(((error as Error).cause as NodeJS.ErrnoException).code, 'EADDRINUSE')
    return true
  })
  // The proxy itself is none the worse.
  const bound = await proxy.listen('127.0.0.1:0')
  const client = await RawClient.connect(bound.address)
  assert.equal((await client.exchange(get())).status, 200)
  client.destroy()
})

test('an address of another machine is refused', async (t) => {
  const proxy = createProxy()
  t.after(() => proxy.destroy())
  await assert.rejects(proxy.listen('192.0.2.1:0'), hasCode('ERR_EPROXY_LISTEN'))
})

for (const address of [
  '',
  '127.0.0.1',
  '127.0.0.1:',
  ':65536',
  '127.0.0.1:x',
  'http://127.0.0.1:80',
  '::1:80',
  '[::1',
  'unix:',
  'a b:80',
  'user@a:80',
]) {
  test(`${JSON.stringify(address)} is no address to listen on`, async (t) => {
    const proxy = createProxy()
    t.after(() => proxy.destroy())
    await assert.rejects(proxy.listen(address), hasCode('ERR_EPROXY_OPTION'))
  })
}

test('one proxy listens on several sockets', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const heard: string[] = []
  proxy.proxy.on('listening', (address) => heard.push(address))
  const second = await proxy.proxy.listen('127.0.0.1:0')
  assert.deepEqual(heard, [second.address])
  assert.notEqual(second.address, proxy.address)
  for (const address of [proxy.address, second.address]) {
    const client = await RawClient.connect(address)
    assert.equal((await client.exchange(get())).status, 200)
    client.end()
    await client.ended()
  }
  assert.equal(origin.connections.length, 1)
})

test('a signal that has fired abandons listening', async (t) => {
  const proxy = createProxy()
  t.after(() => proxy.destroy())
  await assert.rejects(proxy.listen('127.0.0.1:0', { signal: AbortSignal.abort() }), hasCode('ERR_EPROXY_LISTEN'))
})

test('a signal that fires later closes the proxy', async () => {
  const abort = new AbortController()
  const proxy = createProxy()
  const { address } = await proxy.listen('127.0.0.1:0', { signal: abort.signal })
  const closed = once(proxy, 'close')
  abort.abort()
  await patiently(closed, () => 'the close event')
  await assert.rejects(RawClient.connect(address), { code: 'ECONNREFUSED' })
})

test('listening on every interface answers on loopback', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { listen: ':0', upstreams: [origin.address] })
  const client = await RawClient.connect(`127.0.0.1:${proxy.address.split(':').at(-1)}`)
  t.after(() => client.destroy())
  assert.equal((await client.exchange(get())).status, 200)
})

const refusedOptions: readonly { readonly what: string; readonly options: object; readonly message: RegExp }[] = [
  {
    what: 'an option that does not exist',
    options: { upstream: ['127.0.0.1:80'] },
    message: /^upstream is not an option; there are upstreams,/,
  },
  { what: 'a timeout that does not exist', options: { timeouts: { idle: 1 } }, message: /^timeouts\.idle is not an option/ },
  { what: 'a timeout with the name of a method', options: { timeouts: { toString: 1 } }, message: /^timeouts\.toString is not/ },
  { what: 'a limit that does not exist', options: { limits: { headBytes: 1 } }, message: /^limits\.headBytes is not an option/ },
  { what: 'a pool setting that does not exist', options: { pool: { size: 1 } }, message: /^pool\.size is not an option/ },
  { what: 'a number in quotes', options: { timeouts: { connect: '1000' } }, message: /^timeouts\.connect must be a (?:whole )?number/ },
  { what: 'no number', options: { limits: { minRate: Number.NaN } }, message: /not NaN$/ },
  { what: 'an endless time', options: { timeouts: { connect: Number.POSITIVE_INFINITY } }, message: /not Infinity$/ },
  { what: 'an upstream over TLS', options: { upstreams: ['https://a'] }, message: /TLS/ },
  { what: 'an upstream with a path', options: { upstreams: ['http://a/b'] }, message: /no path/ },
  { what: 'an upstream without a host', options: { upstreams: [':80'] }, message: /host is missing/ },
  { what: 'an upstream with port 0', options: { upstreams: ['a:0'] }, message: /port 0/ },
  { what: 'an upstream that is none', options: { upstreams: ['a b'] }, message: /is not an address/ },
  { what: 'a name for Via with a space', options: { via: 'a b' }, message: /^via must be/ },
  { what: 'a name for Via with a line end', options: { via: 'a\r\nX: y' }, message: /^via must be/ },
  { what: 'a forwarded mode that does not exist', options: { forwarded: 'all' }, message: /^forwarded must be/ },
  { what: 'a way with half-closed clients that does not exist', options: { halfClosedClients: 'x' }, message: /^halfClosedClients must/ },
]

for (const { what, options, message } of refusedOptions) {
  test(`${what} is refused`, () => {
    assert.throws(() => createProxy(options), hasCode('ERR_EPROXY_OPTION', message))
  })
}

test('every number is refused below and above its bounds, and taken at them', () => {
  for (const [place, table] of Object.entries({ timeouts: timeoutTable, limits: limitTable, pool: poolTable })) {
    for (const [name, row] of Object.entries(table)) {
      for (const value of [row.min - 1, row.max + 1]) {
        assert.throws(
          () => createProxy({ [place]: { [name]: value } }),
          hasCode('ERR_EPROXY_OPTION', new RegExp(`^${place}\\.${name} must`)),
        )
      }
      // A place for each of a million connections would be taken at once.
      if (name === 'connections') continue
      for (const value of [row.min, row.max]) {
        const proxy = createProxy({ [place]: { [name]: value } })
        assert.equal((proxy.config[place as 'pool'] as Record<string, number>)[name], value)
        proxy.destroy()
      }
    }
  }
})

test('the effective configuration is complete and frozen', () => {
  const proxy = createProxy({ upstreams: ['http://a:81/', 'b', '[::1]:82', 'unix:/x/y'], timeouts: { connect: 5 } })
  const { config } = proxy
  assert.deepEqual(config.upstreams, [
    { kind: 'tcp', host: 'a', port: 81 },
    { kind: 'tcp', host: 'b', port: 80 },
    { kind: 'tcp', host: '::1', port: 82 },
    { kind: 'unix', path: '/x/y' },
  ])
  assert.equal(config.timeouts.connect, 5)
  assert.equal(config.timeouts.responseHead, timeoutTable.responseHead.default)
  assert.match(config.via, /^eproxy-[0-9a-f]{8}$/)
  for (const part of [config, config.upstreams, config.timeouts, config.limits, config.pool]) assert.ok(Object.isFrozen(part))
  proxy.destroy()
})

test('numbers of bytes and of things are whole', () => {
  for (const options of [{ limits: { requestFields: 1.5 } }, { limits: { requestHeadBytes: 1_000.5 } }, { pool: { connections: 1.5 } }]) {
    assert.throws(() => createProxy(options), hasCode('ERR_EPROXY_OPTION'))
  }
})

/** Another configuration for a running proxy: what begins after it has the new one, what runs goes on, a wrong one changes nothing. */
import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:http'
import { once } from 'node:events'
import { connect, type AddressInfo } from 'node:net'
import { test } from 'node:test'
import { createProxy, type Proxy } from '../../lib/index.ts'
import type { ServiceOptions } from '../../lib/core/service-options.ts'
import { groupOf, listener, routeTo, serviceOf } from '../support/service.ts'
import { socketAccess } from '../support/socket-access.ts'

/** An origin that answers with its name, and switches to another protocol when it is asked to: an echo. */
async function startOrigin(name: string): Promise<{ server: Server; address: string }> {
  const server = createServer((request, response) => response.end(`${name} ${request.headers.host}`))
  server.on('upgrade', (_request, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
    socket.pipe(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { server, address: `127.0.0.1:${(server.address() as AddressInfo).port}` }
}

class Session implements AsyncDisposable {
  readonly origins: Server[] = []
  proxy: Proxy | undefined
  port = 0

  async origin(name: string): Promise<string> {
    const { server, address } = await startOrigin(name)
    this.origins.push(server)
    return address
  }

  async start(service: ServiceOptions): Promise<Proxy> {
    const proxy = createProxy({ service, ...socketAccess })
    this.proxy = proxy
    const { address } = await proxy.listen('127.0.0.1:0')
    this.port = Number(address.split(':')[1])
    return proxy
  }

  /** One connection that stays. */
  async open(): Promise<{ send(text: string): void; until(text: string): Promise<string>; end(): void }> {
    const socket = connect(this.port, '127.0.0.1')
    await once(socket, 'connect')
    let seen = ''
    socket.setEncoding('latin1').on('data', (text: string) => (seen += text))
    return {
      send: (text) => void socket.write(text, 'latin1'),
      until: async (text) => {
        while (!seen.includes(text)) await once(socket, 'data')
        const result = seen
        seen = ''
        return result
      },
      end: () => socket.destroy(),
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.proxy?.destroy()
    await this.proxy?.close()
    for (const server of this.origins) {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    }
  }
}

const get = 'GET / HTTP/1.1\r\nHost: x.example\r\n\r\n'

test('exchanges that begin after a reload go where it says, over the connections that are open', async () => {
  await using session = new Session()
  const [one, two] = [await session.origin('one'), await session.origin('two')]
  const proxy = await session.start(serviceOf({ app: groupOf([one]) }))
  const client = await session.open()
  client.send(get)
  assert.match(await client.until('x.example'), /one x\.example/)
  proxy.reload({ service: serviceOf({ app: groupOf([two]) }), ...socketAccess })
  client.send(get)
  assert.match(await client.until('x.example'), /two x\.example/)
  assert.equal(proxy.stats.connectionsTotal, 1)
  assert.equal(proxy.stats.reloadsTotal, 1)
  client.end()
})

test('a tunnel survives a reload that takes its group away', async () => {
  await using session = new Session()
  const [one, two] = [await session.origin('one'), await session.origin('two')]
  const proxy = await session.start(serviceOf({ old: groupOf([one]) }))
  const client = await session.open()
  client.send('GET / HTTP/1.1\r\nHost: x.example\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
  await client.until('\r\n\r\n')
  proxy.reload({ service: serviceOf({ new: groupOf([two]) }), ...socketAccess })
  client.send('still here')
  assert.equal(await client.until('still here'), 'still here')
  client.end()
})

test('limits of a reload hold for the next request of a connection', async () => {
  await using session = new Session()
  const service = serviceOf({ app: groupOf([await session.origin('one')]) })
  const proxy = await session.start(service)
  const client = await session.open()
  const long = `GET /${'a'.repeat(200)} HTTP/1.1\r\nHost: x.example\r\n\r\n`
  client.send(long)
  assert.match(await client.until('x.example'), / 200 /)
  proxy.reload({ service: { ...service, listeners: [{ ...listener, limits: { requestLineBytes: 100 } }] }, ...socketAccess })
  client.send(long)
  assert.match(await client.until('\r\n\r\n'), /^HTTP\/1\.1 414 /)
  client.end()
})

test('a wrong configuration is refused and changes nothing', async () => {
  await using session = new Session()
  const service = serviceOf({ app: groupOf([await session.origin('one')]) })
  const proxy = await session.start(service)
  for (const wrong of [
    { service: serviceOf({ app: groupOf(['nonsense address']) }) },
    { service: { ...service, listeners: [{ ...listener, timeouts: { requestHead: -1 } }] } },
    { service: serviceOf({ app: groupOf(['127.0.0.1:1']) }, routeTo('nobody')) },
    { service: serviceOf({ app: groupOf(['127.0.0.1:1']) }, routeTo('app', { timeouts: { responseHead: 0.5 } })) },
    { upstreams: ['127.0.0.1:1'] },
    { service, socketAccess: socketAccess.socketAccess === 'streams' ? ('handles' as const) : ('streams' as const) },
  ]) {
    assert.throws(() => proxy.reload({ ...socketAccess, ...wrong }), { code: 'ERR_EPROXY_OPTION' })
  }
  const client = await session.open()
  client.send(get)
  assert.match(await client.until('x.example'), /one x\.example/)
  assert.equal(proxy.stats.reloadsTotal, 0)
  client.end()
})

test('what no route and no group takes is answered 404, and the connection stays', async () => {
  await using session = new Session()
  const [one, two] = [await session.origin('one'), await session.origin('two')]
  await session.start(serviceOf({ one: groupOf([one]), two: groupOf([two]) }))
  const client = await session.open()
  for (let i = 0; i < 2; i++) {
    client.send(get)
    assert.match(await client.until('no route matches'), /^HTTP\/1\.1 404 Not Found\r\n/)
  }
  client.end()
})

test('a group may get more servers by a reload, as far as there are parsers for them', async () => {
  await using session = new Session()
  const groupOfMany = (servers: number): ServiceOptions =>
    serviceOf({ app: groupOf([...Array.from({ length: servers }, (_, i) => `127.0.0.1:${i + 1}`)]) }, routeTo('app'))
  const proxy = await session.start(groupOfMany(1))
  for (const servers of [2, 3, 5]) proxy.reload({ service: groupOfMany(servers), ...socketAccess })
  assert.equal(proxy.stats.reloadsTotal, 3)
  assert.throws(() => proxy.reload({ service: groupOfMany(100), ...socketAccess }), /takes a restart/)
})

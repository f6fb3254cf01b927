import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, statSync } from 'node:fs'
import net from 'node:net'
import test from 'node:test'
import { ProxyError } from '../../lib/index.ts'
import { SharedSocket } from '../../lib/workers/shared-socket.ts'
import { TemporaryFolder } from '../support/temporary-folder.ts'

test('port 0 becomes a port, and the descriptor is one of a socket', async () => {
  const socket = await SharedSocket.bind('127.0.0.1:0')
  assert.match(socket.address, /^127\.0\.0\.1:[1-9][0-9]*$/)
  assert.ok(socket.fd > 2)
  socket.close()
})

test('no host means every interface', async () => {
  const socket = await SharedSocket.bind(':0')
  assert.match(socket.address, /^(?:\[::\]|0\.0\.0\.0):[1-9][0-9]*$/)
  socket.close()
})

test('a socket file comes and goes', async () => {
  using folder = new TemporaryFolder()
  const socket = await SharedSocket.bind(`unix:${folder.file('a.sock')}`)
  assert.ok(statSync(folder.file('a.sock')).isSocket())
  socket.close()
  assert.ok(!existsSync(folder.file('a.sock')))
})

test('what cannot be bound is refused with the reason of the system', async () => {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  const cases: [string, string][] = [
    [`127.0.0.1:${port}`, 'EADDRINUSE'],
    ['192.0.2.1:0', 'EADDRNOTAVAIL'],
    ['no-such-host.invalid:0', 'ENOTFOUND'],
  ]
  for (const [address, code] of cases) {
    await assert.rejects(SharedSocket.bind(address), (error) => {
      assert.ok(error instanceof ProxyError)
      assert.equal(error.code, 'ERR_EPROXY_LISTEN')
      assert.ok(error.message.startsWith(`cannot listen on ${address}: `))
      // Without a resolver there is no answer to "does it exist", either.
      assert.ok([code, 'EAI_AGAIN'].includes((error.cause as NodeJS.ErrnoException).code ?? ''))
      return true
    })
  }
  server.close()
})

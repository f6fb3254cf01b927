/** The load generator against a server that counts what arrives. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import test from 'node:test'
import { runDrip } from '../../../../bench/e2e/generator/drip.ts'
import { runIdle } from '../../../../bench/e2e/generator/idle.ts'
import { runRate } from '../../../../bench/e2e/generator/rate.ts'

const request = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
const body = 'Hello, bench!'
const answer = (status: string): string => `HTTP/1.1 ${status}\r\nContent-Length: ${body.length}\r\n\r\n${body}`

/** Answers each head that is complete, when and as `reply` does. */
class HeadServer {
  readonly heads: string[] = []
  readonly reads: number[] = []
  readonly sockets = new Set<Socket>()
  readonly #server: Server

  private constructor(reply: (socket: Socket, index: number) => void) {
    this.#server = createServer({ noDelay: true }, (socket) => {
      this.sockets.add(socket)
      let head = ''
      socket.on('data', (bytes: Buffer) => {
        this.reads.push(bytes.length)
        head += bytes.toString('latin1')
        if (!head.endsWith('\r\n\r\n')) return
        this.heads.push(head)
        head = ''
        reply(socket, this.heads.length - 1)
      })
      socket.on('error', () => {})
      socket.on('close', () => this.sockets.delete(socket))
    })
  }

  static async listen(reply: (socket: Socket, index: number) => void): Promise<HeadServer> {
    const server = new HeadServer(reply)
    server.#server.listen(0, '127.0.0.1')
    await once(server.#server, 'listening')
    return server
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  async close(): Promise<void> {
    this.#server.close()
    for (const socket of this.sockets) socket.destroy()
    await once(this.#server, 'close')
  }
}

test('a fixed rate sends as many requests as were due, and an answer in pieces is one answer', async () => {
  const server = await HeadServer.listen((socket) => {
    const text = answer('200 OK')
    socket.write(text.slice(0, -5))
    setImmediate(() => socket.write(text.slice(-5)))
  })
  const plan = { kind: 'rate', port: server.port, request, answerEnd: body, connections: 4, requestsPerSecond: 500 } as const
  const result = await runRate({ ...plan, warmupSeconds: 0.2, seconds: 0.4 })
  assert.equal(server.heads.length, 300)
  assert(server.heads.every((head) => head === request))
  assert.equal(result.errors, 0)
  assert.equal(result.requests, 200)
  await server.close()
})

test('a pause of the server counts for every request that was due in it', async () => {
  let held: Socket[] | null = []
  const server = await HeadServer.listen((socket, index) => {
    if (held === null) return void socket.write(answer('200 OK'))
    held.push(socket)
    // All connections wait for an answer, and requests for a connection.
    if (held.length < 2) return
    assert.equal(index, 1)
    const waiting = held
    setTimeout(() => {
      held = null
      for (const one of waiting) one.write(answer('200 OK'))
    }, 300)
  })
  const plan = { kind: 'rate', port: server.port, request, answerEnd: body, connections: 2, requestsPerSecond: 100 } as const
  const result = await runRate({ ...plan, warmupSeconds: 0, seconds: 0.6 })
  assert.equal(result.requests, 60)
  assert.equal(result.errors, 0)
  // 30 of 60 were due in the pause: a client that waits for its answer before it looks at the clock would have seen two of them.
  assert(result.maxMicros >= 290_000, `max ${result.maxMicros}`)
  assert(result.p99Micros >= 250_000, `p99 ${result.p99Micros}`)
  await server.close()
})

test('a wrong status and a lost connection are errors', async () => {
  const server = await HeadServer.listen((socket, index) => {
    if (index === 0) socket.write(answer('503 Service Unavailable'))
    else if (index === 1) socket.destroy()
    else socket.write(answer('200 OK'))
  })
  const plan = { kind: 'rate', port: server.port, request, answerEnd: body, connections: 2, requestsPerSecond: 100 } as const
  const result = await runRate({ ...plan, warmupSeconds: 0, seconds: 0.2 })
  assert.equal(result.errors, 2)
  await server.close()
})

test('a drip sends heads of exactly the wanted length, one byte a write', async () => {
  const server = await HeadServer.listen((socket) => void socket.write(answer('200 OK')))
  const plan = { kind: 'drip', port: server.port, answerEnd: body, connections: 2, bytesPerSecond: 4_000, seconds: 0.3 } as const
  for (const headBytes of [256, 450]) {
    server.heads.length = 0
    const result = await runDrip({ ...plan, headBytes })
    assert(result.answers >= 2)
    assert.equal(result.errors, 0)
    assert.equal(result.answers, server.heads.length)
    assert.equal(result.bytes, server.heads.length * headBytes)
    for (const head of server.heads) {
      assert.equal(head.length, headBytes)
      assert.match(head, /^GET \/ HTTP\/1\.1\r\nHost: bench\.example\r\n(?:X-Field-\d+: v+\r\n)+\r\n$/)
    }
  }
  await server.close()
})

test('idle connections have had an answer each and stay open', async () => {
  const server = await HeadServer.listen((socket, index) => {
    if (index === 7) socket.destroy()
    else socket.write(answer('200 OK'))
  })
  const result = await runIdle({ kind: 'idle', port: server.port, request, answerEnd: body, connections: 100 })
  assert.deepEqual(result, { open: 99, errors: 1 })
  assert.equal(server.sockets.size, 99)
  await server.close()
})

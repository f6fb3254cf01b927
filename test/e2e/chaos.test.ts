/**
 * Real sockets, and everybody dies at random: clients and origin connections are cut, ended or destroyed in the middle of whatever they are
 * doing, for EPROXY_CHAOS_SECONDS (10 without it). Clients that live judge every answer. EPROXY_SEED repeats the choices, though not the
 * timing of the kernel.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { test } from 'node:test'
import { createProxy, type ExchangeSummary } from '../../lib/index.ts'
import { fieldOf, ReferenceReader } from '../support/reference-parser.ts'
import { SeededRandom } from '../support/seeded-random.ts'

const seed = Number(process.env['EPROXY_SEED'] ?? 1)
const seconds = Number(process.env['EPROXY_CHAOS_SECONDS'] ?? 10)
const clientsAtOnce = 24

/** A body that belongs to one tag, of a size that follows from the tag. */
function bodyOf(tag: string, bytes: number): string {
  const unit = `${tag};`
  return unit.repeat(Math.ceil(bytes / unit.length)).slice(0, bytes)
}

function kill(socket: net.Socket, random: SeededRandom): void {
  // Node loses a socket that is reset while its end is on the way: no 'close' comes.
  if (socket.writableEnded || socket.destroyed) return void socket.destroy()
  const way = random.pick(['reset', 'destroy', 'end'] as const)
  if (way === 'reset') socket.resetAndDestroy()
  else if (way === 'destroy') socket.destroy()
  else socket.end()
}

/** Answers with the tag that was asked for; dies now and then. */
class ChaoticOrigin {
  readonly server: net.Server
  readonly faults: unknown[] = []
  readonly #random: SeededRandom
  readonly #open = new Set<net.Socket>()
  exchanges = 0

  constructor(random: SeededRandom) {
    this.#random = random
    this.server = net.createServer({ allowHalfOpen: true }, (socket) => this.#serve(socket))
  }

  async listen(): Promise<string> {
    this.server.listen(0, '127.0.0.1')
    await once(this.server, 'listening')
    return `127.0.0.1:${(this.server.address() as net.AddressInfo).port}`
  }

  async close(): Promise<void> {
    this.server.close()
    for (const socket of this.#open) socket.destroy()
    await once(this.server, 'close')
  }

  #serve(socket: net.Socket): void {
    const random = this.#random
    const reader = new ReferenceReader('request')
    let answered = 0
    let bytesToLive = random.chance(0.5) ? random.integer(0, 400_000) : Number.POSITIVE_INFINITY
    this.#open.add(socket)
    socket.on('close', () => this.#open.delete(socket))
    socket.on('error', () => socket.destroy())
    socket.on('end', () => socket.end())
    socket.on('data', (chunk) => {
      try {
        reader.push(chunk.toString('latin1'))
      } catch (error) {
        this.faults.push(error)
        socket.destroy()
        return
      }
      bytesToLive -= chunk.length
      for (; reader.messages[answered]?.complete === true; answered++) {
        const { fields, method, body } = reader.messages[answered]!
        const tag = fieldOf(fields, 'x-tag') ?? ''
        if (body !== bodyOf(tag, body.length) || body.length !== Number(fieldOf(fields, 'x-body') ?? -1))
          this.faults.push(new Error(`request body of ${tag} is not what was sent`))
        const answer = this.#answer(tag, method)
        this.exchanges++
        bytesToLive -= answer.length
        if (bytesToLive < 0) {
          socket.write(answer.slice(0, random.integer(0, answer.length - 1)), 'latin1')
          return kill(socket, random)
        }
        socket.write(answer, 'latin1')
        if (answer.includes('Connection: close')) socket.end()
      }
      if (bytesToLive < 0) kill(socket, random)
    })
  }

  #answer(tag: string, method: string): string {
    const random = this.#random
    const bytes = random.chance(0.15) ? random.integer(10_000, 300_000) : random.integer(0, 2_000)
    const body = bodyOf(tag, bytes)
    const head = `HTTP/1.1 200 OK\r\nX-Tag: ${tag}\r\nX-Body: ${bytes}\r\n`
    const framing = random.pick(['length', 'chunked', 'close'] as const)
    if (method === 'HEAD') return `${head}Content-Length: ${bytes}\r\n\r\n`
    if (framing === 'length') return `${head}Content-Length: ${bytes}\r\n\r\n${body}`
    // Its length is in a field of its own: a client can tell that it was cut.
    if (framing === 'close') return `${head}Connection: close\r\n\r\n${body}`
    const half = bytes >> 1
    const chunks = [body.slice(0, half), body.slice(half)].filter((chunk) => chunk !== '')
    return `${head}Transfer-Encoding: chunked\r\n\r\n${chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('')}0\r\n\r\n`
  }
}

/** One connection: some requests, judged; resolves when the socket is closed. */
async function runClient(name: string, port: number, random: SeededRandom, judged: { whole: number; local: number }): Promise<void> {
  const requests: { tag: string; method: string; text: string }[] = []
  const count = random.integer(1, 6)
  for (let i = 0; i < count; i++) {
    const tag = `${name}-${i}`
    const method = random.pick(['GET', 'GET', 'HEAD', 'POST', 'PUT'])
    const bytes =
      method === 'GET' || method === 'HEAD' ? 0 : random.chance(0.2) ? random.integer(10_000, 300_000) : random.integer(0, 1_000)
    const body = bodyOf(tag, bytes)
    const isChunked = bytes > 0 && random.chance(0.5)
    const head = `${method} /${tag} HTTP/1.1\r\nHost: chaos\r\nX-Tag: ${tag}\r\nX-Body: ${bytes}\r\n`
    const framed = isChunked
      ? `Transfer-Encoding: chunked\r\n\r\n${bytes.toString(16)}\r\n${body}\r\n0\r\n\r\n`
      : bytes > 0
        ? `Content-Length: ${bytes}\r\n\r\n${body}`
        : '\r\n'
    requests.push({ tag, method, text: head + framed })
  }
  const pipelines = random.chance(0.4)
  let bytesToLive = random.chance(0.35) ? random.integer(0, 60_000) : Number.POSITIVE_INFINITY
  const reader = new ReferenceReader('response', (final) => requests[final]?.method)
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  let sent = 0
  let seen = 0
  let finals = 0
  let fault: Error | undefined
  const send = (): void => {
    while (sent < requests.length && (pipelines || sent <= finals)) {
      const { text } = requests[sent++]!
      bytesToLive -= text.length
      if (bytesToLive < 0) {
        socket.write(text.slice(0, random.integer(0, text.length)), 'latin1')
        return kill(socket, random)
      }
      socket.write(text, 'latin1')
    }
  }
  const judge = (): void => {
    for (; reader.messages[seen]?.complete === true; seen++) {
      const { status, fields, body, framing } = reader.messages[seen]!
      const request = requests[finals++]!
      const tag = fieldOf(fields, 'x-tag')
      if (tag === undefined) {
        assert(fieldOf(fields, 'proxy-status') !== undefined && status >= 400, `${request.tag} got a ${status} of unknown origin`)
        judged.local++
        continue
      }
      assert.equal(tag, request.tag, `the answer to ${tag} came for ${request.tag}`)
      if (request.method !== 'HEAD') {
        // A body that ends with its connection may be cut on the way from the origin, and nobody can tell; not so the others.
        assert.equal(body, bodyOf(tag, body.length), `the body for ${tag} is that of another`)
        if (framing === 'length') assert.equal(body.length, Number(fieldOf(fields, 'x-body')), `the body for ${tag} is cut`)
      }
      judged.whole++
    }
  }
  const attempt = (work: () => void): void => {
    try {
      work()
    } catch (error) {
      fault ??= error as Error
      socket.destroy()
    }
  }
  socket.on('connect', send)
  socket.on('data', (chunk) => {
    attempt(() => {
      reader.push(chunk.toString('latin1'))
      judge()
      bytesToLive -= chunk.length
      if (bytesToLive < 0) return kill(socket, random)
      send()
      if (finals === requests.length) socket.end()
    })
  })
  socket.on('end', () => {
    // Inside a message: cut, and to be seen so. Whether by FIN or RST this client cannot tell: libuv takes a RST behind data for an end.
    if (reader.mayEnd) attempt(() => reader.end())
    attempt(judge)
    socket.end()
  })
  socket.on('error', () => socket.destroy())
  await closed
  if (fault !== undefined) throw fault
}

test(
  `through ${seconds} s of random deaths on both sides every answer belongs to its request, and nothing is left behind (seed ${seed})`,
  { timeout: (seconds + 60) * 1_000 },
  async () => {
    const random = new SeededRandom(seed)
    const before = countHandles()
    const origin = new ChaoticOrigin(random)
    const proxy = createProxy({
      upstreams: [await origin.listen()],
      pool: { connections: 16, waiting: 64 },
      timeouts: { linger: 500, queue: 2_000, responseHead: 3_000, keepAlive: 2_000, requestBodyIdle: 3_000, responseBodyIdle: 3_000 },
    })
    const errors: Error[] = []
    const ids = new Set<string>()
    let summaries = 0
    proxy.on('error', (error) => errors.push(error))
    proxy.on('exchange', (summary: ExchangeSummary) => {
      summaries++
      ids.add(summary.id)
    })
    const { address } = await proxy.listen('127.0.0.1:0')
    const port = Number(address.slice(address.lastIndexOf(':') + 1))
    const judged = { whole: 0, local: 0 }
    const until = performance.now() + seconds * 1_000
    let clients = 0
    await Promise.all(
      Array.from({ length: clientsAtOnce }, async () => {
        while (performance.now() < until) await runClient(`k${clients++}`, port, random, judged)
      }),
    )
    await proxy.close({ graceMs: 10_000 })
    await origin.close()

    assert.deepEqual(origin.faults, [], 'what reached the origin was right')
    assert.deepEqual(errors, [])
    assert(judged.whole > 100, `only ${judged.whole} answers were judged`)
    const { connections, parserSlots, deadlines, faultsTotal, exchangesTotal, upstreams } = proxy.stats
    assert.deepEqual({ connections, parserSlots, deadlines, faultsTotal }, { connections: 0, parserSlots: 0, deadlines: 0, faultsTotal: 0 })
    for (const { idle, busy, connecting, waiting } of Object.values(upstreams))
      assert.deepEqual({ idle, busy, connecting, waiting }, { idle: 0, busy: 0, connecting: 0, waiting: 0 })
    assert.equal(exchangesTotal, summaries)
    assert.equal(ids.size, summaries, 'one summary for each exchange')
    // Handles that are closing are gone a few turns of the loop later.
    for (let turns = 0; turns < 1_000 && JSON.stringify(countHandles()) !== JSON.stringify(before); turns++)
      await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(countHandles(), before, 'sockets are left open')
  },
)

/** Sockets and servers that are alive. */
function countHandles(): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const kind of process.getActiveResourcesInfo()) if (/TCP|Pipe.*(?:Server|Connect)/.test(kind)) counts[kind] = (counts[kind] ?? 0) + 1
  return counts
}

/** What a handler is told, by real sockets, driven by their handles and as streams: the two are the same to it. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Listener } from '../../lib/downstream/listener.ts'
import type { ByteSocket, ReadOptions, SocketHandler } from '../../lib/net/byte-socket.ts'
import { BulkBuffers } from '../../lib/net/bulk-buffers.ts'
import { HandleSocket } from '../../lib/net/handle-socket.ts'
import { acceptSocket, connectSocket } from '../../lib/net/sockets.ts'
import { StreamSocket } from '../../lib/net/stream-socket.ts'
import { parseListenAddress } from '../../lib/core/options.ts'

/** Writes down what it is told; `until` waits for it. */
class Recorder implements SocketHandler {
  readonly events: string[] = []
  text = ''
  closeError: Error | undefined
  #waiting: (() => void)[] = []

  onConnect(): void {
    this.#note('connect')
  }
  onData(bytes: Buffer, start: number, end: number): void {
    this.text += bytes.toString('latin1', start, end)
    this.#note('data')
  }
  onEnd(): void {
    this.#note('end')
  }
  onDrain(): void {
    this.#note('drain')
  }
  onClose(error: Error | undefined): void {
    this.closeError = error
    this.#note('close')
  }
  onFault(): void {
    this.#note('fault')
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  async untilEvent(name: string): Promise<void> {
    await this.until(() => this.events.includes(name))
  }

  #note(event: string): void {
    if (event !== 'data' || this.events.at(-1) !== 'data') this.events.push(event)
    for (const wake of this.#waiting.splice(0)) wake()
  }
}

interface Pair extends AsyncDisposable {
  readonly raw: ByteSocket
  readonly recorder: Recorder
  readonly peer: net.Socket
}

function readOptions(): ReadOptions {
  return { buffer: Buffer.alloc(65_536), bulk: new BulkBuffers(), turnBytes: 1_048_576, onFault: (_error, handler) => handler.onFault() }
}

type Path = 'handles' | 'streams'

/** An accepted socket and its peer. */
async function accept(path: Path, where = '127.0.0.1:0'): Promise<Pair> {
  const recorder = new Recorder()
  let take!: (socket: ByteSocket) => void
  const accepted = new Promise<ByteSocket>((resolve) => (take = resolve))
  const listener = new Listener(
    '127.0.0.1:0',
    path === 'handles',
    (source) => take(acceptSocket(source, readOptions(), () => recorder)),
    (error) => assert.fail(error),
  )
  await listener.listen(parseListenAddress(where))
  const { address } = listener
  const peer = address.startsWith('unix:')
    ? net.connect({ path: address.slice(5), allowHalfOpen: true })
    : net.connect({ port: Number(address.split(':')[1]), host: '127.0.0.1', allowHalfOpen: true })
  peer.on('error', () => {})
  const raw = await accepted
  assert(raw instanceof (path === 'handles' ? HandleSocket : StreamSocket), `not driven by ${path}`)
  return {
    raw,
    recorder,
    peer,
    async [Symbol.asyncDispose]() {
      raw.destroy()
      peer.destroy()
      listener.close()
      await recorder.untilEvent('close')
    },
  }
}

for (const path of ['handles', 'streams'] as const) {
  test(`${path}: all bytes come, in order, then the end, and the other direction stays open`, async () => {
    await using pair = await accept(path)
    const { raw, recorder, peer } = pair
    const text = 'abcdefghij'.repeat(50_000)
    peer.end(text, 'latin1')
    await recorder.untilEvent('end')
    assert.equal(recorder.text, text)
    assert.deepEqual(recorder.events, ['data', 'end'])
    const reply = once(peer, 'data')
    raw.write('still here')
    assert.equal(String((await reply)[0]), 'still here')
    raw.end()
    await recorder.untilEvent('close')
    assert.equal(recorder.closeError, undefined)
  })

  test(`${path}: nothing comes while paused, all of it after`, async () => {
    await using pair = await accept(path)
    const { raw, recorder, peer } = pair
    peer.write('one')
    await recorder.untilEvent('data')
    raw.pause()
    peer.end('two')
    // The peer's own bytes have been through the loop when a later echo of ours has: nothing else has come by then.
    const echo = once(peer, 'data')
    raw.write('ping')
    await echo
    assert.equal(recorder.text, 'one')
    raw.resume()
    await recorder.untilEvent('end')
    assert.equal(recorder.text, 'onetwo')
  })

  test(`${path}: a reset by the peer is a close with an error, once`, async () => {
    await using pair = await accept(path)
    const { recorder, peer } = pair
    peer.write('x')
    await recorder.untilEvent('data')
    peer.resetAndDestroy()
    await recorder.untilEvent('close')
    assert.equal((recorder.closeError as NodeJS.ErrnoException).code, 'ECONNRESET')
    assert.deepEqual(recorder.events, ['data', 'close'])
  })

  test(`${path}: a reset right behind data is not taken for an end`, async () => {
    await using pair = await accept(path)
    const { recorder, peer } = pair
    peer.write('half of it', () => peer.resetAndDestroy())
    await recorder.untilEvent('close')
    assert.equal(recorder.events.includes('end'), false, 'what was cut looks whole')
    assert.equal((recorder.closeError as { code?: string } | undefined)?.code, 'ECONNRESET')
  })

  test(`${path}: onDrain follows a write that was not taken at once`, async () => {
    await using pair = await accept(path)
    const { raw, recorder, peer } = pair
    assert.equal(raw.write(Buffer.alloc(16_777_216, 0x61)), false)
    assert(raw.unsentBytes > 0)
    peer.resume()
    await recorder.untilEvent('drain')
    assert.equal(raw.unsentBytes, 0)
  })

  test(`${path}: onDrain follows a small write, too, of which a rest was left`, async () => {
    await using pair = await accept(path)
    const { raw, recorder, peer } = pair
    peer.pause()
    const piece = Buffer.alloc(1_000)
    // The kernel has room for some megabytes.
    for (let written = 0; written < 100_000_000 && raw.write(piece); written += piece.length);
    assert.ok(raw.unsentBytes > 0)
    peer.resume()
    await recorder.untilEvent('drain')
  })

  test(`${path}: onDrain comes also when the end was asked for behind what was written`, async () => {
    await using pair = await accept(path)
    const { raw, recorder, peer } = pair
    raw.write(Buffer.alloc(16_777_216, 0x61))
    raw.end()
    peer.resume()
    await once(peer, 'end')
    await recorder.untilEvent('drain')
    assert.equal(raw.unsentBytes, 0)
  })

  test(`${path}: our reset is seen as one, and loses what the peer did not take`, async () => {
    await using pair = await accept(path)
    const { raw, recorder, peer } = pair
    const cut = once(peer, 'error')
    peer.resume()
    raw.reset()
    assert.equal(((await cut)[0] as NodeJS.ErrnoException).code, 'ECONNRESET')
    await recorder.untilEvent('close')
    assert.deepEqual(recorder.events, ['close'])
  })

  test(`${path}: a socket that does not drain is gone at once when it is reset`, async () => {
    await using pair = await accept(path)
    const { raw, recorder, peer } = pair
    peer.pause()
    raw.write(Buffer.alloc(16_777_216, 0x61))
    raw.end()
    raw.reset()
    await recorder.untilEvent('close')
  })

  test(`${path}: a reset while the end is on its way closes all the same`, async () => {
    await using pair = await accept(path)
    const { raw, recorder } = pair
    raw.end()
    raw.reset()
    await recorder.untilEvent('close')
  })

  test(`${path}: a unix socket, which cannot be reset, is closed instead`, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'eproxy-'))
    try {
      await using pair = await accept(path, `unix:${join(folder, 's')}`)
      const { raw, recorder } = pair
      assert.equal(raw.remote, 'unix')
      raw.reset()
      await recorder.untilEvent('close')
      assert.deepEqual(recorder.events, ['close'])
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  test(`${path}: what a handler throws is told to it, and to nobody else`, async () => {
    await using pair = await accept(path)
    const { raw, recorder, peer } = pair
    recorder.onData = () => {
      throw new Error('a fault of our own')
    }
    peer.write('x')
    await recorder.untilEvent('fault')
    raw.destroy()
    await recorder.untilEvent('close')
    assert.deepEqual(recorder.events, ['fault', 'close'])
  })
}

for (const path of ['handles', 'streams'] as const) {
  test(`${path}: a connection that is refused closes with the error of the system`, async () => {
    const probe = net.createServer().listen(0, '127.0.0.1')
    await once(probe, 'listening')
    const { port } = probe.address() as net.AddressInfo
    probe.close()
    await once(probe, 'close')
    const recorder = new Recorder()
    connectSocket({ kind: 'tcp', host: '127.0.0.1', port }, path === 'handles', readOptions(), () => recorder)
    await recorder.untilEvent('close')
    assert.deepEqual(recorder.events, ['close'])
    assert.equal((recorder.closeError as NodeJS.ErrnoException).code, 'ECONNREFUSED')
  })

  for (const { kind, listen } of [
    { kind: 'IPv4', listen: () => ({ port: 0, host: '127.0.0.1' }) },
    { kind: 'IPv6', listen: () => ({ port: 0, host: '::1' }) },
    { kind: 'unix', listen: (folder: string) => ({ path: join(folder, 'server') }) },
  ]) {
    test(`${path}: a connection to ${kind} stands, carries bytes both ways, and ends when both sides have ended`, async () => {
      const folder = mkdtempSync(join(tmpdir(), 'eproxy-'))
      const server = net.createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket))
      try {
        server.listen(listen(folder))
        await once(server, 'listening')
        const bound = server.address()!
        const recorder = new Recorder()
        const address =
          typeof bound === 'string'
            ? ({ kind: 'unix', path: bound } as const)
            : ({ kind: 'tcp', host: bound.address, port: bound.port } as const)
        const socket = connectSocket(address, path === 'handles', readOptions(), () => recorder)
        await recorder.untilEvent('connect')
        socket.write('one')
        socket.write(Buffer.from('two'))
        socket.end()
        await recorder.untilEvent('close')
        assert.equal(recorder.text, 'onetwo')
        assert.deepEqual(recorder.events, ['connect', 'data', 'end', 'close'])
        assert.equal(recorder.closeError, undefined)
      } finally {
        server.close()
        rmSync(folder, { recursive: true })
      }
    })
  }

  test(`${path}: a connection that is given up while it is made closes once`, async () => {
    const server = net.createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as net.AddressInfo
    const recorder = new Recorder()
    const socket = connectSocket({ kind: 'tcp', host: '127.0.0.1', port }, path === 'handles', readOptions(), () => recorder)
    socket.destroy()
    await recorder.untilEvent('close')
    server.close()
    await once(server, 'close')
    assert.deepEqual(recorder.events, ['close'])
  })
}

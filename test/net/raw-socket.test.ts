/** The one place where Node's sockets are touched: what a handler is told, on both read paths, by real sockets. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { SocketHandler } from '../../lib/net/byte-socket.ts'
import { RawSocket, type ReadOptions } from '../../lib/net/raw-socket.ts'

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
  readonly raw: RawSocket
  readonly recorder: Recorder
  readonly peer: net.Socket
}

function readOptions(): ReadOptions {
  return { buffer: Buffer.alloc(65_536), turnBytes: 1_048_576, onFault: (_error, handler) => handler.onFault() }
}

/** An accepted socket and its peer. `path`: without useUserBuffer the 'data' events are used. */
async function accept(
  path: 'onread' | 'data',
  listen: { port: number; host: string } | { path: string } = { port: 0, host: '127.0.0.1' },
): Promise<Pair> {
  const recorder = new Recorder()
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true })
  server.listen(listen)
  await once(server, 'listening')
  const address = server.address()
  const peer =
    typeof address === 'string'
      ? net.connect({ path: address, allowHalfOpen: true })
      : net.connect({ port: address!.port, host: '127.0.0.1', allowHalfOpen: true })
  peer.on('error', () => {})
  const [accepted] = (await once(server, 'connection')) as [net.Socket & { _handle: { useUserBuffer: unknown } }]
  if (path === 'data') Object.defineProperty(accepted._handle, 'useUserBuffer', { value: undefined })
  const raw = RawSocket.accept(accepted, readOptions(), () => recorder)
  return {
    raw,
    recorder,
    peer,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      raw.destroy()
      peer.destroy()
      server.close()
      await recorder.untilEvent('close')
      await closed
    },
  }
}

for (const path of ['onread', 'data'] as const) {
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
      await using pair = await accept(path, { path: join(folder, 's') })
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

test('a connection that is refused closes with the error of the system', async () => {
  const probe = net.createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as net.AddressInfo
  probe.close()
  await once(probe, 'close')
  const recorder = new Recorder()
  RawSocket.connect({ kind: 'tcp', host: '127.0.0.1', port }, readOptions(), () => recorder)
  await recorder.untilEvent('close')
  assert.deepEqual(recorder.events, ['close'])
  assert.equal((recorder.closeError as NodeJS.ErrnoException).code, 'ECONNREFUSED')
})

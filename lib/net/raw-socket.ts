/**
 * A TCP or unix socket that is read straight into the parser's memory: the `onread` option of net.Socket with one static buffer for all
 * sockets, so that a read allocates nothing and copies nothing. An accepted socket has no such option; its handle is taken over by a
 * socket that has. Where that does not work (no libuv handle inside), the socket is read with 'data' events instead.
 */
import type { Buffer } from 'node:buffer'
import net from 'node:net'
import { formatAddress, type Address } from '../core/options.ts'
import { systemClock } from '../core/timers.ts'
import type { ByteSocket, SocketHandler } from './byte-socket.ts'
import { canWriteDirectly, writeDirectly, type DirectWriter, type StreamHandle } from './direct-write.ts'

interface OwnedSocket extends net.Socket {
  _handle: StreamHandle | null
  owner: RawSocket
}

export interface ReadOptions {
  /** Every read goes here. */
  readonly buffer: Buffer
  /** After so many bytes others get a turn of the event loop. */
  readonly turnBytes: number
  /** Takes the exceptions that a handler throws, and tells the handler. */
  onFault(error: unknown, handler: SocketHandler): void
}

/**
 * With 1, any write that the kernel does not take at once is followed by 'drain'. (A callback for each write would tell as much, and was
 * measured to cost 2 µs a request more.)
 */
const writableHighWaterMark = 1
const tunnelProbeMs = 60_000

export class RawSocket implements ByteSocket, DirectWriter {
  readonly #socket: OwnedSocket
  readonly #read: ReadOptions
  readonly #remote: string
  /** Who is told. May change hands, as when a connection becomes a tunnel. */
  handler: SocketHandler
  #turnBytes = 0
  #paused = false
  #resting = false
  #error: Error | undefined
  /** Where writes go past the stream; null while connecting, after the end, and where that does not work. */
  #handle: StreamHandle | null = null
  /** Writes past the stream of which libuv still has a part. */
  #queuedWrites = 0
  /** The stream has a rest of what was written through it. */
  #isStreamBusy = false
  /** The end is behind bytes that the kernel has not taken yet. */
  #endsWhenDrained = false
  /** The end has come, and was not told yet. */
  #isEnding = false

  /** Takes over a socket that a server has just accepted and not yet read from (`pauseOnConnect`). */
  static accept(accepted: net.Socket, read: ReadOptions, handlerOf: (socket: RawSocket) => SocketHandler): RawSocket {
    const remote = describePeer(accepted)
    const source = accepted as OwnedSocket
    const handle = source._handle
    if (handle === null || typeof handle.useUserBuffer !== 'function') {
      const raw = new RawSocket(source, read, remote, handlerOf)
      source.on('data', onDataEvent)
      // A listener alone does not start a socket that was paused when it was accepted.
      source.resume()
      return raw
    }
    // Emptied before it is destroyed, so that the handle lives on.
    source._handle = null
    accepted.destroy()
    const socket = new net.Socket({
      handle,
      allowHalfOpen: true,
      writableHighWaterMark,
      onread: { buffer: read.buffer, callback: onRead },
    } as net.SocketConstructorOpts)
    const raw = new RawSocket(socket as OwnedSocket, read, remote, handlerOf)
    socket.read(0)
    return raw
  }

  /** Starts to connect; onConnect or onClose follows. `host` of a TCP address must be an IP address. */
  static connect(address: Address, read: ReadOptions, handlerOf: (socket: RawSocket) => SocketHandler): RawSocket {
    const socket = new net.Socket({
      allowHalfOpen: true,
      writableHighWaterMark,
      onread: { buffer: read.buffer, callback: onRead },
    } as net.SocketConstructorOpts)
    const raw = new RawSocket(socket as OwnedSocket, read, formatAddress(address), handlerOf)
    socket.once('connect', onConnect)
    if (address.kind === 'unix') socket.connect({ path: address.path })
    else socket.connect({ host: address.host, port: address.port, noDelay: true })
    return raw
  }

  private constructor(socket: OwnedSocket, read: ReadOptions, remote: string, handlerOf: (socket: RawSocket) => SocketHandler) {
    this.#socket = socket
    this.#read = read
    this.#remote = remote
    socket.owner = this
    if (!socket.connecting) this.#openHandle()
    this.handler = handlerOf(this)
    socket.on('end', onEnd).on('drain', onDrain).on('error', onError).on('close', onClose)
  }

  get remote(): string {
    return this.#remote
  }

  get remoteAddress(): string {
    return this.#remote.replace(/:[0-9]+$/, '').replace(/^\[|\]$/g, '')
  }

  get isEnding(): boolean {
    return this.#isEnding
  }

  get unsentBytes(): number {
    if (!this.#isStreamBusy && this.#queuedWrites === 0) return 0
    // libuv's own queue shrinks with every partial write; the stream's count only when a write is complete.
    return this.#socket.writableLength + (this.#socket._handle?.writeQueueSize ?? 0)
  }

  write(data: string | Buffer): boolean {
    if (this.#endsWhenDrained) return true
    const handle = this.#handle
    if (handle !== null && this.#queuedWrites === 0 && !this.#isStreamBusy) return this.#writeDirectly(handle, data)
    const socket = this.#socket
    // A write after the end is the peer's doing, not a fault: its close is on the way.
    if (!socket.writable) return true
    if (typeof data === 'string') socket.write(data, 'latin1')
    else socket.write(data)
    this.#isStreamBusy = socket.writableLength > 0
    return !this.#isStreamBusy && this.#queuedWrites === 0
  }

  onDirectWriteComplete(error: Error | undefined): void {
    this.#queuedWrites--
    if (error !== undefined) {
      if (!this.#socket.destroyed) this.#socket.destroy(error)
    } else this.#onProgress()
  }

  #onProgress(): void {
    if (this.#isStreamBusy || this.#queuedWrites > 0) return
    if (this.#endsWhenDrained) {
      this.#endsWhenDrained = false
      this.end()
    }
    this.notify('onDrain')
  }

  #writeDirectly(handle: StreamHandle, data: string | Buffer): boolean {
    const rest = writeDirectly(handle, data, this)
    if (rest === undefined) return true
    if (rest === 'queued') {
      this.#queuedWrites++
      return false
    }
    this.#handle = null
    this.#socket.destroy(rest)
    return true
  }

  pause(): void {
    this.#paused = true
    this.#socket.pause()
  }

  resume(): void {
    this.#paused = false
    if (!this.#resting) this.#socket.resume()
  }

  end(): void {
    // A stream that has been ended tells no 'drain', and libuv cannot reset a socket whose shutdown waits behind other bytes.
    if (this.unsentBytes > 0) {
      this.#endsWhenDrained = true
      return
    }
    this.#handle = null
    this.#socket.end()
  }

  destroy(): void {
    this.#handle = null
    this.#socket.destroy()
  }

  reset(): void {
    const socket = this.#socket
    const handle = socket._handle
    this.#handle = null
    // A unix socket knows no RST. And node loses a handle that it resets while its FIN is on the way (EINVAL), with which all is sent anyway.
    if (handle === null || typeof handle.reset !== 'function' || (socket.writableEnded && !socket.writableFinished)) socket.destroy()
    else socket.resetAndDestroy()
  }

  keepAlive(): void {
    this.#socket.setKeepAlive(true, tunnelProbeMs)
  }

  received(bytes: Buffer, start: number, end: number): void {
    systemClock.refresh()
    try {
      this.handler.onData(bytes, start, end)
    } catch (error) {
      this.#read.onFault(error, this.handler)
    }
    this.#turnBytes += end - start
    if (this.#turnBytes >= this.#read.turnBytes) this.#rest()
  }

  /** Lets the event loop go round once before this socket is read again. */
  #rest(): void {
    this.#turnBytes = 0
    if (this.#paused || this.#resting) return
    this.#resting = true
    this.#socket.pause()
    setImmediate(() => {
      this.#resting = false
      if (!this.#paused) this.#socket.resume()
    })
  }

  /** Runs one notification of the handler; what it throws stays with this socket. */
  notify(event: 'onConnect' | 'onEnd' | 'onDrain'): void {
    systemClock.refresh()
    try {
      this.handler[event]()
    } catch (error) {
      this.#read.onFault(error, this.handler)
    }
  }

  drained(): void {
    this.#isStreamBusy = this.#socket.writableLength > 0
    this.#onProgress()
  }

  /**
   * libuv takes a RST that comes right behind data for an end (POLLHUP after a short read). Reading once more tells them apart: an end
   * stays an end, a reset becomes an error. That read happens in the next turn of the loop.
   */
  ended(): void {
    this.#isEnding = true
    this.#socket._handle?.readStart?.()
    setImmediate(() => setImmediate(() => this.#tellEnd()))
  }

  #tellEnd(): void {
    if (!this.#isEnding || this.#error !== undefined) return
    this.#isEnding = false
    this.notify('onEnd')
  }

  failed(error: Error): void {
    this.#error = error
  }

  connected(): void {
    this.#openHandle()
    this.notify('onConnect')
  }

  #openHandle(): void {
    const handle = this.#socket._handle
    this.#handle = handle !== null && canWriteDirectly(handle) ? handle : null
  }

  closed(): void {
    this.#handle = null
    // A socket whose both sides have ended closes before the second look.
    this.#tellEnd()
    systemClock.refresh()
    try {
      this.handler.onClose(this.#error)
    } catch (error) {
      this.#read.onFault(error, this.handler)
    }
  }
}

// One function each for all sockets: node calls them with the socket as `this`.

function onRead(this: OwnedSocket, bytes: number, buffer: Uint8Array): boolean {
  this.owner.received(buffer as Buffer, 0, bytes)
  return true
}

function onDataEvent(this: OwnedSocket, chunk: Buffer): void {
  this.owner.received(chunk, 0, chunk.length)
}

function onConnect(this: OwnedSocket): void {
  this.owner.connected()
}

function onEnd(this: OwnedSocket): void {
  this.owner.ended()
}

function onDrain(this: OwnedSocket): void {
  this.owner.drained()
}

function onError(this: OwnedSocket, error: Error): void {
  this.owner.failed(error)
}

function onClose(this: OwnedSocket): void {
  this.owner.closed()
}

function describePeer(socket: net.Socket): string {
  const { remoteAddress, remotePort } = socket
  if (remoteAddress === undefined || remotePort === undefined) return 'unix'
  const address = remoteAddress.startsWith('::ffff:') && remoteAddress.includes('.') ? remoteAddress.slice(7) : remoteAddress
  return address.includes(':') ? `[${address}]:${remotePort}` : `${address}:${remotePort}`
}

/**
 * A TCP or unix socket driven as a stream, by the public interface of net.Socket alone: 'data' events in, `write` out. The slow twin of
 * `handle-socket.ts`, for a node whose handles are not what is expected there, and for sockets that are no handles.
 */
import type { Buffer } from 'node:buffer'
import net from 'node:net'
import { formatAddress, type Address } from '../core/options.ts'
import { systemClock } from '../core/timers.ts'
import type { ByteSocket, ReadOptions, SocketHandler } from './byte-socket.ts'
import { addressOf, formatPeer } from './stream-handle.ts'

const tunnelProbeMs = 60_000

/** The part of a socket's handle that makes its stream tell a reset from an end. */
interface HandledSocket extends net.Socket {
  readonly _handle: { readStart?(): number; readonly writeQueueSize?: number } | null
}

export class StreamSocket implements ByteSocket {
  readonly #socket: HandledSocket
  readonly #read: ReadOptions
  readonly remote: string
  #remoteAddress = ''
  readonly #handler: SocketHandler
  #turnBytes = 0
  #paused = false
  #resting = false
  #error: Error | undefined
  /** The stream has a rest of what was written. */
  #isBusy = false
  /** Not the stream's 'drain': that comes only after as much as its high-water mark, and a rest of less would be waited for for ever. */
  readonly #onWritten = (error?: Error | null): void => {
    if (error === undefined || error === null) this.#drained()
  }
  /** The end is behind bytes that the kernel has not taken yet. */
  #endsWhenDrained = false
  isEnding = false

  /** Takes over a socket that a server has just accepted and not yet read from (`pauseOnConnect`). */
  static accept(accepted: net.Socket, read: ReadOptions, handlerOf: (socket: ByteSocket) => SocketHandler): StreamSocket {
    const { remoteAddress, remotePort } = accepted
    const remote =
      remoteAddress !== undefined && remotePort !== undefined
        ? formatPeer(remoteAddress, remotePort)
        : accepted.remoteFamily === undefined && accepted.localAddress === undefined
          ? 'unix'
          : 'unknown'
    const socket = new StreamSocket(accepted, read, remote, handlerOf)
    // A listener alone does not start a socket that was paused when it was accepted.
    accepted.resume()
    return socket
  }

  /** Starts to connect; onConnect or onClose follows. `host` of a TCP address must be an IP address. */
  static connect(address: Address, read: ReadOptions, handlerOf: (socket: ByteSocket) => SocketHandler): StreamSocket {
    const socket = new net.Socket({ allowHalfOpen: true })
    const stream = new StreamSocket(socket, read, formatAddress(address), handlerOf)
    socket.once('connect', () => stream.#notify('onConnect'))
    if (address.kind === 'unix') socket.connect({ path: address.path })
    else socket.connect({ host: address.host, port: address.port, noDelay: true })
    return stream
  }

  private constructor(socket: net.Socket, read: ReadOptions, remote: string, handlerOf: (socket: ByteSocket) => SocketHandler) {
    this.#socket = socket as HandledSocket
    this.#read = read
    this.remote = remote
    this.#handler = handlerOf(this)
    socket.on('data', (chunk: Buffer) => this.#received(chunk))
    socket.on('end', () => this.#ended())
    socket.on('error', (error) => (this.#error = error))
    socket.on('close', () => this.#closed())
  }

  get remoteAddress(): string {
    if (this.#remoteAddress === '') this.#remoteAddress = addressOf(this.remote)
    return this.#remoteAddress
  }

  /** Every chunk is a buffer of its own, but part of one that others may have parts of. */
  owns(): boolean {
    return false
  }

  partWith(): void {}

  get unsentBytes(): number {
    if (!this.#isBusy) return 0
    // libuv's own queue shrinks with every partial write; the stream's count only when a write is complete.
    return this.#socket.writableLength + (this.#socket._handle?.writeQueueSize ?? 0)
  }

  write(data: string | Buffer): boolean {
    const socket = this.#socket
    // A write after the end is the peer's doing, not a fault: its close is on the way.
    if (this.#endsWhenDrained || !socket.writable) return true
    if (typeof data === 'string') socket.write(data, 'latin1', this.#onWritten)
    else socket.write(data, this.#onWritten)
    this.#isBusy = socket.writableLength > 0
    return !this.#isBusy
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
    if (this.#isBusy) this.#endsWhenDrained = true
    else this.#socket.end()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  reset(): void {
    const socket = this.#socket
    // A unix socket knows no RST. And node loses a handle that it resets while its FIN is on the way (EINVAL), with which all is sent anyway.
    if (this.remote.startsWith('unix') || socket.connecting || (socket.writableEnded && !socket.writableFinished)) socket.destroy()
    else socket.resetAndDestroy()
  }

  keepAlive(): void {
    this.#socket.setKeepAlive(true, tunnelProbeMs)
  }

  #received(chunk: Buffer): void {
    systemClock.refresh()
    try {
      this.#handler.onData(chunk, 0, chunk.length)
    } catch (error) {
      this.#read.onFault(error, this.#handler)
    }
    this.#turnBytes += chunk.length
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

  #drained(): void {
    if (!this.#isBusy) return
    this.#isBusy = this.#socket.writableLength > 0
    if (this.#isBusy) return
    if (this.#endsWhenDrained) {
      this.#endsWhenDrained = false
      this.end()
    }
    this.#notify('onDrain')
  }

  /**
   * libuv takes a RST that comes right behind data for an end (POLLHUP after a short read). Reading once more tells them apart: an end
   * stays an end, a reset becomes an error. That read happens in the next turn of the loop.
   */
  #ended(): void {
    this.isEnding = true
    this.#socket._handle?.readStart?.()
    setImmediate(() => setImmediate(() => this.#tellEnd()))
  }

  #tellEnd(): void {
    if (!this.isEnding || this.#error !== undefined) return
    this.isEnding = false
    this.#notify('onEnd')
  }

  #closed(): void {
    // A socket whose both sides have ended closes before the second look.
    this.#tellEnd()
    systemClock.refresh()
    try {
      this.#handler.onClose(this.#error)
    } catch (error) {
      this.#read.onFault(error, this.#handler)
    }
  }

  /** Runs one notification of the handler; what it throws stays with this socket. */
  #notify(event: 'onConnect' | 'onEnd' | 'onDrain'): void {
    systemClock.refresh()
    try {
      this.#handler[event]()
    } catch (error) {
      this.#read.onFault(error, this.#handler)
    }
  }
}

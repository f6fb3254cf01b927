/**
 * A TCP or unix socket driven by its libuv handle: read straight into the parser's memory, one static buffer for all sockets, so that a
 * read allocates nothing and copies nothing; written with one call. While it has much to say it reads into a buffer of its own, so that
 * this can be written as it lies. It owns the handle, and tells its handler of everything once.
 */
import type { Buffer } from 'node:buffer'
import { formatAddress, type Address } from '../core/options.ts'
import { systemClock } from '../core/timers.ts'
import type { ByteSocket, ReadOptions, SocketHandler } from './byte-socket.ts'
import { bulkRoomBefore, type BulkBuffer } from './bulk-buffers.ts'
import {
  addressOf,
  type ConnectRequest,
  type HandleReader,
  lastRead,
  peerOf,
  shutDown,
  startConnect,
  type StreamHandle,
  systemError,
  type WriteOwner,
  writeTo,
} from './stream-handle.ts'

/** libuv's codes, on all systems that this file is used on. */
const UV_EOF = -4095

/** A read of so many bytes is the sign of a long body; one of so few, of its end. Between them it goes on as it is. */
const bulkBytesMin = 16_384
const bulkBytesEnd = 4_096

/** Probes of a tunnel: when they begin, how far apart they are, and how many may stay without an answer. */
const probeIdleSeconds = 60
const probeIntervalSeconds = 10
const probes = 6

/** How far Nagle's algorithm has been dealt with. The first write leaves at once in any case; a system call less for a short life. */
const Delay = { NOTHING_SENT: 0, SENT_ONCE: 1, OFF: 2 } as const

export class HandleSocket implements ByteSocket, HandleReader, WriteOwner {
  readonly #read: ReadOptions
  readonly remote: string
  readonly #handler: SocketHandler
  /** null once closing. */
  #handle: StreamHandle | null
  /** Where the next read goes, when not into the shared buffer. */
  #bulk: BulkBuffer | undefined
  #turnBytes = 0
  #paused = false
  #resting = false
  /** The peer's FIN has been read once, and is looked at again. */
  isEnding = false
  #hasEnded = false
  #error: Error | undefined
  #remoteAddress = ''
  /** Writes of which libuv still has a part. */
  #queuedWrites = 0
  /** The end is behind bytes that the kernel has not taken yet. */
  #endsWhenDrained = false
  #finAsked = false
  #finSent = false
  #delay: 0 | 1 | 2 = Delay.NOTHING_SENT

  /** Takes over a connection that was just accepted. */
  static accept(handle: StreamHandle, read: ReadOptions, handlerOf: (socket: ByteSocket) => SocketHandler): HandleSocket {
    const socket = new HandleSocket(handle, read, peerOf(handle), handlerOf)
    socket.#open()
    return socket
  }

  /** Starts to connect; onConnect or onClose follows. `host` of a TCP address must be an IP address. */
  static connect(address: Address, read: ReadOptions, handlerOf: (socket: ByteSocket) => SocketHandler): HandleSocket {
    const { handle, error } = startConnect(address, onConnected)
    const socket = new HandleSocket(handle, read, formatAddress(address), handlerOf)
    if (error !== undefined) socket.#close(error)
    return socket
  }

  private constructor(handle: StreamHandle, read: ReadOptions, remote: string, handlerOf: (socket: ByteSocket) => SocketHandler) {
    this.#handle = handle
    this.#read = read
    this.remote = remote
    handle.reader = this
    this.#handler = handlerOf(this)
  }

  get remoteAddress(): string {
    if (this.#remoteAddress === '') this.#remoteAddress = addressOf(this.remote)
    return this.#remoteAddress
  }

  owns(bytes: Buffer): boolean {
    return this.#bulk?.bytes === bytes
  }

  partWith(data: string | Buffer): void {
    if (typeof data !== 'string' && data.buffer === this.#bulk?.bytes.buffer) this.#bulk = undefined
  }

  get unsentBytes(): number {
    return this.#queuedWrites === 0 ? 0 : (this.#handle?.writeQueueSize ?? 0)
  }

  write(data: string | Buffer): boolean {
    const handle = this.#handle
    // A write after the end is the peer's doing, not a fault: its close is on the way.
    if (handle === null || this.#endsWhenDrained || this.#finAsked) return true
    if (this.#delay !== Delay.OFF) this.#countWrite(handle)
    const rest = writeTo(handle, data, this)
    if (rest === undefined) return this.#queuedWrites === 0
    if (rest === 'queued') {
      this.#queuedWrites++
      return false
    }
    this.#close(rest)
    return true
  }

  pause(): void {
    this.#paused = true
    this.#readStop()
  }

  resume(): void {
    this.#paused = false
    if (!this.#resting) this.#readStart()
  }

  end(): void {
    const handle = this.#handle
    if (handle === null || this.#finAsked) return
    // libuv cannot reset a socket whose shutdown waits behind other bytes.
    if (this.#queuedWrites > 0) {
      this.#endsWhenDrained = true
      return
    }
    this.#finAsked = true
    shutDown(handle, () => {
      this.#finSent = true
      this.#closeIfOver()
    })
  }

  destroy(): void {
    this.#close(undefined)
  }

  reset(): void {
    const handle = this.#handle
    if (handle === null) return
    this.#handle = null
    this.#returnBulk()
    // A unix socket knows no RST. And node loses a handle that it resets while its FIN is on the way (EINVAL), with which all is sent anyway.
    if (handle.reset === undefined || (this.#finAsked && !this.#finSent)) handle.close(onClosed)
    else handle.reset(onClosed)
  }

  keepAlive(): void {
    this.#handle?.setKeepAlive?.(true, probeIdleSeconds, probeIntervalSeconds, probes)
  }

  // HandleReader

  onConnected(status: number): void {
    if (this.#handle === null) return
    if (status !== 0) return this.#close(systemError(status, 'connect', this.remote))
    this.#handle.setNoDelay?.(true)
    this.#delay = Delay.OFF
    this.#open()
    this.#notify('onConnect')
  }

  onRead(): Uint8Array | undefined {
    const bytes = lastRead()
    if (bytes > 0) return this.#received(bytes)
    if (bytes === UV_EOF) this.#ended()
    else if (bytes < 0) this.#close(systemError(bytes, 'read'))
    return undefined
  }

  onHandleClosed(): void {
    systemClock.refresh()
    try {
      this.#handler.onClose(this.#error)
    } catch (error) {
      this.#read.onFault(error, this.#handler)
    }
  }

  // WriteOwner

  onWriteComplete(error: Error | undefined, data: string | Uint8Array): void {
    this.#queuedWrites--
    if (typeof data !== 'string') this.#read.bulk.recycle(data)
    if (this.#handle === null) return
    if (error !== undefined) return this.#close(error)
    if (this.#queuedWrites > 0) return
    if (this.#endsWhenDrained) {
      this.#endsWhenDrained = false
      this.end()
    }
    this.#notify('onDrain')
  }

  #open(): void {
    const handle = this.#handle
    if (handle === null) return
    handle.onread = onRead
    handle.useUserBuffer(this.#read.buffer)
    if (!this.#paused) handle.readStart()
  }

  #countWrite(handle: StreamHandle): void {
    if (this.#delay === Delay.NOTHING_SENT) {
      this.#delay = Delay.SENT_ONCE
      return
    }
    this.#delay = Delay.OFF
    handle.setNoDelay?.(true)
  }

  #readStart(): void {
    if (!this.#hasEnded) this.#handle?.readStart()
  }

  /** While the end is looked at again there is nothing to hold back. */
  #readStop(): void {
    if (!this.isEnding) this.#handle?.readStop()
  }

  /** Returns where the next read goes, when that changes. */
  #received(bytes: number): Uint8Array | undefined {
    systemClock.refresh()
    const bulk = this.#bulk
    try {
      if (bulk === undefined) this.#handler.onData(this.#read.buffer, 0, bytes)
      else this.#handler.onData(bulk.bytes, bulkRoomBefore, bulkRoomBefore + bytes)
    } catch (error) {
      this.#read.onFault(error, this.#handler)
    }
    this.#turnBytes += bytes
    if (this.#turnBytes >= this.#read.turnBytes) this.#rest()
    if (this.#handle === null) return undefined
    if (bulk === undefined) {
      if (bytes < bulkBytesMin) return undefined
      this.#bulk = this.#read.bulk.take()
      return this.#bulk.area
    }
    if (this.#bulk !== undefined && bytes > bulkBytesEnd) return undefined
    this.#returnBulk()
    return this.#read.buffer
  }

  #returnBulk(): void {
    if (this.#bulk !== undefined) this.#read.bulk.give(this.#bulk)
    this.#bulk = undefined
  }

  /** Lets the event loop go round once before this socket is read again. */
  #rest(): void {
    this.#turnBytes = 0
    if (this.#paused || this.#resting) return
    this.#resting = true
    this.#readStop()
    setImmediate(() => {
      this.#resting = false
      if (!this.#paused) this.#readStart()
    })
  }

  /**
   * libuv takes a RST that comes right behind data for an end (POLLHUP after a short read). Reading once more tells them apart: an end
   * stays an end, a reset becomes an error.
   */
  #ended(): void {
    if (!this.isEnding) {
      this.isEnding = true
      this.#handle?.readStart()
      return
    }
    this.isEnding = false
    this.#hasEnded = true
    this.#notify('onEnd')
    this.#closeIfOver()
  }

  /** Both sides have said their last. */
  #closeIfOver(): void {
    if (this.#hasEnded && this.#finSent) this.#close(undefined)
  }

  #close(error: Error | undefined): void {
    const handle = this.#handle
    if (handle === null) return
    this.#handle = null
    this.#error = error
    this.#returnBulk()
    handle.close(onClosed)
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

// One function each for all sockets: node calls them with the handle as `this`.

function onRead(this: StreamHandle): Uint8Array | undefined {
  return this.reader!.onRead()
}

function onClosed(this: StreamHandle): void {
  this.reader!.onHandleClosed()
}

function onConnected(this: ConnectRequest, status: number, handle: StreamHandle): void {
  handle.reader!.onConnected(status)
}

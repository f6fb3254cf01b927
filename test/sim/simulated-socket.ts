/**
 * A connection without a kernel: the proxy holds one end (ByteSocket), an actor of the simulation the other (SimulatedPeer). Nothing
 * happens by itself: the simulation chooses one of `events()` at a time. As with TCP, what the kernel has taken still arrives after a close,
 * what it has not is lost, and closing with unread input resets.
 */
import assert from 'node:assert/strict'
import type { ByteSocket, SocketHandler } from '../../lib/net/byte-socket.ts'

export type SocketEvent = 'connect' | 'refuse' | 'data' | 'end' | 'drain' | 'close' | 'take'

/** The shared buffer that all reads go to, as in the product. */
export class SharedReadBuffer {
  readonly bytes: Buffer
  constructor(bytes: Buffer) {
    this.bytes = bytes
  }
}

export class SimulatedPeer {
  readonly #socket: SimulatedSocket
  /** All that has arrived and was not looked at yet, latin-1. */
  onBytes: (text: string) => void = () => {}
  sawEnd = false
  sawReset = false
  /** Nothing can be sent any more. */
  ended = false
  /** Takes nothing while false. */
  reads = true

  constructor(socket: SimulatedSocket) {
    this.#socket = socket
  }

  get canSend(): boolean {
    return !this.ended && !this.sawReset
  }

  get isOver(): boolean {
    return this.sawReset || (this.sawEnd && this.ended)
  }

  send(text: string): void {
    assert(this.canSend, 'the actor sends after its end')
    this.#socket.fromPeer(text)
  }

  end(): void {
    if (this.ended || this.sawReset) return
    this.ended = true
    this.#socket.endFromPeer()
  }

  reset(): void {
    if (this.sawReset) return
    this.ended = true
    this.sawReset = true
    this.#socket.resetFromPeer()
  }
}

const muchBytes = 48
const roomBefore = 96
const roomBehind = 16

export class SimulatedSocket implements ByteSocket {
  handler!: SocketHandler
  /** An end is told in the same step in which it comes. */
  readonly isEnding = false
  readonly peer: SimulatedPeer
  readonly remote: string
  readonly #windowBytes: number
  /** A buffer of its own, which it reads into after a read that looked like much, and until the proxy parts with it. */
  #own: Buffer | undefined
  #wasMuch = false
  /** Data of writes that were not taken at once: nobody may change it until it is. */
  readonly #kept: { readonly data: Buffer; readonly text: string }[] = []
  readonly #buffer: SharedReadBuffer

  #connected: boolean
  #connectFailure: Error | undefined
  #isIgnored = false
  #paused = false
  /** From the peer, on the way to the proxy. */
  #inbox = ''
  #peerEnded = false
  #endDelivered = false
  /** Written, not with the kernel. */
  #queue = ''
  /** With the kernel, not with the peer. */
  #kernel = ''
  #needsDrain = false
  #endAsked = false
  /** The end is behind what the kernel has. */
  #endSent = false
  #closing = false
  #closeError: Error | undefined
  closed = false
  /** The proxy cut the connection with RST. */
  wasReset = false
  /** Looks at every write of the proxy before it counts. */
  onWrite: (text: string) => void = () => {}
  /** Looks at what is delivered to the proxy. */
  onDelivered: (text: string) => void = () => {}
  onEndDelivered: () => void = () => {}

  constructor(remote: string, windowBytes: number, buffer: SharedReadBuffer, connected: boolean) {
    this.remote = remote
    this.#windowBytes = windowBytes
    this.#buffer = buffer
    this.#connected = connected
    this.peer = new SimulatedPeer(this)
  }

  // ByteSocket

  get remoteAddress(): string {
    return this.remote.replace(/:[0-9]+$/, '')
  }

  owns(bytes: Buffer): boolean {
    return this.#own === bytes
  }

  partWith(data: string | Buffer): void {
    if (typeof data !== 'string' && data.buffer === this.#own?.buffer) this.#own = undefined
  }

  get unsentBytes(): number {
    return this.#queue.length
  }

  get isPaused(): boolean {
    return this.#paused
  }

  get isConnecting(): boolean {
    return !this.#connected && !this.#closing
  }

  write(data: string | Buffer): boolean {
    const text = typeof data === 'string' ? data : data.toString('latin1')
    for (let i = 0; i < text.length; i++) assert(text.charCodeAt(i) < 256, 'a string that is written is not latin-1')
    if (this.#closing || this.#endAsked) return true
    assert(this.#connected, 'the proxy writes before the connection stands')
    this.onWrite(text)
    this.#queue += text
    this.#fill()
    if (this.#queue !== '') {
      this.#needsDrain = true
      if (typeof data !== 'string') this.#kept.push({ data, text })
    }
    return this.#queue === ''
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
  }

  end(): void {
    this.#endAsked = true
    this.#fill()
  }

  destroy(): void {
    if (this.#closing) return
    this.#closing = true
    this.#queue = ''
    if (this.#inbox !== '') this.#cut()
    else this.#endSent = true
  }

  reset(): void {
    if (this.#closing) return
    this.wasReset = true
    this.#closing = true
    this.#queue = ''
    this.#cut()
  }

  keepAlive(): void {}

  // The peer's side

  fromPeer(text: string): void {
    // Data for a socket that is gone is answered with RST.
    if (this.#closing) this.#cut()
    else this.#inbox += text
  }

  endFromPeer(): void {
    this.#peerEnded = true
  }

  resetFromPeer(): void {
    this.#inbox = ''
    this.#queue = ''
    this.#kernel = ''
    if (this.#closing) return
    this.#closing = true
    this.#closeError = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })
  }

  /** The connection is refused. */
  refuse(): void {
    this.#connectFailure = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
  }

  /** The connection is neither accepted nor refused. */
  ignoreConnect(): void {
    this.#isIgnored = true
  }

  /** What can happen now. */
  events(): SocketEvent[] {
    const possible: SocketEvent[] = []
    if (this.closed) {
      if (this.#hasForPeer) possible.push('take')
      return possible
    }
    if (this.#closing) possible.push('close')
    else if (!this.#connected) {
      if (!this.#isIgnored) possible.push(this.#connectFailure === undefined ? 'connect' : 'refuse')
    } else {
      if (!this.#paused && this.#inbox !== '') possible.push('data')
      if (!this.#paused && this.#inbox === '' && this.#peerEnded && !this.#endDelivered) possible.push('end')
      if (this.#needsDrain && this.#queue === '') possible.push('drain')
    }
    if (this.#hasForPeer) possible.push('take')
    return possible
  }

  /** Lets one event happen; `bytesMax` bounds what it moves. */
  happen(event: SocketEvent, bytesMax: number): void {
    switch (event) {
      case 'connect':
        this.#connected = true
        this.handler.onConnect()
        break
      case 'refuse':
        this.#closing = true
        this.#closeError = this.#connectFailure
        break
      case 'data':
        this.#deliver(Math.min(bytesMax, this.#inbox.length, this.#buffer.bytes.length))
        break
      case 'end':
        this.#endDelivered = true
        this.onEndDelivered()
        this.handler.onEnd()
        break
      case 'drain':
        this.#needsDrain = false
        this.handler.onDrain()
        break
      case 'take':
        this.#give(bytesMax)
        break
      case 'close':
        this.closed = true
        this.handler.onClose(this.#closeError)
    }
    // Both sides have ended: the socket closes by itself.
    if (!this.#closing && this.#endSent && this.#endDelivered) this.#closing = true
  }

  get #hasForPeer(): boolean {
    return this.peer.reads && !this.peer.sawReset && (this.#kernel !== '' || (this.#endSent && !this.peer.sawEnd))
  }

  #deliver(bytes: number): void {
    const text = this.#inbox.slice(0, bytes)
    this.#inbox = this.#inbox.slice(bytes)
    const own = this.#wasMuch ? (this.#own ??= Buffer.alloc(roomBefore + this.#buffer.bytes.length + roomBehind)) : undefined
    const buffer = own ?? this.#buffer.bytes
    const start = own === undefined ? 0 : roomBefore
    buffer.write(text, start, 'latin1')
    this.onDelivered(text)
    this.handler.onData(buffer, start, start + bytes)
    this.#wasMuch = bytes >= muchBytes
    // Who kept a view of the borrowed bytes will find these.
    if (own === undefined) buffer.fill(0x15, 0, Math.min(buffer.length, bytes + 16))
    else if (this.#own === own) own.fill(0x15)
  }

  #give(bytesMax: number): void {
    const text = this.#kernel.slice(0, bytesMax)
    this.#kernel = this.#kernel.slice(bytesMax)
    this.#fill()
    if (text !== '') this.peer.onBytes(text)
    if (this.#kernel === '' && this.#endSent && !this.peer.sawEnd) {
      this.peer.sawEnd = true
    }
  }

  #fill(): void {
    for (const { data, text } of this.#kept) assert.equal(data.toString('latin1'), text, 'data was changed that is still being written')
    if (this.#closing) return
    const room = this.#windowBytes - this.#kernel.length
    this.#kernel += this.#queue.slice(0, room)
    this.#queue = this.#queue.slice(room)
    if (this.#queue === '') this.#kept.length = 0
    if (this.#queue === '' && this.#endAsked) this.#endSent = true
  }

  #cut(): void {
    this.#kernel = ''
    this.#inbox = ''
    this.peer.sawReset = true
  }
}

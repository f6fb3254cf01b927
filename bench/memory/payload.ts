/**
 * The bytes of a memory bench and their two ends: a sender that is as fast as its socket takes them, and a receiver that stalls again and
 * again. Each block of the payload carries its number, so a lost, repeated or swapped block changes the checksum. Neither end
 * knows HTTP; neither closes its socket.
 */
import { createHash, randomFillSync, type Hash } from 'node:crypto'
import { once } from 'node:events'
import type { Socket } from 'node:net'

export interface Stalls {
  readonly everyBytes: number
  readonly stallMs: number
}

const blockBytes = 65_536
const template = randomFillSync(Buffer.alloc(blockBytes))

/** Sends `totalBytes` and waits for 'drain' whenever the socket says so; at most one block beyond the high-water mark is queued. */
export class PayloadSender {
  readonly #socket: Socket
  readonly #totalBytes: number
  readonly #hash: Hash = createHash('sha256')
  #queuedBytes = 0

  constructor(socket: Socket, totalBytes: number) {
    this.#socket = socket
    this.#totalBytes = totalBytes
  }

  /** Bytes that the kernel has taken; what still waits in this process does not count. */
  get sentBytes(): number {
    return this.#queuedBytes - this.#socket.writableLength
  }

  /** Returns the checksum. Rejects when the socket fails or closes before the end. */
  async run(): Promise<string> {
    const closed = new AbortController()
    const onClose = (): void => closed.abort(new Error(`the receiving side closed after ${this.#queuedBytes} of ${this.#totalBytes} bytes`))
    this.#socket.once('close', onClose)
    try {
      for (let index = 0; this.#queuedBytes < this.#totalBytes; index += 1) {
        closed.signal.throwIfAborted()
        const block = this.#makeBlock(index)
        this.#hash.update(block)
        this.#queuedBytes += block.length
        if (!this.#socket.write(block)) await once(this.#socket, 'drain', { signal: closed.signal })
      }
    } catch (error) {
      throw closed.signal.aborted ? closed.signal.reason : error
    } finally {
      this.#socket.off('close', onClose)
    }
    return this.#hash.digest('hex')
  }

  /** A fresh buffer for each block: the socket still refers to the last one. */
  #makeBlock(index: number): Buffer {
    const block = Buffer.from(template.subarray(0, Math.min(blockBytes, this.#totalBytes - this.#queuedBytes)))
    if (block.length >= 8) block.writeBigUInt64LE(BigInt(index), 0)
    return block
  }
}

/** Counts and hashes what `take` gives it, and pauses the socket for `stallMs` after every `everyBytes`. */
export class StallingReceiver {
  readonly #socket: Socket
  readonly #stalls: Stalls
  readonly #hash: Hash = createHash('sha256')
  #receivedBytes = 0
  #nextStallAt: number

  constructor(socket: Socket, stalls: Stalls) {
    this.#socket = socket
    this.#stalls = stalls
    this.#nextStallAt = stalls.everyBytes
  }

  get receivedBytes(): number {
    return this.#receivedBytes
  }

  take(chunk: Buffer): void {
    this.#hash.update(chunk)
    this.#receivedBytes += chunk.length
    if (this.#receivedBytes < this.#nextStallAt) return
    this.#nextStallAt += this.#stalls.everyBytes
    this.#socket.pause()
    setTimeout(() => this.#socket.resume(), this.#stalls.stallMs)
  }

  /** Once, when everything has arrived. */
  finish(): string {
    return this.#hash.digest('hex')
  }
}

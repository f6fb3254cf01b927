/**
 * Buffers for much data on its way. A socket that has much to say reads into one of them, and what it read is framed where it lies, with
 * room before and behind it, and written from there; what has to be copied is copied into another. They come back when the kernel has
 * the data, so that a long body leaves no garbage.
 */
import { Buffer } from 'node:buffer'
import { Spares } from '../core/spares.ts'

export const bulkReadBytes = 65_536
/** Room before what was read: for the head of a message, or of a chunk. */
export const bulkRoomBefore = 1_024
/** Room behind it: for the end of a chunk. */
const roomBehind = 64
/** So many are kept when nobody needs them. */
const sparesMax = 64

export interface BulkBuffer {
  readonly bytes: Buffer
  /** The part of `bytes` that is read into. */
  readonly area: Buffer
}

export class BulkBuffers {
  readonly #byMemory = new WeakMap<ArrayBufferLike, BulkBuffer>()
  readonly #spares = new Spares(() => {
    const bytes = Buffer.allocUnsafeSlow(bulkRoomBefore + bulkReadBytes + roomBehind)
    const buffer: BulkBuffer = { bytes, area: bytes.subarray(bulkRoomBefore, bulkRoomBefore + bulkReadBytes) }
    this.#byMemory.set(bytes.buffer, buffer)
    return buffer
  }, sparesMax)

  take(): BulkBuffer {
    return this.#spares.take()
  }

  /** Nobody reads into `buffer` any more, and nothing is written from it. */
  give(buffer: BulkBuffer): void {
    this.#spares.give(buffer)
  }

  /** `data` has been written: where it was a part of one of these buffers, that serves again. */
  recycle(data: Uint8Array): void {
    const buffer = this.#byMemory.get(data.buffer)
    if (buffer !== undefined) this.#spares.give(buffer)
  }
}

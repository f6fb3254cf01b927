/**
 * What one read yields for the other side, gathered until the read has been worked through, so that a head and its first body octets, or
 * all chunks of a read, leave in one write. The octets are ranges of the borrowed read buffer. A batch is encoded before the read's callback
 * returns: copied once, or framed where it lies when the buffer is the reader's alone.
 */
import { Buffer } from 'node:buffer'
import { encodeChunkHead } from '../../native-free-parser/index.ts'
import type { BulkBuffer, BulkBuffers } from '../net/bulk-buffers.ts'

/** Up to this size a string costs less than a buffer: measured, the difference is gone at 4 KiB. */
const defaultStringBytesMax = 2_048

/** Below this size a buffer of node's own pool costs less. */
const lentBytesMin = 4_096

export class WriteBatch {
  readonly #bulk: BulkBuffers
  readonly #stringBytesMax: number
  /** What the last piece lies in, when it was copied into a lent buffer. */
  #lent: BulkBuffer | undefined
  /** Start and end of each range, alternating; the first `#count` entries count. */
  readonly #ranges: number[] = []
  #count = 0
  #bytes = 0

  constructor(bulk: BulkBuffers, stringBytesMax = defaultStringBytesMax) {
    this.#bulk = bulk
    this.#stringBytesMax = stringBytesMax
  }

  get isEmpty(): boolean {
    return this.#bytes === 0
  }

  add(start: number, end: number): void {
    // Ranges that touch are one: the usual body is a single range.
    const count = this.#count
    if (count > 0 && this.#ranges[count - 1] === start) this.#ranges[count - 1] = end
    else {
      this.#ranges[count] = start
      this.#ranges[count + 1] = end
      this.#count = count + 2
    }
    this.#bytes += end - start
  }

  clear(): void {
    this.#count = 0
    this.#bytes = 0
  }

  /**
   * One piece for one write: `head`, then the gathered octets of `source`, as one chunk when `chunked`, then `tail`. Little stays a string
   * (latin-1), which node writes from the stack; '' when there is nothing. Empties the batch.
   *
   * `place` says where the piece may lie. 'here': in `source`, which is changed for it, but not where something may still come to be parsed,
   * behind the octets when there is a tail. 'lent': in a buffer that `onWritten` gives back. 'kept': in one that nobody else has.
   */
  encode(head: string, source: Buffer, chunked: boolean, tail: string, place: 'here' | 'lent' | 'kept'): string | Buffer {
    const bytes = this.#bytes
    if (bytes === 0) return head + tail
    const before = chunked ? head + encodeChunkHead(bytes) : head
    const after = chunked ? '\r\n' + tail : tail
    if (bytes <= this.#stringBytesMax && this.#count === 2) {
      const text = before + source.toString('latin1', this.#ranges[0], this.#ranges[1]) + after
      this.clear()
      return text
    }
    const first = this.#ranges[0]!
    if (
      place === 'here' &&
      tail === '' &&
      first >= before.length &&
      bytes > this.#stringBytesMax &&
      first + bytes + after.length <= source.length
    )
      return this.#encodeInPlace(before, source, after)
    const data = this.#allocate(before.length + bytes + after.length, place)
    let at = before === '' ? 0 : data.write(before, 0, 'latin1')
    const ranges = this.#ranges
    for (let i = 0; i < this.#count; i += 2) {
      const start = ranges[i]!
      const end = ranges[i + 1]!
      data.set(source.subarray(start, end), at)
      at += end - start
    }
    if (after !== '') data.write(after, at, 'latin1')
    this.clear()
    return data
  }

  /** The last piece was written; `flushed`: the kernel has it. Otherwise the socket gives its buffer back. */
  onWritten(flushed: boolean): void {
    if (this.#lent !== undefined && flushed) this.#bulk.give(this.#lent)
    this.#lent = undefined
  }

  #allocate(bytes: number, place: 'here' | 'lent' | 'kept'): Buffer {
    if (place === 'kept' || bytes < lentBytesMin) return Buffer.allocUnsafe(bytes)
    const lent = this.#bulk.take()
    if (bytes > lent.bytes.length) {
      this.#bulk.give(lent)
      return Buffer.allocUnsafe(bytes)
    }
    this.#lent = lent
    return lent.bytes.subarray(0, bytes)
  }

  /** Moves the ranges together behind the first one, and writes what goes before and after around them. */
  #encodeInPlace(before: string, source: Buffer, after: string): Buffer {
    const ranges = this.#ranges
    const start = ranges[0]! - before.length
    let end = ranges[1]!
    for (let i = 2; i < this.#count; i += 2) {
      const from = ranges[i]!
      const to = ranges[i + 1]!
      source.copyWithin(end, from, to)
      end += to - from
    }
    if (before !== '') source.write(before, start, 'latin1')
    if (after !== '') source.write(after, end, 'latin1')
    this.clear()
    return source.subarray(start, end + after.length)
  }
}

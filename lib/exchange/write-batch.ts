/**
 * What one read yields for the other side, gathered until the read has been worked through, so that a head and its first body octets, or
 * all chunks of a read, leave in one write. The octets are ranges of the borrowed read buffer: a batch is encoded, and so copied once,
 * before the read's callback returns.
 */
import { Buffer } from 'node:buffer'
import { encodeChunkHead } from '../../native-free-parser/index.ts'

/** Up to this size a string costs less than a buffer: measured, the difference is gone at 4 KiB. */
const stringBytesMax = 2_048

export class WriteBatch {
  /** Start and end of each range, alternating; the first `#count` entries count. */
  readonly #ranges: number[] = []
  #count = 0
  #bytes = 0

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
   */
  encode(head: string, source: Buffer, chunked: boolean, tail: string): string | Buffer {
    const bytes = this.#bytes
    if (bytes === 0) return head + tail
    const before = chunked ? head + encodeChunkHead(bytes) : head
    const after = chunked ? '\r\n' + tail : tail
    if (bytes <= stringBytesMax && this.#count === 2) {
      const text = before + source.toString('latin1', this.#ranges[0], this.#ranges[1]) + after
      this.clear()
      return text
    }
    const data = Buffer.allocUnsafe(before.length + bytes + after.length)
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
}

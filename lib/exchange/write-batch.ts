/**
 * What one read yields for the other side, gathered until the read has been worked through, so that a head and its first body octets, or
 * all chunks of a read, leave in one write. The octets are ranges of the borrowed read buffer: a batch is encoded, and so copied once,
 * before the read's callback returns.
 */
import { encodeChunkHead } from '../../native-free-parser/index.ts'

export class WriteBatch {
  /** Start and end of each range, alternating. */
  readonly #ranges: number[] = []
  #bytes = 0

  get isEmpty(): boolean {
    return this.#bytes === 0
  }

  add(start: number, end: number): void {
    // Ranges that touch are one: the usual body is a single range.
    const { length } = this.#ranges
    if (length > 0 && this.#ranges[length - 1] === start) this.#ranges[length - 1] = end
    else this.#ranges.push(start, end)
    this.#bytes += end - start
  }

  clear(): void {
    this.#ranges.length = 0
    this.#bytes = 0
  }

  /**
   * One piece for one write: `head`, then the gathered octets of `source`, as one chunk when `chunked`, then `tail`. A head alone stays a
   * string (latin-1); '' when there is nothing. Empties the batch.
   */
  encode(head: string, source: Uint8Array, chunked: boolean, tail: string): string | Buffer {
    const bytes = this.#bytes
    if (bytes === 0) return head + tail
    const before = chunked ? head + encodeChunkHead(bytes) : head
    const after = chunked ? '\r\n' + tail : tail
    const data = Buffer.allocUnsafe(before.length + bytes + after.length)
    let at = before === '' ? 0 : data.write(before, 0, 'latin1')
    const ranges = this.#ranges
    for (let i = 0; i < ranges.length; i += 2) {
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

/**
 * The output of a worker as whole lines. Several processes that write to one pipe tear each other's lines as soon as one is longer than
 * PIPE_BUF, so each worker has a pipe of its own to the primary, which passes on what ends in a newline. What a worker that died left
 * unfinished is dropped.
 */

/** Twice what the longest line of the access log can be: a target of 64 KiB, every octet escaped. */
const lineBytesMax = 1_048_576
const newline = 0x0a

export class LineSplitter {
  readonly #onLine: (line: string) => void
  #rest: Buffer[] = []
  #restBytes = 0

  /** `onLine` gets latin-1 text with its newline. */
  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine
  }

  take(chunk: Buffer): void {
    let start = 0
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      this.#finish(chunk.subarray(start, end + 1))
      start = end + 1
    }
    if (start === chunk.length) return
    const rest = chunk.subarray(start)
    this.#restBytes += rest.length
    // Such a line is none of ours; its end is waited for without keeping it.
    if (this.#restBytes > lineBytesMax) this.#rest = []
    else this.#rest.push(rest)
  }

  #finish(end: Buffer): void {
    const isTooLong = this.#restBytes + end.length > lineBytesMax
    const line = this.#rest.length === 0 ? end : Buffer.concat([...this.#rest, end])
    this.#rest = []
    this.#restBytes = 0
    if (!isTooLong) this.#onLine(line.toString('latin1'))
  }
}

/**
 * The request as it leaves, in pieces: those for which there is no connection yet, and those that were sent and may have to be sent again.
 * It says what to write; where to, and when, is for the exchange to know.
 */
import { encodeTrailers, lastChunk, type FieldEdits, type TrailerSection } from '../../native-free-parser/index.ts'
import type { WriteBatch } from './write-batch.ts'

export class OutgoingRequest {
  /** Encoded and not written yet. */
  #head = ''
  #tail = ''
  #isChunked = false
  /** Of the client's Connection field. */
  #nominated: ReadonlySet<string> = new Set()
  /** What the route changes in its fields. */
  #edits: FieldEdits | null = null
  /** Not yet given to a connection. */
  readonly #waiting: (string | Buffer)[] = []
  /** What was sent, while `canRepeat`: the first piece, which is mostly the only one, and the others. */
  #firstSent: string | Buffer = ''
  readonly #restSent: (string | Buffer)[] = []
  #sentBytes = 0
  #canRepeat = false

  /** `head`: as it leaves. `isIdempotent`: all of it is kept, until that is of no use or too much. */
  begin(head: string, isChunked: boolean, nominated: ReadonlySet<string>, edits: FieldEdits | null, isIdempotent: boolean): void {
    this.#head = head
    this.#tail = ''
    this.#isChunked = isChunked
    this.#nominated = nominated
    this.#edits = edits
    this.#sentBytes = 0
    this.#canRepeat = isIdempotent
  }

  /** RFC 9110 section 9.2.2: an idempotent request, all of which is still at hand. */
  get canRepeat(): boolean {
    return this.#canRepeat
  }

  addTrailers(trailers: TrailerSection): void {
    this.#tail = encodeTrailers(trailers, this.#nominated, this.#edits)
  }

  complete(): void {
    if (this.#isChunked && this.#tail === '') this.#tail = lastChunk
  }

  /** One piece of what has come of it, '' for nothing. `bytes` and `place` as in WriteBatch. */
  encode(batch: WriteBatch, bytes: Buffer, isComplete: boolean, place: 'here' | 'lent' | 'kept'): string | Buffer {
    const data = batch.encode(this.#head, bytes, this.#isChunked, isComplete ? this.#tail : '', place)
    this.#head = ''
    if (isComplete) this.#tail = ''
    return data
  }

  /** There is no connection yet. */
  wait(data: string | Buffer): void {
    this.#waiting.push(data)
  }

  takeWaiting(): (string | Buffer)[] {
    return this.#waiting.splice(0)
  }

  /** Keeps a piece that is being sent, while `canRepeat`: no more than `bytesMax` of all of them. */
  keep(data: string | Buffer, bytesMax: number): void {
    this.#sentBytes += data.length
    if (this.#sentBytes > bytesMax) this.stopKeeping()
    else if (this.#firstSent === '') this.#firstSent = data
    else this.#restSent.push(data)
  }

  /** It will not be sent again. */
  stopKeeping(): void {
    this.#canRepeat = false
    this.#forgetSent()
  }

  /** What was sent waits for another connection. */
  repeat(): void {
    this.#waiting.push(this.#firstSent, ...this.#restSent)
    this.#forgetSent()
    this.#sentBytes = 0
  }

  /** The exchange is over. */
  end(): void {
    if (this.#waiting.length > 0) this.#waiting.length = 0
    this.stopKeeping()
  }

  #forgetSent(): void {
    this.#firstSent = ''
    if (this.#restSent.length > 0) this.#restSent.length = 0
  }
}

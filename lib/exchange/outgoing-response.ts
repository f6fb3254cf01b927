/**
 * The response as it leaves: heads and trailers with what the route changes in them, the framing that the client understands; or an answer of
 * our own in its place. It says what to write, and what has been; what follows for the connections is for the exchange to know.
 */
import { encodeTrailers, lastChunk, type FieldEdits, type ResponseHead, type TrailerSection } from '../../native-free-parser/index.ts'
import { editLocalHead } from '../policy/head-policy.ts'
import { encodeLocalResponse, prefersProblem, type LocalResponse } from '../policy/local-response.ts'
import type { ExchangeFacts } from './facts.ts'
import { forwardFinal, forwardInterim, type ResponseFraming } from './forward-response.ts'
import type { WriteBatch } from './write-batch.ts'

const noNominations: ReadonlySet<string> = new Set()

export class OutgoingResponse {
  /** An interim response was relayed, or is about to be. */
  hasInterim = false
  /** The final head has been handed to the client's connection. */
  hasBegun = false
  // What the route changes in its fields, and adds to them as whole lines.
  #edits: FieldEdits | null = null
  #added = ''
  /** Encoded and not written yet. */
  #head = ''
  #tail = ''
  #framing: ResponseFraming = 'same'

  begin(): void {
    this.hasInterim = false
    this.hasBegun = false
    this.#edits = null
    this.#added = ''
    this.#head = ''
    this.#tail = ''
    this.#framing = 'same'
  }

  changeFields(edits: FieldEdits | null, added: string): void {
    this.#edits = edits
    this.#added = added
  }

  addFields(lines: string): void {
    this.#added += lines
  }

  addInterim(head: ResponseHead, minorVersion: number): void {
    this.hasInterim = true
    // RFC 9110 section 15.2: a 1.0 client knows no interim responses.
    if (minorVersion === 1) this.#head += forwardInterim(head)
  }

  /** `connection`, `via` and `date` as in `forwardFinal`; `cookie` is a whole line, or ''. */
  addFinal(head: ResponseHead, framing: ResponseFraming, connection: string, via: string, date: string, cookie: string): void {
    this.#framing = framing
    this.#head += forwardFinal(head, framing, connection, via, date, this.#edits, this.#added + cookie)
  }

  addTrailers(trailers: TrailerSection): void {
    if (this.#framing === 'chunked') this.#tail = encodeTrailers(trailers, noNominations, this.#edits)
  }

  complete(): void {
    if (this.#framing === 'chunked' && this.#tail === '') this.#tail = lastChunk
  }

  /** One piece of what has come of it, '' for nothing. `bytes` and `place` as in WriteBatch. */
  encode(batch: WriteBatch, bytes: Buffer, isComplete: boolean, place: 'here' | 'lent' | 'kept'): string | Buffer {
    const data = batch.encode(this.#head, bytes, this.#framing === 'chunked', isComplete ? this.#tail : '', place)
    this.#head = ''
    return data
  }

  /** The server is lost: what has come with its last read does not go on. */
  dropUnwritten(): void {
    this.#head = ''
  }

  /** A whole response of our own, for the request of which `facts` tells. */
  encodeAnswer(answer: LocalResponse, { method, minorVersion, rawHead }: ExchangeFacts, closes: boolean, date: string): string {
    this.hasBegun = true
    // A 1.0 client takes a connection for closed that it is not told to keep.
    const fields = !closes && minorVersion === 0 ? answer.fields + 'Connection: keep-alive\r\n' : answer.fields
    const asProblem = answer.status >= 400 && answer.content === undefined && prefersProblem(rawHead)
    const text = encodeLocalResponse({ ...answer, fields }, date, closes, method === 'HEAD', asProblem)
    return this.#edits === null && this.#added === '' ? text : editLocalHead(text, this.#edits, this.#added)
  }
}

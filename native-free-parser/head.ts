/**
 * The head of a message as it came, and what HTTP needs to know of it. `raw` holds every octet as one latin-1 character, from the
 * start line to the empty line; fields are offsets into it, in the order and case in which they arrived. One head object serves all
 * messages of its kind of one engine: it is valid during the callback that hands it over, and a receiver that keeps anything copies
 * it (strings taken from it stay valid).
 */
import { isWhiteSpace } from './characters.ts'
import type { ParseError } from './errors.ts'
import { fieldKind, FieldKind } from './field-kind.ts'
import { spanWidth, type HeadSpans } from './wasm/engine.ts'

/** How a message body ends, RFC 9112 section 6.3. */
export const BodyKind = {
  /** No body. */
  NONE: 'none',
  /** `contentLength` octets. */
  LENGTH: 'length',
  CHUNKED: 'chunked',
  /** Everything until the connection closes; responses only. */
  CLOSE: 'close',
  /** Not HTTP any more: everything that follows belongs to the new protocol. */
  TUNNEL: 'tunnel',
} as const
export type BodyKind = (typeof BodyKind)[keyof typeof BodyKind]

/** What stands in all Connection fields of one head. */
export interface ConnectionOptions {
  close: boolean
  keepAlive: boolean
  upgrade: boolean
  te: boolean
  /** Other options in lower case: names of fields that are for this hop only. */
  nominated: ReadonlySet<string>
}

export const noNominations: ReadonlySet<string> = new Set()

export class MessageHead {
  raw = ''
  /** 0 or 1: HTTP/1.x. */
  minorVersion = 1
  /** Number of fields. */
  count = 0
  /** [nameStart, nameEnd, valueStart, valueEnd] for each field; values without surrounding white space. Only `count` rows are valid. */
  spans: Int32Array = new Int32Array(0)
  /** FieldKind of each field. Only `count` entries are valid. */
  kinds: Uint8Array = new Uint8Array(0)
  /** Bit 1 << FieldKind: there is such a field. */
  #present = 0
  /** Bit 1 << FieldKind: there is more than one. */
  #repeated = 0
  /** Index of the last field of each FieldKind; valid where there is one. */
  readonly lastIndex: Uint16Array = new Uint16Array(32)
  readonly connection: ConnectionOptions = { close: false, keepAlive: false, upgrade: false, te: false, nominated: noNominations }
  bodyKind: BodyKind = BodyKind.NONE
  /** The number in Content-Length, -1 without one. */
  contentLength = -1
  /** Rules that the message breaks and that the parser was told to tolerate: whoever takes the head decides. */
  readonly faults: ParseError[] = []

  name(index: number): string {
    const at = index * spanWidth
    return this.raw.substring(this.spans[at]!, this.spans[at + 1])
  }

  value(index: number): string {
    const at = index * spanWidth
    return this.raw.substring(this.spans[at + 2]!, this.spans[at + 3])
  }

  has(kind: FieldKind): boolean {
    return (this.#present & (1 << kind)) !== 0
  }

  hasSeveral(kind: FieldKind): boolean {
    return (this.#repeated & (1 << kind)) !== 0
  }

  /** Value of the last field of this kind, '' without one. */
  valueOf(kind: FieldKind): string {
    return this.has(kind) ? this.value(this.lastIndex[kind]!) : ''
  }

  /** Name and value of all fields, in order, alternating: a copy that may be kept. */
  toRawFields(): string[] {
    const list: string[] = []
    for (let i = 0; i < this.count; i++) list.push(this.name(i), this.value(i))
    return list
  }

  /** Takes the offsets over, trims values (OWS, RFC 9110 section 5.5) and finds the kind of each field. */
  assign(raw: string, spans: HeadSpans): void {
    const { fields, count } = spans
    this.raw = raw
    this.spans = fields
    this.count = count
    if (this.kinds.length < count) this.kinds = new Uint8Array(Math.max(count, 128))
    this.contentLength = -1
    let present = 0
    let repeated = 0
    for (let i = 0; i < count; i++) {
      const at = i * spanWidth
      let start = fields[at + 2]!
      let end = fields[at + 3]!
      while (start < end && isWhiteSpace(raw.charCodeAt(start))) start++
      while (end > start && isWhiteSpace(raw.charCodeAt(end - 1))) end--
      // llhttp tells of an empty value only behind the line. It stands before the CR.
      if (start === end) start = end = raw.indexOf('\r', fields[at + 1])
      fields[at + 2] = start
      fields[at + 3] = end
      const kind = fieldKind(raw, fields[at]!, fields[at + 1]!)
      this.kinds[i] = kind
      if (kind !== FieldKind.OTHER) {
        const bit = 1 << kind
        repeated |= present & bit
        present |= bit
        this.lastIndex[kind] = i
      }
    }
    this.#present = present
    this.#repeated = repeated
  }
}

/** The method, as one string for all messages where it is a common one: cheap to keep and to compare. */
export function internMethod(raw: string, end: number): string {
  switch (raw.charCodeAt(0)) {
    case 0x47:
      if (end === 3 && raw.startsWith('GET')) return 'GET'
      break
    case 0x48:
      if (end === 4 && raw.startsWith('HEAD')) return 'HEAD'
      break
    case 0x50:
      if (end === 4 && raw.startsWith('POST')) return 'POST'
      if (end === 3 && raw.startsWith('PUT')) return 'PUT'
      break
  }
  return raw.substring(0, end)
}

export class RequestHead extends MessageHead {
  method = ''
  /** Where the target stands in `raw`. */
  targetStart = 0
  targetEnd = 0
  /** For an absolute target: its authority, which replaces Host; '' otherwise. */
  authority = ''
  /** For an absolute target: where its path and query begin in `raw`; equal to targetEnd when both are empty. */
  pathStart = 0
  expectsContinue = false

  get target(): string {
    return this.raw.substring(this.targetStart, this.targetEnd)
  }
}

export class ResponseHead extends MessageHead {
  status = 0
  /** 1xx other than 101: another head follows. */
  get isInterim(): boolean {
    return this.status < 200 && this.status !== 101
  }
}

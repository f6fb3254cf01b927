/**
 * The chunked transfer coding, RFC 9112 section 7.1, octet by octet and without leniency: llhttp has no callback for a chunk's size
 * line, its extensions or the trailer section, so it could neither limit nor judge them. Data is handed on as ranges of the input;
 * extensions are checked, counted and dropped; the trailer section is collected and checked as a whole.
 */
import { hexOctets, quotedOctets, tokenOctets, trimWhiteSpace, valueOctets } from './characters.ts'
import { ParseError } from './errors.ts'
import type { ParserLimits } from './limits.ts'
import type { RuleId } from './rules.ts'

/** In wire order. */
const State = {
  /** First digit of a size. */
  SIZE_FIRST: 0,
  SIZE: 1,
  /** White space after a size, before ";". */
  BEFORE_SEMICOLON: 2,
  /** After ";", white space may come before the name. */
  BEFORE_NAME: 3,
  NAME: 4,
  AFTER_NAME: 5,
  BEFORE_VALUE: 6,
  VALUE: 7,
  QUOTED: 8,
  QUOTED_PAIR: 9,
  /** After a closing quote. */
  QUOTED_END: 10,
  AFTER_VALUE: 11,
  /** LF of the size line. */
  SIZE_LF: 12,
  DATA: 13,
  DATA_CR: 14,
  DATA_LF: 15,
  /** First octet of a trailer line, or CR of the last line. */
  TRAILER_LINE: 16,
  TRAILER_NAME: 17,
  TRAILER_VALUE: 18,
  TRAILER_LF: 19,
  FINAL_LF: 20,
  DONE: 21,
} as const
type State = (typeof State)[keyof typeof State]

const CR = 0x0d
const LF = 0x0a
const HTAB = 0x09
const SP = 0x20
const QUOTE = 0x22
const COLON = 0x3a
const SEMICOLON = 0x3b
const EQUALS = 0x3d
const BACKSLASH = 0x5c

/**
 * Names that must not stand in a trailer section: those that frame, route or control the message, authenticate, or say how to read its
 * content (RFC 9110 section 6.5.1). A recipient that merges trailers into the head would otherwise let them replace what was checked.
 */
const forbiddenTrailers: ReadonlySet<string> = new Set([
  ...['transfer-encoding', 'content-length', 'host', 'trailer', 'te', 'connection', 'keep-alive', 'upgrade', 'proxy-connection'],
  ...[
    'cache-control',
    'expect',
    'max-forwards',
    'pragma',
    'range',
    'if-match',
    'if-none-match',
    'if-modified-since',
    'if-unmodified-since',
    'if-range',
  ],
  ...['authorization', 'proxy-authorization', 'www-authenticate', 'proxy-authenticate', 'cookie', 'set-cookie'],
  ...['content-encoding', 'content-type', 'content-range', 'age', 'date', 'expires', 'location', 'retry-after', 'vary', 'warning'],
  ...['via', 'forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-port', 'x-forwarded-proto', 'x-real-ip', 'http2-settings'],
])

export interface TrailerSection {
  /** Name and value of each field in order, alternating; values without surrounding white space. */
  readonly rawFields: readonly string[]
  /** There was a field that must not be there, and it was dropped: the parser was told to tolerate that, and whoever takes the section decides. */
  readonly fault?: ParseError | undefined
}

/** Who receives the data. `bytes` is borrowed: valid only during the call. */
export interface ChunkDataHandler {
  onBody(bytes: Uint8Array, start: number, end: number): void
}

export class ChunkDecoder {
  readonly #limits: ParserLimits
  readonly #dropsForbidden: boolean
  #state: State = State.SIZE_FIRST
  #digits = 0
  #size = 0
  #extensionBytes = 0
  #messageExtensionBytes = 0
  #trailerText = ''
  #trailerBytes = 0
  #trailerFields = 0

  /** @param dropsForbidden - trailer fields that must not be there are dropped; otherwise the message is refused for them. */
  constructor(limits: ParserLimits, dropsForbidden = false) {
    this.#limits = limits
    this.#dropsForbidden = dropsForbidden
  }

  /** Ready for the next message. */
  reset(): void {
    this.#state = State.SIZE_FIRST
    this.#digits = 0
    this.#size = 0
    this.#extensionBytes = 0
    this.#messageExtensionBytes = 0
    this.#trailerText = ''
    this.#trailerBytes = 0
    this.#trailerFields = 0
  }

  /** Nothing more is decoded, not even of the bytes being decoded at this moment. */
  stop(): void {
    this.#state = State.DONE
  }

  get isDone(): boolean {
    return this.#state === State.DONE
  }

  /** The trailer section once `isDone`; undefined when it was empty. Throws ParseError for a field that must not be there. */
  takeTrailers(messageOffset: number): TrailerSection | undefined {
    if (this.#trailerFields === 0) return undefined
    const rawFields: string[] = []
    let fault: ParseError | undefined
    for (const line of this.#trailerText.split('\r\n').slice(0, this.#trailerFields)) {
      const colon = line.indexOf(':')
      const name = line.slice(0, colon)
      if (forbiddenTrailers.has(name.toLowerCase())) {
        fault ??= new ParseError('H1-TRAILER-FIELD', messageOffset)
        if (!this.#dropsForbidden) throw fault
      } else rawFields.push(name, trimWhiteSpace(line.slice(colon + 1)))
    }
    return { rawFields, fault }
  }

  /**
   * Decodes bytes[start, end). Returns the offset behind the last byte taken: `end`, or less when the message ended before.
   * `messageOffset` is the offset of `start` in the message, for errors.
   */
  decode(bytes: Uint8Array, start: number, end: number, handler: ChunkDataHandler, messageOffset: number): number {
    let at = start
    const origin = messageOffset - start
    while (at < end) {
      if (this.#state === State.DATA) {
        const taken = Math.min(this.#size, end - at)
        this.#size -= taken
        if (this.#size === 0) this.#state = State.DATA_CR
        handler.onBody(bytes, at, at + taken)
        at += taken
      } else if (this.#state >= State.TRAILER_LINE) {
        at = this.#decodeTrailers(bytes, at, end, origin)
        if (this.#state === State.DONE) return at
      } else {
        this.#step(bytes[at]!, at + origin)
        at++
      }
    }
    return at
  }

  /** One octet between the data of two chunks. */
  #step(octet: number, offset: number): void {
    switch (this.#state) {
      case State.SIZE_FIRST:
        if (hexOctets[octet] !== 1) throw new ParseError('H1-CHUNK-SIZE', offset)
        this.#digits = 0
        this.#size = 0
        this.#extensionBytes = 0
        this.#state = State.SIZE
        return this.#addDigit(octet, offset)
      case State.SIZE:
        if (hexOctets[octet] === 1) return this.#addDigit(octet, offset)
        if (octet === CR) return void (this.#state = State.SIZE_LF)
        if (octet === SEMICOLON) this.#state = State.BEFORE_NAME
        else if (octet === SP || octet === HTAB) this.#state = State.BEFORE_SEMICOLON
        else throw new ParseError(octet === LF ? 'H1-BARE-LF' : 'H1-CHUNK-SIZE', offset)
        return this.#countExtension(offset)
      case State.SIZE_LF:
        if (octet !== LF) throw new ParseError('H1-BARE-CR', offset)
        this.#state = this.#size === 0 ? State.TRAILER_LINE : State.DATA
        return
      case State.DATA_CR:
        if (octet !== CR) throw new ParseError('H1-CHUNK-END', offset)
        this.#state = State.DATA_LF
        return
      case State.DATA_LF:
        if (octet !== LF) throw new ParseError('H1-CHUNK-END', offset)
        this.#state = State.SIZE_FIRST
        return
      default:
        if (octet === CR && (this.#state === State.NAME || this.#state === State.VALUE || this.#state === State.QUOTED_END)) {
          this.#state = State.SIZE_LF
          return
        }
        this.#state = nextExtensionState(this.#state, octet)
        if (this.#state === State.DONE) throw new ParseError(extensionFault(octet), offset)
        this.#countExtension(offset)
    }
  }

  #addDigit(octet: number, offset: number): void {
    if (++this.#digits > this.#limits.chunkSizeDigits) throw new ParseError('H1-CHUNK-SIZE-LENGTH', offset)
    // '0'..'9' are 0x30.., letters of either case have the low bits 1..6.
    this.#size = this.#size * 16 + (octet <= 0x39 ? octet - 0x30 : (octet & 7) + 9)
    if (this.#size > Number.MAX_SAFE_INTEGER) throw new ParseError('H1-CHUNK-SIZE-OVERFLOW', offset)
  }

  #countExtension(offset: number): void {
    if (++this.#extensionBytes > this.#limits.chunkExtensionBytes || ++this.#messageExtensionBytes > this.#limits.messageExtensionBytes) {
      throw new ParseError('H1-CHUNK-EXTENSION-LENGTH', offset)
    }
  }

  #decodeTrailers(bytes: Uint8Array, start: number, end: number, origin: number): number {
    // No octet past the limit is looked at: the fault is the same however the input is split.
    const stop = Math.min(end, start + this.#limits.trailerBytes - this.#trailerBytes)
    let at = start
    while (at < stop && this.#state !== State.DONE) {
      this.#stepTrailer(bytes[at]!, at + origin)
      at++
    }
    this.#trailerBytes += at - start
    // The text is only needed when there are fields: the usual empty section costs no string.
    if (this.#trailerFields > 0) this.#trailerText += latin1(bytes, start, at)
    if (this.#state !== State.DONE && at === stop && stop < end) throw new ParseError('H1-TRAILER-LENGTH', at + origin)
    return at
  }

  #stepTrailer(octet: number, offset: number): void {
    switch (this.#state) {
      case State.TRAILER_LINE:
        if (octet === CR) return void (this.#state = State.FINAL_LF)
        if (tokenOctets[octet] !== 1) throw new ParseError(trailerNameFault(octet, true), offset)
        if (++this.#trailerFields > this.#limits.trailerFields) throw new ParseError('H1-TRAILER-COUNT', offset)
        this.#state = State.TRAILER_NAME
        return
      case State.TRAILER_NAME:
        if (octet === COLON) this.#state = State.TRAILER_VALUE
        else if (tokenOctets[octet] !== 1) throw new ParseError(trailerNameFault(octet, false), offset)
        return
      case State.TRAILER_VALUE:
        if (octet === CR) this.#state = State.TRAILER_LF
        else if (valueOctets[octet] !== 1)
          throw new ParseError(octet === LF ? 'H1-BARE-LF' : octet === 0 ? 'H1-NUL' : 'H1-FIELD-VALUE', offset)
        return
      case State.TRAILER_LF:
        if (octet !== LF) throw new ParseError('H1-BARE-CR', offset)
        this.#state = State.TRAILER_LINE
        return
      case State.FINAL_LF:
        if (octet !== LF) throw new ParseError('H1-BARE-CR', offset)
        this.#state = State.DONE
    }
  }
}

/** `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`, RFC 9112 section 7.1.1. DONE: the octet is not allowed here. */
function nextExtensionState(state: State, octet: number): State {
  const isBlank = octet === SP || octet === HTAB
  const isToken = tokenOctets[octet] === 1
  switch (state) {
    case State.BEFORE_SEMICOLON:
      return isBlank ? state : octet === SEMICOLON ? State.BEFORE_NAME : State.DONE
    case State.BEFORE_NAME:
      return isBlank ? state : isToken ? State.NAME : State.DONE
    case State.NAME:
    case State.AFTER_NAME:
      if (isBlank) return State.AFTER_NAME
      if (octet === SEMICOLON) return State.BEFORE_NAME
      if (octet === EQUALS) return State.BEFORE_VALUE
      return isToken && state === State.NAME ? state : State.DONE
    case State.BEFORE_VALUE:
      return isBlank ? state : isToken ? State.VALUE : octet === QUOTE ? State.QUOTED : State.DONE
    case State.QUOTED:
      if (octet === QUOTE) return State.QUOTED_END
      return octet === BACKSLASH ? State.QUOTED_PAIR : quotedOctets[octet] === 1 ? state : State.DONE
    case State.QUOTED_PAIR:
      return valueOctets[octet] === 1 ? State.QUOTED : State.DONE
    case State.VALUE:
      if (isToken) return state
      return octet === SEMICOLON ? State.BEFORE_NAME : isBlank ? State.AFTER_VALUE : State.DONE
    case State.QUOTED_END:
    case State.AFTER_VALUE:
      return octet === SEMICOLON ? State.BEFORE_NAME : isBlank ? State.AFTER_VALUE : State.DONE
    default:
      return State.DONE
  }
}

function extensionFault(octet: number): RuleId {
  return octet === LF ? 'H1-BARE-LF' : octet === 0 ? 'H1-NUL' : 'H1-CHUNK-EXTENSION'
}

function trailerNameFault(octet: number, isFirst: boolean): RuleId {
  if (octet === 0) return 'H1-NUL'
  if (octet === LF) return 'H1-BARE-LF'
  if (octet === SP || octet === HTAB) return isFirst ? 'H1-OBS-FOLD' : 'H1-FIELD-NAME-SPACE'
  return octet === CR ? 'H1-FIELD-COLON' : 'H1-FIELD-NAME'
}

function latin1(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1')
}

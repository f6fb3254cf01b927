/**
 * One line being put together as octets, in a buffer that is used for every line: a line of text would be some forty strings, a tree of them, and a
 * copy, which every request would pay for and leave behind. What a peer sent is data here: everything but printable ASCII is escaped, so that
 * a line is always one line and harmless to a terminal. It knows no format.
 */

/** Text of our own in words of four octets, which are written at a third of what single ones cost. */
export interface Piece {
  readonly octets: number
  /** In `pieceWords`. */
  readonly start: number
  readonly end: number
}

const wordOctets = 4

/** Of all pieces, one behind the other: between two lines a request has passed, and what is far apart would have to be fetched again. */
let pieceWords = new Int32Array(1_024)
let pieceWordsUsed = 0

/** Printable ASCII, or UTF-8 for what an operator wrote. Kept for good: not for what comes with a request. */
export function pieceOf(text: string): Piece {
  const octets = Buffer.from(text, 'utf8')
  const padded = Buffer.concat([octets, Buffer.alloc(wordOctets)])
  const start = pieceWordsUsed
  pieceWordsUsed += Math.ceil(octets.length / wordOctets)
  if (pieceWordsUsed > pieceWords.length) {
    const bigger = new Int32Array(2 * pieceWordsUsed)
    bigger.set(pieceWords)
    pieceWords = bigger
  }
  for (let i = start; i < pieceWordsUsed; i++) pieceWords[i] = padded.readInt32LE((i - start) * wordOctets)
  return { octets: octets.length, start, end: pieceWordsUsed }
}

/** What stands for itself in each kind of text. */
const plainInText = octetTable(/[ !#-[\]-~]/)
const plainInWord = octetTable(/[!#-[\]-~]/)

function octetTable(pattern: RegExp): Uint8Array {
  return Uint8Array.from({ length: 128 }, (_, code) => (pattern.test(String.fromCharCode(code)) ? 1 : 0))
}

const integerMax = 2 ** 31 - 1
/** The longest escape of one UTF-16 unit, \uXXXX. */
const escapeOctets = 6
/** Of any number as JavaScript writes it. */
const numberOctets = 25

export class LineBytes {
  /** The line is bytes[0, length). */
  bytes: Buffer = Buffer.allocUnsafeSlow(4_096)
  length = 0
  #view = new DataView(this.bytes.buffer)

  clear(): void {
    this.length = 0
  }

  /** As it is. */
  put({ octets, start, end }: Piece): void {
    const { length } = this.#roomFor(octets + wordOctets)
    const view = this.#view
    const words = pieceWords
    // The last word may go beyond the piece; what comes next goes over that.
    for (let i = start, at = length; i < end; i++, at += wordOctets) view.setInt32(at, words[i]!, true)
    this.length = length + octets
  }

  /** As it is; printable ASCII. */
  putAscii(text: string): void {
    const { bytes, length } = this.#roomFor(text.length)
    for (let i = 0; i < text.length; i++) bytes[length + i] = text.charCodeAt(i)
    this.length = length + text.length
  }

  /** For the inside of a JSON string; each UTF-16 code unit beyond printable ASCII as \uXXXX. */
  putJson(text: string): void {
    this.#putEscaped(text, plainInText, escapeJsonUnit)
  }

  /**
   * For between two quotes where there is no JSON, as Apache and nginx do it: quote, backslash and what is not printable ASCII as \xHH.
   * A reader that only looks for the next quote is right.
   */
  putQuoted(text: string): void {
    this.#putEscaped(text, plainInText, escapeUnit)
  }

  /** The same without blanks: it is one word for who splits the line there. */
  putWord(text: string): void {
    this.#putEscaped(text, plainInWord, escapeUnit)
  }

  putNumber(value: number): void {
    if (!(value >= 0 && value <= integerMax) || (value | 0) !== value) return this.putAscii(String(value))
    const { bytes, length } = this.#roomFor(numberOctets)
    let end = length + 1
    for (let above = 10; above <= value; above *= 10) end++
    let rest = value | 0
    for (let at = end - 1; at >= length; at--) {
      const tenth = (rest / 10) | 0
      bytes[at] = 0x30 + rest - tenth * 10
      rest = tenth
    }
    this.length = end
  }

  /** Milliseconds to the microsecond, which is enough, without zeros at the end. JSON knows no NaN: -1. */
  putMs(ms: number): void {
    const microseconds = Math.round(ms * 1_000)
    if (!(microseconds >= 0 && microseconds <= integerMax)) return this.putAscii(Number.isFinite(ms) ? String(microseconds / 1_000) : '-1')
    const whole = (microseconds / 1_000) | 0
    this.putNumber(whole)
    const thousandths = microseconds - whole * 1_000
    if (thousandths > 0) this.#putFraction(thousandths)
  }

  /** ISO 8601 with milliseconds, UTC. */
  putTime(epochMs: number): void {
    const second = Math.floor(epochMs / 1_000)
    if (second !== isoSecond) {
      isoPrefix = new Date(second * 1_000).toISOString().slice(0, -4)
      isoSecond = second
    }
    this.putAscii(isoPrefix)
    const ms = Math.floor(epochMs - second * 1_000)
    const { bytes, length } = this.#roomFor(4)
    bytes[length] = 0x30 + ((ms / 100) | 0)
    bytes[length + 1] = 0x30 + (((ms / 10) | 0) % 10)
    bytes[length + 2] = 0x30 + (ms % 10)
    bytes[length + 3] = 0x5a
    this.length = length + 4
  }

  /** `10/Oct/2000:13:55:36 +0000`, the time of the common log format, UTC. */
  putCommonTime(epochMs: number): void {
    const second = Math.floor(epochMs / 1_000)
    if (second !== commonSecond) {
      // Tue, 10 Oct 2000 13:55:36 GMT
      const [, day, month, year, clock] = new Date(second * 1_000).toUTCString().split(' ')
      commonTime = `${day}/${month}/${year}:${clock} +0000`
      commonSecond = second
    }
    this.putAscii(commonTime)
  }

  toString(): string {
    return this.bytes.toString('latin1', 0, this.length)
  }

  /** '.001' to '.999'. */
  #putFraction(thousandths: number): void {
    const { bytes, length } = this.#roomFor(4)
    const tenths = (thousandths / 100) | 0
    const hundredths = ((thousandths / 10) | 0) - tenths * 10
    const rest = thousandths % 10
    bytes[length] = 0x2e
    bytes[length + 1] = 0x30 + tenths
    bytes[length + 2] = 0x30 + hundredths
    bytes[length + 3] = 0x30 + rest
    this.length = length + (rest !== 0 ? 4 : hundredths !== 0 ? 3 : 2)
  }

  #putEscaped(text: string, plain: Uint8Array, escape: (unit: string) => string): void {
    const { bytes } = this.#roomFor(text.length * escapeOctets)
    let { length } = this
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i)
      if (plain[code] === 1) bytes[length++] = code
      else length += bytes.write(escape(text[i]!), length, 'latin1')
    }
    this.length = length
  }

  #roomFor(octets: number): this {
    if (this.length + octets > this.bytes.length) {
      const bigger = Buffer.allocUnsafeSlow(2 * (this.length + octets))
      this.bytes.copy(bigger, 0, 0, this.length)
      this.bytes = bigger
      this.#view = new DataView(bigger.buffer)
    }
    return this
  }
}

function escapeJsonUnit(unit: string): string {
  if (unit === '"') return '\\"'
  if (unit === '\\') return '\\\\'
  return escapeWide(unit)
}

/** What comes from the network is latin-1; names that were configured may be more. */
function escapeUnit(unit: string): string {
  const code = unit.charCodeAt(0)
  return code > 0xff ? escapeWide(unit) : '\\x' + code.toString(16).toUpperCase().padStart(2, '0')
}

function escapeWide(unit: string): string {
  return '\\u' + unit.charCodeAt(0).toString(16).padStart(4, '0')
}

// Making a Date is most of the cost of a line, so its text is kept for the second.
let isoSecond = NaN
let isoPrefix = ''
let commonSecond = NaN
let commonTime = ''

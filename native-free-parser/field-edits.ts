/**
 * What somebody wants changed in heads beyond what HTTP itself asks for: names of fields that do not leave, and fields that are added where
 * there are none. Made once, used for many heads; a name is looked up where it stands in the head, without a string being made. Knows no
 * values: lines that are always added are the encoder's business, and which edits are allowed is decided above.
 */
import { equalsIgnoreCase, resemblesName } from './characters.ts'

/** What `FieldEdits.find` says of a field that does not leave. */
export const DROPPED = 0
/** What it says of a field of which nothing was said. */
export const UNTOUCHED = -1

/** How many fields can be added where there are none: one bit for each. */
const defaultsMax = 30

export interface FieldDefault {
  readonly name: string
  /** The whole line with its CRLF. */
  readonly line: string
}

interface Entry {
  /** In lower case. */
  readonly name: string
  readonly verdict: number
}

const noEntries: readonly Entry[] = Object.freeze([])

export class FieldEdits {
  /** By length of the name: most names in a head have a length that no entry has, and cost no comparison. */
  readonly #byLength: (readonly Entry[])[]
  /** The same for lengths below 32, as bits. */
  #lengths = 0
  readonly #matches: typeof equalsIgnoreCase
  /** Lines for fields that a head may lack, in the order of their bits. */
  readonly #defaults: readonly FieldDefault[]
  /** All of them: mostly a head has none. */
  readonly #defaultLines: string

  /**
   * @param dropped - names of fields that do not leave.
   * @param defaults - fields that leave unless the head has them; none of them may be dropped.
   * @param takesUnderscores - in what is dropped "_" counts as "-": a gateway that makes variables of fields, as CGI does (RFC 3875 section
   *   4.1.18), could not tell the two, and the client would have its way.
   */
  constructor(dropped: Iterable<string>, defaults: readonly FieldDefault[] = [], takesUnderscores = false) {
    if (defaults.length > defaultsMax) throw new RangeError(`${defaults.length} fields that may be added, more than ${defaultsMax}`)
    const entries: Entry[] = [
      ...Array.from(dropped, (name) => ({ name: name.toLowerCase(), verdict: DROPPED })),
      ...defaults.map(({ name }, index) => ({ name: name.toLowerCase(), verdict: 1 << index })),
    ]
    const lengthMax = entries.reduce((max, { name }) => Math.max(max, name.length), 0)
    this.#byLength = Array.from({ length: lengthMax + 1 }, (_, length) => {
      const fitting = entries.filter(({ name }) => name.length === length)
      return fitting.length === 0 ? noEntries : fitting
    })
    for (const { name } of entries) if (name.length < 32) this.#lengths |= 1 << name.length
    this.#defaults = defaults
    this.#defaultLines = defaults.map(({ line }) => line).join('')
    this.#matches = takesUnderscores ? resemblesName : equalsIgnoreCase
  }

  /** DROPPED, UNTOUCHED, or the bit of the default that a field named raw[start, end) makes needless. */
  find(raw: string, start: number, end: number): number {
    const length = end - start
    if (length < 32 ? (this.#lengths & (1 << length)) === 0 : length >= this.#byLength.length) return UNTOUCHED
    const entries = this.#byLength[length]!
    for (let i = 0; i < entries.length; i++) {
      const { name, verdict } = entries[i]!
      if (verdict === DROPPED ? this.#matches(raw, start, end, name) : equalsIgnoreCase(raw, start, end, name)) return verdict
    }
    return UNTOUCHED
  }

  drops(name: string): boolean {
    return this.find(name, 0, name.length) === DROPPED
  }

  /** Lines of the defaults that were not seen. `seen`: what `find` said of the fields, ORed, without UNTOUCHED. */
  missing(seen: number): string {
    if (seen === 0) return this.#defaultLines
    let lines = ''
    for (let i = 0; i < this.#defaults.length; i++) if ((seen & (1 << i)) === 0) lines += this.#defaults[i]!.line
    return lines
  }
}

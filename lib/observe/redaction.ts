/**
 * What of a request target stays out of logs: user information of an absolute target, always, and the values of those query parameters
 * that are named. Names are compared as servers read them: decoded, without regard to case, `token[]` and `token[a]` as `token`. Where
 * servers differ on where a parameter begins or ends, more is hidden rather than less.
 */
const hidden = '***'

export class Redaction {
  readonly #hidesAll: boolean
  readonly #hidesNone: boolean
  readonly #names: ReadonlySet<string>

  /** Names of query parameters; '*' for all. */
  constructor(names: readonly string[] = []) {
    this.#hidesAll = names.includes('*')
    this.#hidesNone = names.length === 0
    this.#names = new Set(names.map((name) => Buffer.from(name, 'utf8').toString('latin1').toLowerCase()))
  }

  /** A request target, or a reference to a page, as it may be logged. Both are latin-1. */
  apply(target: string): string {
    const text = target.charCodeAt(0) === slash ? target : hideUserinfo(target)
    if (this.#hidesNone) return text
    const at = text.indexOf('?') + 1
    return at === 0 ? text : text.slice(0, at) + this.#hideValues(text.slice(at))
  }

  #hideValues(query: string): string {
    let result = ''
    let copied = 0
    for (let at = 0; at < query.length;) {
      const nameEnd = endOfPart(query, at, true)
      const hasValue = query.charCodeAt(nameEnd) === equals
      if (hasValue && this.#hides(query.slice(at, nameEnd))) {
        // Some servers end a value at a semicolon, others do not: what follows one may still be a part of it.
        const end = query.indexOf('&', nameEnd)
        copied = end === -1 ? query.length : end
        result += query.slice(at, nameEnd + 1) + hidden
        at = copied
      } else if (this.#hidesAll && nameEnd > at) {
        // A word alone may be a name or a value.
        result += hidden
        copied = at = endOfPart(query, nameEnd, false)
      } else {
        at = hasValue ? endOfPart(query, nameEnd, false) : nameEnd
        result += query.slice(copied, at)
        copied = at
      }
      if (at < query.length) {
        result += query[at]!
        copied = at += 1
      }
    }
    return result
  }

  #hides(name: string): boolean {
    return this.#hidesAll || this.#names.has(plainNamePattern.test(name) ? name : readName(name))
  }
}

/** Where a parameter's name (or all of it) that begins at `from` ends. A question mark begins a parameter for some servers. */
function endOfPart(query: string, from: number, isName: boolean): number {
  let at = from
  for (; at < query.length; at++) {
    const unit = query.charCodeAt(at)
    if (unit === ampersand || unit === semicolon || unit === questionMark || (isName && unit === equals)) break
  }
  return at
}

/** As a server has it, for comparison. */
function readName(name: string): string {
  const decoded = name
    .replaceAll('+', ' ')
    .replace(/%([0-9a-f]{2})/gi, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)))
  const bracket = decoded.indexOf('[', 1)
  return (bracket === -1 ? decoded : decoded.slice(0, bracket)).trim().toLowerCase()
}

/** RFC 3986 section 3.2: the authority ends at the next slash, question mark or number sign, and user information at its last `@`. */
function hideUserinfo(target: string): string {
  if (!target.includes('@')) return target
  const authority = schemePattern.exec(target)?.[0].length ?? 0
  const rest = target.slice(authority).search(/[/?#]/)
  const end = rest === -1 ? target.length : authority + rest
  const last = target.lastIndexOf('@', end)
  return last < authority ? target : target.slice(0, authority) + hidden + target.slice(last)
}

/** Written as it is compared, which nearly all are. */
const plainNamePattern = /^[a-z0-9_.-]*$/
const schemePattern = /^[a-z][a-z0-9+.-]*:\/\//i
const ampersand = 0x26
const slash = 0x2f
const semicolon = 0x3b
const equals = 0x3d
const questionMark = 0x3f

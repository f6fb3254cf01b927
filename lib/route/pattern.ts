/**
 * Regular expressions for the whole of a text, in time that grows with the text and with nothing else. RegExp goes back and tries again, and with an
 * expression such as (a+)+b the text of one request keeps it busy for hours; here all ways to go on are followed at once (Glushkov's
 * automaton), so there is no expression that a client could make slow. The syntax is that of RegExp, less what needs going back:
 * look-around, back references, word boundaries. Texts are latin-1, as the octets of a head are.
 */
import { ProxyError } from '../core/errors.ts'

/** Steps for each octet of a text at most. */
const stepsMax = 4_096
const positionsMax = 1_024
const textMax = 1_024

const octets = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code))
const noPositions = new Uint16Array(0)

type Tree =
  | { readonly kind: 'set'; readonly members: Uint8Array }
  | { readonly kind: 'all' | 'one'; readonly parts: readonly Tree[] }
  | { readonly kind: 'repeat'; readonly part: Tree; readonly min: number; readonly max: number }

/** Of a part of the expression: whether it takes the empty text, and the positions at which it may begin and end. */
interface Fragment {
  readonly isEmpty: boolean
  readonly first: readonly number[]
  readonly last: readonly number[]
}

const emptyFragment: Fragment = { isEmpty: true, first: [], last: [] }

export class Pattern {
  readonly text: string
  /** Of each position: the octets that it takes. */
  readonly #members: readonly Uint8Array[]
  /** Of each position: those that may come next. */
  readonly #follow: readonly Uint16Array[]
  readonly #isLast: Uint8Array
  readonly #first: Uint16Array
  readonly #takesEmpty: boolean
  /** Of each position: the step in which it was last reached. */
  readonly #reachedIn: Uint32Array
  #step = 0
  #current: Uint16Array
  #next: Uint16Array

  /** Throws ProxyError ERR_EPROXY_OPTION. */
  constructor(text: string) {
    this.text = text
    const { members, follow, whole } = new Assembler(text).assemble()
    this.#members = members
    this.#follow = follow.map((positions) => (positions.size === 0 ? noPositions : Uint16Array.from(positions)))
    this.#isLast = new Uint8Array(members.length)
    for (const position of whole.last) this.#isLast[position] = 1
    this.#first = Uint16Array.from(new Set(whole.first))
    this.#takesEmpty = whole.isEmpty
    this.#reachedIn = new Uint32Array(members.length)
    this.#current = new Uint16Array(members.length)
    this.#next = new Uint16Array(members.length)
  }

  /** Whether the expression takes the text from its first octet to its last. */
  matches(text: string): boolean {
    if (text === '') return this.#takesEmpty
    let current = this.#first
    let count = current.length
    let step = this.#step
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at)
      if (code > 255) break
      const isEnd = at === text.length - 1
      // What was reached two steps ago may be written over.
      const next = current === this.#next ? this.#current : this.#next
      let reached = 0
      if (++step === 0xffff_ffff) {
        this.#reachedIn.fill(0)
        step = 1
      }
      for (let i = 0; i < count; i++) {
        const position = current[i]!
        if (this.#members[position]![code] !== 1) continue
        if (isEnd) {
          if (this.#isLast[position] !== 1) continue
          this.#step = step
          return true
        }
        for (const follower of this.#follow[position]!) {
          if (this.#reachedIn[follower] === step) continue
          this.#reachedIn[follower] = step
          next[reached++] = follower
        }
      }
      if (reached === 0) break
      current = next
      count = reached
    }
    this.#step = step
    return false
  }
}

/** Reads an expression, and numbers the places in it where an octet is taken. */
class Assembler {
  readonly #text: string
  #at = 0
  readonly #members: Uint8Array[] = []
  readonly #follow: Set<number>[] = []
  #steps = 0

  constructor(text: string) {
    this.#text = text
  }

  assemble(): { members: readonly Uint8Array[]; follow: readonly ReadonlySet<number>[]; whole: Fragment } {
    if (this.#text.length > textMax) throw this.#error(`it is longer than ${textMax} characters`)
    const tree = this.#readChoice()
    if (this.#at < this.#text.length) throw this.#error('there is a ")" that nothing opens')
    const whole = this.#place(tree)
    return { members: this.#members, follow: this.#follow, whole }
  }

  // From text to tree

  #readChoice(): Tree {
    const choices = [this.#readSequence()]
    while (this.#take('|')) choices.push(this.#readSequence())
    return choices.length === 1 ? choices[0]! : { kind: 'one', parts: choices }
  }

  #readSequence(): Tree {
    const parts: Tree[] = []
    for (;;) {
      const next = this.#text[this.#at]
      if (next === undefined || next === '|' || next === ')') return { kind: 'all', parts }
      // The whole text is meant anyway.
      if ((next === '^' && this.#at === 0) || (next === '$' && this.#at === this.#text.length - 1)) this.#at++
      else parts.push(this.#readRepeated())
    }
  }

  #readRepeated(): Tree {
    const start = this.#at
    const part = this.#readOne()
    const counted = this.#readCount(start)
    if (counted === undefined) return part
    // Lazy or not, the whole text is the same.
    this.#take('?')
    if (/^[*+?{]/.test(this.#text.slice(this.#at))) throw this.#error('what is repeated already is repeated again; put it in brackets')
    return { kind: 'repeat', part, ...counted }
  }

  #readCount(start: number): { min: number; max: number } | undefined {
    if (this.#take('*')) return { min: 0, max: Infinity }
    if (this.#take('+')) return { min: 1, max: Infinity }
    if (this.#take('?')) return { min: 0, max: 1 }
    if (this.#text[this.#at] !== '{') return undefined
    const count = /^\{([0-9]{1,4})(,?)([0-9]{0,4})\}/.exec(this.#text.slice(this.#at))
    if (count === null) throw this.#error('a "{" that begins no count, such as {2} or {1,3}, is written \\{')
    const [written, low = '', comma, high = ''] = count
    const min = Number(low)
    const max = comma === '' ? min : high === '' ? Infinity : Number(high)
    if (min > max) throw this.#error(`${written} has its numbers the wrong way round`)
    if (this.#at === start) throw this.#error('there is nothing to repeat')
    this.#at += written.length
    return { min, max }
  }

  #readOne(): Tree {
    const next = this.#text[this.#at]!
    switch (next) {
      case '(': {
        this.#at++
        if (this.#take('?') && !this.#take(':')) throw this.#error('look-around, names and flags are not known here; (?:…) and (…) are')
        const group = this.#readChoice()
        if (!this.#take(')')) throw this.#error('there is a "(" that nothing closes')
        return group
      }
      case '[':
        return this.#readSet(this.#findSetEnd())
      case '\\': {
        const length = this.#text.startsWith('\\x', this.#at) ? 4 : 2
        if (/^\\(?:[1-9bBkpPucC]|$)/.test(this.#text.slice(this.#at)))
          throw this.#error('back references, boundaries and classes of Unicode are not known here')
        return this.#readSet(this.#at + length)
      }
      case '.':
        return this.#readSet(this.#at + 1)
      case '*':
      case '+':
      case '?':
      case '{':
        throw this.#error('there is nothing to repeat')
      case '^':
      case '$':
        throw this.#error('"^" and "$" are for the ends of the expression; the whole text is meant anyway')
      default:
        if (next > '~') throw this.#error('write it percent-encoded; only ASCII can be in an expression')
        this.#at++
        return makeSet((octet) => octet === next)
    }
  }

  #findSetEnd(): number {
    for (let at = this.#at + 1; at < this.#text.length; at++) {
      if (this.#text[at] === '\\') at++
      else if (this.#text[at] === ']') return at + 1
    }
    throw this.#error('there is a "[" that nothing closes')
  }

  /** One octet of what RegExp says that this piece of the text takes. */
  #readSet(end: number): Tree {
    const piece = this.#text.slice(this.#at, end)
    let expression: RegExp
    try {
      expression = new RegExp(`^${piece}$`, 'su')
    } catch {
      throw this.#error(`${piece} has no meaning`)
    }
    this.#at = end
    return makeSet((octet) => expression.test(octet))
  }

  #take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false
    this.#at++
    return true
  }

  // From tree to positions

  #place(tree: Tree): Fragment {
    switch (tree.kind) {
      case 'set': {
        const position = this.#members.length
        if (position >= positionsMax) throw this.#error(`it stands for more than ${positionsMax} places`)
        this.#members.push(tree.members)
        this.#follow.push(new Set())
        return { isEmpty: false, first: [position], last: [position] }
      }
      case 'all':
        return tree.parts.reduce<Fragment>((before, part) => this.#chain(before, this.#place(part)), emptyFragment)
      case 'one': {
        const choices = tree.parts.map((part) => this.#place(part))
        return {
          isEmpty: choices.some(({ isEmpty }) => isEmpty),
          first: choices.flatMap(({ first }) => first),
          last: choices.flatMap(({ last }) => last),
        }
      }
      case 'repeat':
        return this.#repeat(tree.part, tree.min, tree.max)
    }
  }

  /** x{2,4} becomes x x (x (x)?)?, which has fewer ways than x x x? x?. */
  #repeat(part: Tree, min: number, max: number): Fragment {
    if (max === 0) return emptyFragment
    const placedBefore = this.#members.length
    const copies = [this.#place(part)]
    // An empty part may be repeated any number of times for nothing.
    if (this.#members.length === placedBefore) return emptyFragment
    const wanted = max === Infinity ? Math.max(min, 1) : max
    while (copies.length < wanted) copies.push(this.#place(part))
    let whole: Fragment | undefined
    for (let index = copies.length - 1; index >= 0; index--) {
      let copy = copies[index]!
      if (max === Infinity && whole === undefined) {
        this.#link(copy.last, copy.first)
        if (min === 0) copy = { ...copy, isEmpty: true }
      }
      whole = whole === undefined ? copy : this.#chain(copy, whole)
      if (index >= min) whole = { ...whole, isEmpty: true }
    }
    return whole!
  }

  #chain(before: Fragment, after: Fragment): Fragment {
    this.#link(before.last, after.first)
    return {
      isEmpty: before.isEmpty && after.isEmpty,
      first: before.isEmpty ? [...before.first, ...after.first] : before.first,
      last: after.isEmpty ? [...before.last, ...after.last] : after.last,
    }
  }

  #link(from: readonly number[], to: readonly number[]): void {
    for (const position of from) {
      const followers = this.#follow[position]!
      const before = followers.size
      for (const follower of to) followers.add(follower)
      this.#steps += followers.size - before
      if (this.#steps > stepsMax) throw this.#error(`it leaves more than ${stepsMax} ways open`)
    }
  }

  #error(why: string): ProxyError {
    const shown = this.#text.length > 64 ? `${this.#text.slice(0, 64)}…` : this.#text
    const place = this.#at < this.#text.length && this.#text.length <= 64 ? ` at character ${this.#at + 1}` : ''
    return new ProxyError('ERR_EPROXY_OPTION', `the pattern ${JSON.stringify(shown)} cannot be read${place}: ${why}`)
  }
}

function makeSet(takes: (octet: string) => boolean): Tree {
  return { kind: 'set', members: Uint8Array.from(octets, (octet) => (takes(octet) ? 1 : 0)) }
}

/**
 * Turns one input into another that is nearly as well-formed: random octets never get past a request line, so most steps know where lines,
 * fields, numbers and chunk sizes are. All chance comes from the generator it is given.
 */
import { Buffer } from 'node:buffer'
import type { SeededRandom } from '../test/support/seeded-random.ts'
import { httpTokens, lineEnds, numbers } from './dictionary.ts'
import { toBytes, toText } from './octets.ts'
import { attacks, chunkTricks, framingTricks } from './smuggling-tricks.ts'

/** Long inputs are slow and rarely say more. */
const inputBytesMax = 6_000

const weights = {
  flip: 3,
  overwrite: 3,
  insert: 5,
  delete: 3,
  duplicate: 3,
  splice: 3,
  join: 2,
  truncate: 1,
  number: 3,
  chunkSize: 3,
  lineEnd: 4,
  duplicateField: 3,
  moveField: 2,
  deleteLine: 2,
  spaceAroundColon: 2,
  changeCase: 2,
  framingTrick: 3,
  chunkTrick: 2,
  pipeline: 2,
} as const

type Step = keyof typeof weights

export class Mutator {
  readonly #random: SeededRandom
  readonly #pick: () => Uint8Array

  /** `pick` gives an input from which pieces may be taken. */
  constructor(random: SeededRandom, pick: () => Uint8Array) {
    this.#random = random
    this.#pick = pick
  }

  /** A new input: the given one, or what some steps made of it. */
  mutate(data: Uint8Array): Uint8Array {
    const random = this.#random
    let text = this.#textOf(data)
    // Mostly one or two steps: each of them usually makes the input wrong, and what is wrong in one place only gets further.
    let steps = random.pick([0, 1, 1, 1, 2, 2, 3, 5, 9])
    for (; steps > 0; steps--) text = this.#apply(random.weighted(weights), text)
    return toBytes(text.slice(0, inputBytesMax))
  }

  #textOf(data: Uint8Array): string {
    const text = toText(data)
    // Of the seeds that are long to break a limit, mostly the beginning is enough.
    return text.length > inputBytesMax ? text.slice(0, this.#random.integer(1, inputBytesMax)) : text
  }

  #apply(step: Step, text: string): string {
    const random = this.#random
    const at = random.integer(0, text.length)
    switch (step) {
      case 'flip': {
        if (text === '') return text
        const bytes = Buffer.from(text, 'latin1')
        const index = random.integer(0, bytes.length - 1)
        bytes[index] = bytes[index]! ^ (1 << random.integer(0, 7))
        return bytes.toString('latin1')
      }
      case 'overwrite': {
        const octets = random.chance(0.5) ? this.#octets(random.integer(1, 4)) : random.pick(httpTokens)
        return text.slice(0, at) + octets + text.slice(at + octets.length)
      }
      case 'insert': {
        // At the start of a line more often than not: that is where a token means something.
        const place = random.chance(0.7) ? this.#lineStart(text) : at
        return (
          text.slice(0, place) + (random.chance(0.1) ? this.#octets(random.integer(1, 8)) : random.pick(httpTokens)) + text.slice(place)
        )
      }
      case 'delete':
        return text.slice(0, at) + text.slice(at + this.#length())
      case 'duplicate': {
        const piece = text.slice(at, at + this.#length())
        return text.slice(0, at) + piece.repeat(random.chance(0.05) ? random.integer(2, 200) : 2) + text.slice(at + piece.length)
      }
      case 'splice': {
        const other = this.#textOf(this.#pick())
        return text.slice(0, at) + other.slice(random.integer(0, other.length))
      }
      case 'join':
        return random.chance(0.5) ? text + this.#textOf(this.#pick()) : this.#textOf(this.#pick()) + text
      case 'truncate':
        return text.slice(0, at)
      case 'number':
        return this.#replaceOne(text, /[0-9]+/g, (digits) =>
          random.chance(0.4) ? nudge(digits, 10, random.integer(-2, 2)) : random.pick(numbers),
        )
      case 'chunkSize':
        return this.#replaceOne(text, /(?<=\r\n)[0-9a-fA-F]+(?=[;\r])/g, (digits) => this.#chunkSize(digits))
      case 'lineEnd':
        return this.#replaceOne(text, /\r\n/g, () => random.pick(lineEnds))
      case 'duplicateField':
        return this.#replaceOne(text, fieldLine, (line) => line + (random.chance(0.3) ? line.toUpperCase() : line))
      case 'moveField': {
        const line = this.#choose(text, fieldLine)
        if (line === undefined) return text
        const rest = text.slice(0, line.index) + text.slice(line.index + line[0].length)
        const place = this.#lineStart(rest)
        return rest.slice(0, place) + line[0] + rest.slice(place)
      }
      case 'deleteLine':
        return this.#replaceOne(text, /[^\r\n]*\r\n/g, () => '')
      case 'spaceAroundColon':
        return this.#replaceOne(text, /[ \t]*:[ \t]*/g, () =>
          random.pick([':', ': ', ':\t', ':  ', ' :', ' : ', '\t: ', ':\t ', ': \x0b', '']),
        )
      case 'framingTrick': {
        const place = this.#lineStart(text)
        return text.slice(0, place) + random.pick(framingTricks) + text.slice(place)
      }
      case 'chunkTrick':
        // Behind a head, where it is a body; or in the middle of one.
        return this.#replaceOne(text, /\r\n\r\n|(?<=\r\n)[0-9a-fA-F]+\r\n/g, (end) => end + random.pick(chunkTricks))
      case 'pipeline':
        return random.chance(0.7) ? text + random.pick(attacks) : random.pick(attacks) + text
      case 'changeCase':
        return this.#replaceOne(text, /[A-Za-z-]+/g, (word) => (random.chance(0.5) ? word.toUpperCase() : word.toLowerCase()))
    }
  }

  #chunkSize(digits: string): string {
    const random = this.#random
    switch (random.integer(0, 7)) {
      case 0:
        return nudge(digits, 16, random.pick([-2, -1, 1, 2, 16]))
      case 1:
        return '0'.repeat(random.integer(1, 17)) + digits
      case 2:
        return random.pick(['0x', '+', '-', ' ', '\t', ';', 'g']) + digits
      case 3:
        return (
          digits +
          random.pick([
            ' ',
            '\t',
            ';',
            ';a',
            ';a=',
            ';a=b',
            ';a="b"',
            ';a="\\',
            ' ; a = b',
            ';\x00',
            ';a\n',
            `;${'x'.repeat(300)}`,
            'h',
            'L',
          ])
        )
      case 4:
        return digits.toUpperCase()
      case 5:
        return random.pick([
          '0',
          '00',
          '1',
          'ffffffff',
          '100000000',
          '1fffffffffffff',
          '20000000000000',
          'ffffffffffffffff',
          '10000000000000000',
        ])
      case 6:
        return `${digits}\r`
      default:
        return `1\r\nx\r\n${digits}`
    }
  }

  #replaceOne(text: string, pattern: RegExp, replace: (match: string) => string): string {
    const match = this.#choose(text, pattern)
    return match === undefined ? text : text.slice(0, match.index) + replace(match[0]) + text.slice(match.index + match[0].length)
  }

  #choose(text: string, pattern: RegExp): RegExpExecArray | undefined {
    const matches = [...text.matchAll(pattern)]
    return matches.length === 0 ? undefined : this.#random.pick(matches)
  }

  #lineStart(text: string): number {
    const match = this.#choose(text, /\r\n/g)
    return match === undefined ? 0 : match.index + 2
  }

  #length(): number {
    return this.#random.chance(0.7) ? this.#random.integer(1, 4) : this.#random.integer(1, 64)
  }

  #octets(count: number): string {
    let octets = ''
    for (let i = 0; i < count; i++) octets += String.fromCharCode(this.#random.integer(0, 255))
    return octets
  }
}

const fieldLine = /(?<=\r\n)[^\r\n:]+:[^\r\n]*\r\n/g

function nudge(digits: string, radix: 10 | 16, by: number): string {
  return Math.max(0, Number.parseInt(digits, radix) + by).toString(radix)
}

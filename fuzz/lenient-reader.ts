/**
 * An origin as there are many: reads requests with one or another of the liberties that servers are known to take. On what a careful sender
 * writes, all of them agree; where two of them do not, there is something to smuggle with.
 */
import type { SeededRandom } from '../test/support/seeded-random.ts'

export interface Quirks {
  /** What ends a line of a head besides CRLF. */
  readonly lineEnds: 'crlf' | 'lf' | 'cr or lf'
  /** Which field wins when there are both. */
  readonly prefers: 'length' | 'coding'
  /** Which Content-Length wins when there are several. */
  readonly lengthField: 'first' | 'last'
  /** What of Transfer-Encoding makes a body chunked. */
  readonly coding: 'equal' | 'contained' | 'last'
  /** A line that begins with white space goes on with the one before; otherwise it is a field of its own. */
  readonly folds: boolean
  /** A value ends at a NUL, as a string in C does. */
  readonly nulEnds: boolean
  /** What is cut off around names and values. */
  readonly trims: 'space and tab' | 'all white space'
  /** What ends the line of a chunk size. */
  readonly chunkLineEnds: 'crlf' | 'lf'
}

export interface LenientRequest {
  readonly method: string
  readonly target: string
  readonly body: string
  readonly complete: boolean
}

export function makeQuirks(random: SeededRandom): Quirks {
  return {
    lineEnds: random.pick(['crlf', 'lf', 'cr or lf'] as const),
    prefers: random.pick(['length', 'coding'] as const),
    lengthField: random.pick(['first', 'last'] as const),
    coding: random.pick(['equal', 'contained', 'last'] as const),
    folds: random.chance(0.5),
    nulEnds: random.chance(0.5),
    trims: random.pick(['space and tab', 'all white space'] as const),
    chunkLineEnds: random.pick(['crlf', 'lf'] as const),
  }
}

/** Never refuses anything. What stands behind the last whole head is left out. */
export function readLeniently(text: string, quirks: Quirks): LenientRequest[] {
  const requests: LenientRequest[] = []
  let at = 0
  while (at < text.length) {
    const head = readHead(text, at, quirks)
    if (head === undefined) break
    const { body, end, complete } = readBody(text, head.end, head.fields, quirks)
    const [method = '', target = ''] = head.startLine.split(' ')
    requests.push({ method, target, body, complete })
    at = end
  }
  return requests
}

interface LenientHead {
  readonly startLine: string
  readonly fields: readonly (readonly [name: string, value: string])[]
  readonly end: number
}

function readHead(text: string, start: number, quirks: Quirks): LenientHead | undefined {
  const pattern = { crlf: /\r\n/g, lf: /\r?\n/g, 'cr or lf': /\r\n|\r|\n/g }[quirks.lineEnds]
  const lines: string[] = []
  let at = start
  for (;;) {
    pattern.lastIndex = at
    const match = pattern.exec(text)
    if (match === null) return undefined
    const line = text.slice(at, match.index)
    at = pattern.lastIndex
    if (line !== '') {
      if (quirks.folds && lines.length > 1 && /^[ \t]/.test(line)) lines[lines.length - 1] += ` ${line.trimStart()}`
      else lines.push(line)
    } else if (lines.length > 0) break
  }
  const [startLine = '', ...rest] = lines
  return { startLine, fields: rest.map((line) => readField(line, quirks)), end: at }
}

function readField(line: string, quirks: Quirks): readonly [string, string] {
  const trim = (text: string): string => (quirks.trims === 'space and tab' ? text.replace(/^[ \t]+|[ \t]+$/g, '') : text.trim())
  const colon = line.includes(':') ? line.indexOf(':') : line.length
  const value = quirks.nulEnds ? line.slice(colon + 1).split('\0')[0]! : line.slice(colon + 1)
  return [trim(line.slice(0, colon)).toLowerCase(), trim(value)]
}

interface LenientBody {
  readonly body: string
  readonly end: number
  readonly complete: boolean
}

function readBody(text: string, start: number, fields: LenientHead['fields'], quirks: Quirks): LenientBody {
  const valuesOf = (wanted: string): string[] => fields.filter(([name]) => name === wanted).map(([, value]) => value)
  const lengths = valuesOf('content-length').map((value) => Number.parseInt(value, 10))
  const length = quirks.lengthField === 'first' ? lengths[0] : lengths.at(-1)
  const isLength = length !== undefined && length >= 0
  const isChunked = valuesOf('transfer-encoding').some((value) => {
    const coding = value.toLowerCase()
    if (quirks.coding === 'contained') return coding.includes('chunked')
    return quirks.coding === 'equal' ? coding === 'chunked' : coding.split(',').at(-1)!.trim() === 'chunked'
  })
  if (isChunked && !(isLength && quirks.prefers === 'length')) return readChunked(text, start, quirks)
  if (!isLength) return { body: '', end: start, complete: true }
  const end = Math.min(text.length, start + length)
  return { body: text.slice(start, end), end, complete: end === start + length }
}

function readChunked(text: string, start: number, { chunkLineEnds }: Quirks): LenientBody {
  const lineEnd = chunkLineEnds === 'crlf' ? '\r\n' : '\n'
  let body = ''
  let at = start
  const cut = (): LenientBody => ({ body, end: text.length, complete: false })
  for (;;) {
    const sizeEnd = text.indexOf(lineEnd, at)
    if (sizeEnd < 0) return cut()
    const size = Number.parseInt(text.slice(at, sizeEnd), 16) || 0
    at = sizeEnd + lineEnd.length
    if (size === 0) break
    body += text.slice(at, at + size)
    at += size
    // Whatever ends the data is skipped: two octets, or one.
    if (text.startsWith('\r\n', at)) at += 2
    else if (chunkLineEnds === 'lf' && text.startsWith('\n', at)) at += 1
    if (at >= text.length) return cut()
  }
  for (;;) {
    const end = text.indexOf(lineEnd, at)
    if (end < 0) return cut()
    const line = text.slice(at, end).replace(/\r$/, '')
    at = end + lineEnd.length
    if (line === '') return { body, end: at, complete: true }
  }
}

/** Bodies as they leave in chunks, turn by turn: whoever decodes them gets the octets that came, the trailers that may pass, and one end. */
import { Buffer } from 'node:buffer'
import { WriteBatch } from '../../lib/exchange/write-batch.ts'
import { BulkBuffers } from '../../lib/net/bulk-buffers.ts'
import { createParser, encodeTrailers, lastChunk, type TrailerSection } from '../../native-free-parser/index.ts'
import type { SeededRandom } from '../../test/support/seeded-random.ts'
import { EngineLease } from '../engine-lease.ts'
import { readWithNode } from '../node-parser.ts'
import { mapOnto, toBytes, toText } from '../octets.ts'
import { readChunks } from '../reference-chunks.ts'
import { expect, expectSame, type Canary, type FuzzTarget } from '../target.ts'
import { readWithUndici } from '../undici-parser.ts'

/** One read: ranges of the shared buffer that hold data, between octets that are none of it. */
interface Turn {
  readonly source: Buffer
  readonly ranges: readonly (readonly [start: number, end: number])[]
}

/** Where the piece may lie. */
type Place = 'here' | 'lent' | 'kept'

interface Subject {
  readonly encodeTurn: (turn: Turn, tail: string, place: Place) => string
  readonly encodeTrailers: (trailers: TrailerSection, nominated: ReadonlySet<string>) => string
}

const bulk = new BulkBuffers()
// One that makes strings of what is small, as in the product, and one that hardly ever does.
const batches = [new WriteBatch(bulk), new WriteBatch(bulk, 4)]

const subject: Subject = {
  encodeTurn: (turn, tail, place) => {
    const [usual, bare] = batches.map((batch) => encodeWith(batch, turn, tail, place))
    expectSame(bare, usual, 'a piece as a buffer and as a string')
    return usual!
  },
  encodeTrailers,
}

function encodeWith(batch: WriteBatch, { source, ranges }: Turn, tail: string, place: Place): string {
  // Encoding may change it.
  const copy = Buffer.from(source)
  for (const [start, end] of ranges) batch.add(start, end)
  const data = batch.encode('', copy, true, tail, place)
  expect(batch.isEmpty, () => 'octets are left in the batch')
  const text = typeof data === 'string' ? data : data.toString('latin1')
  batch.onWritten(true)
  const dataEnd = ranges.at(-1)?.[1] ?? 0
  const untouched = place !== 'here' ? 0 : tail === '' ? dataEnd + 2 : dataEnd
  expect(copy.subarray(untouched).equals(source.subarray(untouched)), () => 'octets were changed that are not its own')
  return text
}

const head = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'
const limits = { chunkSizeDigits: 16, chunkExtensionBytes: 0, messageExtensionBytes: 0, trailerFields: 32, trailerBytes: 8_192 }
const nameAlphabet = ['X-A', 'x-b', 'Digest', '-', '1', '_', '~', 'X-Hop', 'Server-Timing']
const lease = new EngineLease(4)

function makeTarget({ encodeTurn, encodeTrailers: encodeTail }: Subject): FuzzTarget {
  return {
    name: 'chunk-encoder',
    invariants: [
      'the naive decoder, our own with any split, Node and undici decode the octets that came, in one message that ends where the text ends',
      'sizes are canonical, and no chunk is empty but the last',
      'it is the same wherever the piece may lie, and nothing is changed around what was read',
      'trailers that were for one hop only are gone, and no others',
    ],
    run(data, random) {
      const turns = makeTurns(data, random)
      const body = turns.map(textOf).join('')
      const trailers = makeTrailers(data, random)
      const nominated = new Set(random.pick([[], [], ['x-hop'], ['x-a', 'digest']]))
      const passing = trailers.flatMap(([name, value]) => (nominated.has(name.toLowerCase()) ? [] : [name, value]))
      const tail = trailers.length === 0 ? lastChunk : encodeTail({ rawFields: trailers.flat() }, nominated)
      const place = (): Place => random.pick(['here', 'here', 'lent', 'kept'] as const)
      const text = turns.map((turn, index) => encodeTurn(turn, index === turns.length - 1 ? tail : '', place())).join('')
      expectCanonical(text)
      expectSame(readChunks(text, limits), { kind: 'whole', body, trailers: passing, bytes: text.length }, 'the naive decoder')
      expectSame(decode(text, random), [body, passing, head.length + text.length], 'our decoder')
      const bytes = Buffer.from(head + text, 'latin1')
      for (const [name, read] of [['Node', readWithNode] as const, ['undici', readWithUndici] as const]) {
        const { messages, fault } = read('request', bytes)
        expectSame([fault, messages.map((one) => [one.body, one.rawTrailers, one.complete])], ['', [[body, passing, true]]], name)
      }
    },
  }
}

/** At least one, each with some ranges; what stands between them is shaped like chunks, so that it is missed when it gets in. */
function makeTurns(data: Uint8Array, random: SeededRandom): Turn[] {
  const text = toText(data).repeat(random.pick([1, 1, 1, 1, 20]))
  const turns: Turn[] = []
  let at = 0
  do {
    const ranges: [number, number][] = []
    let source = random.pick(['0\r\n\r\n', ' '.repeat(40)])
    for (let count = random.integer(0, 4); count > 0 && at < text.length; count--) {
      const piece = text.slice(at, at + random.integer(1, random.pick([1, 16, 300, 65_536])))
      at += piece.length
      ranges.push([source.length, source.length + piece.length])
      source += piece + random.pick(['', '', '\r\n', '\r\n5\r\n', 'x'])
    }
    turns.push({ source: Buffer.from(source, 'latin1'), ranges })
  } while (at < text.length)
  return turns
}

function textOf({ source, ranges }: Turn): string {
  return ranges.map(([start, end]) => source.toString('latin1', start, end)).join('')
}

function makeTrailers(data: Uint8Array, random: SeededRandom): (readonly [string, string])[] {
  if (random.chance(0.5)) return []
  return Array.from({ length: random.integer(1, 3) }, (_, index) => {
    const value = toText(data.subarray(index * 20, index * 20 + 20)).replace(/[^\t\x20-\x7e\x80-\xff]/g, '')
    return [mapOnto(data.subarray(index, index + random.integer(1, 2)), nameAlphabet) || 'X', value.replace(/^[ \t]+|[ \t]+$/g, '')]
  })
}

/** Line by line: a size line, data of that size, a line end. */
function expectCanonical(text: string): void {
  for (let at = 0; ;) {
    const match = /^(0|[1-9a-f][0-9a-f]*)\r\n/.exec(text.slice(at, at + 20))
    expect(match !== null, () => `no canonical size: ${JSON.stringify(text.slice(at, at + 40))}`)
    const size = Number.parseInt(match[1]!, 16)
    if (size === 0) return
    at += match[0].length + size
    expect(text.startsWith('\r\n', at), () => `no line end behind a chunk: ${JSON.stringify(text.slice(at, at + 10))}`)
    at += 2
  }
}

function decode(text: string, random: SeededRandom): [body: string, trailers: readonly string[], bytes: number] {
  let body = ''
  let trailers: readonly string[] = []
  let at = 0
  lease.use((engine) => {
    const parser = createParser(
      'request',
      {
        onHead() {},
        onBody: (bytes, start, end) => void (body += toText(bytes.subarray(start, end))),
        onTrailers: ({ rawFields }) => void (trailers = rawFields),
        onMessageComplete() {},
      },
      limits,
      engine,
    )
    const bytes = toBytes(head + text)
    const grain = random.pick([1, 5, 100, 100_000])
    for (let taken = -1; at < bytes.length && taken !== 0; at += taken) {
      taken = parser.execute(bytes, at, Math.min(bytes.length, at + random.integer(1, grain)))
    }
    parser.dispose()
  })
  return [body, trailers, at]
}

export const chunkEncoder = makeTarget(subject)

export const chunkEncoderCanaries: readonly Canary[] = [
  {
    bug: 'a turn without data is a chunk of its own',
    target: makeTarget({
      ...subject,
      encodeTurn: (turn, tail, place) => (turn.ranges.length === 0 && tail === '' ? '0\r\n\r\n' : subject.encodeTurn(turn, tail, place)),
    }),
  },
  {
    bug: 'sizes are decimal',
    target: makeTarget({
      ...subject,
      encodeTurn: (turn, tail, place) =>
        subject.encodeTurn(turn, tail, place).replace(/^([0-9a-f]+)\r\n/, (_, size: string) => `${Number.parseInt(size, 16)}\r\n`),
    }),
  },
  {
    bug: 'what lies between two ranges is sent along',
    target: makeTarget({
      ...subject,
      encodeTurn: ({ source, ranges }, tail, place) =>
        subject.encodeTurn({ source, ranges: ranges.length < 2 ? ranges : [[ranges[0]![0], ranges.at(-1)![1]]] }, tail, place),
    }),
  },
  {
    bug: 'a trailer that Connection nominates passes in another case',
    target: makeTarget({
      ...subject,
      encodeTrailers: ({ rawFields }, nominated) => {
        const kept = rawFields.flatMap((name, index) => (index % 2 === 1 || nominated.has(name) ? [] : [name, rawFields[index + 1]!]))
        return encodeTrailers({ rawFields: kept }, new Set())
      },
    }),
  },
]

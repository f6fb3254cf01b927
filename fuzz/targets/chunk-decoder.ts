/** The chunk decoder against a naive one, and against llhttp where both accept. */
import { Buffer } from 'node:buffer'
import { createParser, defaultRequestLimits, ParseError, ParserState, type ParserLimits } from '../../native-free-parser/index.ts'
import type { SeededRandom } from '../../test/support/seeded-random.ts'
import { EngineLease } from '../engine-lease.ts'
import { readWithNode } from '../node-parser.ts'
import { toBytes, toText } from '../octets.ts'
import { readChunks } from '../reference-chunks.ts'
import { expect, expectSame, type Canary, type FuzzTarget } from '../target.ts'
import { readWithUndici } from '../undici-parser.ts'

const head = toBytes('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n')

interface Outcome {
  readonly kind: 'whole' | 'partial' | 'refused'
  readonly body: string
  readonly trailers: readonly string[]
  /** Octets of the chunked body that were taken; -1 when it was refused. */
  readonly bytes: number
}

/** Decodes the chunked body in pieces of the sizes that `pieceBytes` gives. */
type Decode = (data: Uint8Array, limits: ParserLimits, pieceBytes: () => number) => Outcome

const lease = new EngineLease(4)

const decodeWithParser: Decode = (data, limits, pieceBytes) => {
  let body = ''
  let trailers: readonly string[] = []
  let outcome: Outcome | undefined
  lease.use((engine) => {
    const parser = createParser(
      'request',
      {
        onHead() {},
        onBody: (bytes, start, end) => void (body += Buffer.from(bytes.subarray(start, end)).toString('latin1')),
        onTrailers: ({ rawFields }) => void (trailers = rawFields),
        onMessageComplete() {},
      },
      limits,
      engine,
    )
    parser.execute(head)
    let at = 0
    try {
      while (at < data.length && parser.state === ParserState.CHUNKED) {
        at += parser.execute(data, at, Math.min(data.length, at + pieceBytes()))
      }
      outcome = { kind: parser.state === ParserState.COMPLETE ? 'whole' : 'partial', body, trailers, bytes: at }
    } catch (error) {
      if (!(error instanceof ParseError)) throw error
      outcome = { kind: 'refused', body, trailers, bytes: -1 }
    }
    parser.dispose()
  })
  return outcome!
}

function makeTarget(decode: Decode): FuzzTarget {
  return {
    name: 'chunk-decoder',
    invariants: [
      'accepts exactly what the naive decoder accepts: same data, same trailers, same end',
      'what is incomplete for the one is not refused by the other, as far as whole lines tell',
      'where the llhttp of Node or that of undici accepts too, it sees the same data, the same trailers and the same end',
    ],
    run(data, random) {
      const limits = random.chance(0.7) ? defaultRequestLimits : { ...defaultRequestLimits, ...makeLimits(random) }
      const grain = random.pick([1, 3, 20, 100_000])
      const ours = decode(data, limits, () => random.integer(1, grain))
      const naive = readChunks(toText(data), limits)
      if (ours.kind === 'whole' || naive.kind === 'whole') {
        expectSame(
          ours,
          naive.kind === 'whole' ? { kind: 'whole', body: naive.body, trailers: naive.trailers, bytes: naive.bytes } : naive,
          'the naive decoder',
        )
      } else if (ours.kind === 'partial') {
        expectSame([ours.kind, ours.body], [naive.kind, naive.body], 'the naive decoder')
        expect(ours.bytes === data.length, () => `stops at ${ours.bytes} of ${data.length}`)
      } else expect(naive.body.startsWith(ours.body) || ours.body.startsWith(naive.body), () => 'data before the fault differs')
      if (ours.kind !== 'whole') return
      const bytes = Buffer.concat([head, data.subarray(0, ours.bytes)])
      for (const [name, read] of [['Node', readWithNode] as const, ['undici', readWithUndici] as const]) {
        const { messages, ends } = read('request', bytes, { byOctet: true })
        const message = messages[0]
        // llhttp refuses some of what the grammar allows, for instance quoted strings with obs-text.
        if (message?.complete !== true) continue
        expectSame([ours.body, ours.bytes], [message.body, ends[0]! - head.length], `llhttp of ${name}`)
        expectSame(ours.trailers, message.rawTrailers, `the trailers of ${name}`)
      }
    },
  }
}

function makeLimits(random: SeededRandom): Partial<ParserLimits> {
  return {
    chunkSizeDigits: random.integer(1, 16),
    chunkExtensionBytes: random.integer(0, 12),
    messageExtensionBytes: random.integer(0, 20),
    trailerFields: random.integer(0, 3),
    trailerBytes: random.integer(2, 50),
  }
}

export const chunkDecoder = makeTarget(decodeWithParser)

export const chunkDecoderCanaries: readonly Canary[] = [
  {
    bug: 'a size line may end in LF alone',
    target: makeTarget((data, limits, pieceBytes) =>
      decodeWithParser(toBytes(toText(data).replace(/(^|\n)([0-9a-f]+(?:;[^\r\n]*)?)\n/gi, '$1$2\r\n')), limits, pieceBytes),
    ),
  },
  {
    bug: 'what an extension quotes is not looked at: a line end may hide there',
    target: makeTarget((data, limits, pieceBytes) =>
      decodeWithParser(
        toBytes(
          toText(data).replace(/;([^"\r\n]*"[^"\r\n]*)[\r\n]+([^"\r\n]*")/g, (_, before: string, after: string) => `;${before} ${after}`),
        ),
        limits,
        pieceBytes,
      ),
    ),
  },
  {
    bug: 'white space between a size and its CRLF is skipped',
    target: makeTarget((data, limits, pieceBytes) =>
      decodeWithParser(toBytes(toText(data).replace(/(?<=^|\n)([0-9a-f]+)[ \t]+\r/g, '$1\r')), limits, pieceBytes),
    ),
  },
  {
    bug: 'a size of more than 32 bits wraps around',
    target: makeTarget((data, limits, pieceBytes) => {
      const wrapped = toText(data).replace(/(?<=^|\n)[0-9a-f]+([0-9a-f]{8})(?=[;\r])/gi, '$1')
      return decodeWithParser(toBytes(wrapped), limits, pieceBytes)
    }),
  },
  {
    bug: 'any field may stand in a trailer section',
    target: makeTarget((data, limits, pieceBytes) =>
      decodeWithParser(toBytes(toText(data).replace(/content-length(?=:)/gi, 'content-lengt_')), limits, pieceBytes),
    ),
  },
]

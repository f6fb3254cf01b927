/**
 * What a parser tells of a conversation, as lines of text: the same conversation gives the same lines however its bytes are split and
 * wherever they lie in memory. Pieces of a body are joined, everything else is kept as it comes, with the offsets at which the parser
 * stopped. It plays a receiver that goes on behind every complete message; it judges nothing.
 */
import { createParser, ParseError, ParserState } from '../../native-free-parser/index.ts'
import type {
  MessageHead,
  MessageKind,
  ParserEngine,
  ParserLimits,
  RequestHead,
  ResponseContext,
  ResponseHead,
} from '../../native-free-parser/index.ts'

/** One connection, one direction. `raw` is latin-1: one character, one octet. */
export interface Conversation {
  readonly kind: MessageKind
  readonly raw: string
  readonly limits?: Partial<ParserLimits>
  /** What the responses answer, in order; the last one stays. */
  readonly contexts?: readonly ResponseContext[]
  /** The connection ends behind the bytes. */
  readonly ends?: boolean
}

/** Where the bytes lie: in a Buffer of their own, inside a larger Uint8Array, or in the read buffer of the engine. */
export const feeds = ['own', 'foreign', 'engine'] as const
export type Feed = (typeof feeds)[number]

/** Stands behind the end of what is given, where no parser may look: line ends, digits and letters that would go on with anything. */
const staleText = '\r\n\r\n0\r\n\r\n5;a=b\r\nGET / HTTP/1.1\r\nContent-Length: 7\r\n\r\n\0\xff'
const stale = Buffer.from(staleText.repeat(2), 'latin1')

/** A place for one piece: bytes[start, end) with garbage on both sides. */
interface Place {
  readonly bytes: Uint8Array
  readonly start: number
  readonly end: number
}

export function transcribe(engine: ParserEngine, conversation: Conversation, cuts: readonly number[] = [], feed: Feed = 'own'): string[] {
  const { kind, raw, limits, contexts = [], ends = false } = conversation
  const lines: string[] = []
  let body = ''
  const note = (line: string): void => {
    if (body !== '') lines.push(`body ${JSON.stringify(body)}`)
    body = ''
    lines.push(line)
  }
  const handler = {
    onHead: (head: RequestHead | ResponseHead) => note(describeHead(head)),
    onBody: (bytes: Uint8Array, start: number, end: number) => {
      body += Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1')
    },
    onTrailers: ({ rawFields }: { rawFields: readonly string[] }) => note(`trailers ${JSON.stringify(rawFields)}`),
    onMessageComplete: () => note('complete'),
  }
  const parser = createParser(kind, handler, limits, engine)
  let messages = 0
  const expectNext = (): void => {
    const context = contexts[Math.min(messages++, contexts.length - 1)]
    if (context !== undefined) parser.expectResponse(context)
  }
  expectNext()
  const octets = Buffer.from(raw, 'latin1')
  try {
    let from = 0
    for (const to of [...cuts, octets.length]) {
      for (let at = from; at < to;) {
        // The read buffer holds so much and no more.
        const upTo = feed === 'engine' ? Math.min(to, at + engine.readBuffer.length - 256) : to
        const place = put(engine, octets, at, upTo, feed)
        const taken = parser.execute(place.bytes, place.start, place.end)
        at += taken
        if (parser.state === ParserState.COMPLETE) {
          note(`stopped at ${at}`)
          parser.resume()
          expectNext()
        } else if (parser.state === ParserState.TUNNEL) {
          note(`tunnel from ${at}`)
          return lines
        } else if (at !== upTo) throw new Error(`took ${taken} of ${upTo - at + taken} bytes in state ${parser.state}`)
      }
      from = to
    }
    note(`${parser.state} with ${parser.messageBytes} bytes`)
    if (ends) {
      parser.finish()
      note(`finished ${parser.state}`)
    }
  } catch (error) {
    if (!(error instanceof ParseError)) throw error
    note(`refused ${error.rule} at ${error.offset}`)
  } finally {
    parser.dispose()
  }
  return lines
}

/** The piece octets[from, to) where `feed` says, at an odd offset and with stale bytes around it. */
function put(engine: ParserEngine, octets: Buffer, from: number, to: number, feed: Feed): Place {
  const piece = octets.subarray(from, to)
  if (feed === 'own') return { bytes: piece, start: 0, end: piece.length }
  const start = 1 + 2 * (from % 31)
  const end = start + piece.length
  const bytes = feed === 'engine' ? engine.readBuffer : new Uint8Array(new ArrayBuffer(end + stale.length + 3), 3)
  bytes.set(stale.subarray(0, start), 0)
  bytes.set(stale.subarray(0, Math.min(stale.length, bytes.length - end)), end)
  bytes.set(piece, start)
  return { bytes, start, end }
}

function describeHead(head: MessageHead & (RequestHead | ResponseHead)): string {
  const start = 'status' in head ? `${head.status}` : `${head.method} ${head.target} ${head.authority} ${head.expectsContinue}`
  const { close, keepAlive, upgrade, te, nominated } = head.connection
  const connection = JSON.stringify({ close, keepAlive, upgrade, te, nominated })
  const fields = JSON.stringify(head.toRawFields())
  return `head ${start} 1.${head.minorVersion} ${head.bodyKind} ${head.contentLength} ${connection} ${fields} ${JSON.stringify(head.raw)}`
}

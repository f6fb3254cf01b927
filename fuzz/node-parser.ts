/**
 * A second opinion: what Node's own HTTP parser (llhttp of this Node's version, strict, as http.Server and http.request use it) sees in a
 * stream of messages. Node has no public door to it; `_http_common` is the one that all supported versions have.
 */
import { Buffer } from 'node:buffer'
import { METHODS } from 'node:http'
import { createRequire } from 'node:module'
import type { ForeignMessage, ForeignReading, ReadingOptions } from './foreign-reading.ts'

interface BoundParser {
  initialize(type: number, resource: object, headBytesMax: number, lenientFlags: number): void
  execute(bytes: Buffer): number | (Error & { code: string; bytesParsed: number })
  finish(): undefined | (Error & { code: string })
  /** Nothing else frees it. Not inside a callback. */
  close(): void
  [callback: number]: unknown
}

type ParserClass = (new () => BoundParser) &
  Readonly<Record<'REQUEST' | 'RESPONSE' | 'kOnHeaders' | 'kOnHeadersComplete' | 'kOnBody' | 'kOnMessageComplete', number>>

const { HTTPParser } = createRequire(import.meta.url)('node:_http_common') as { HTTPParser: ParserClass }
const headBytesMax = 1_048_576
const methods = learnMethods()

/** The parser tells methods as numbers, and only itself knows which number is which. */
function learnMethods(): readonly string[] {
  const names: string[] = []
  for (const name of METHODS) {
    const parser = new HTTPParser()
    parser.initialize(HTTPParser.REQUEST, {}, headBytesMax, 0)
    parser[HTTPParser.kOnHeadersComplete] = (_major: number, _minor: number, _fields: unknown, method: number) => {
      names[method] = name
      return 0
    }
    parser.execute(Buffer.from(`${name} ${name === 'CONNECT' ? 'a:1' : '/'} HTTP/1.1\r\nHost: a\r\n\r\n`, 'latin1'))
    parser.close()
  }
  return names
}

export function readWithNode(kind: 'request' | 'response', bytes: Uint8Array, options: ReadingOptions = {}): ForeignReading {
  const messages: ForeignMessage[] = []
  const ends: number[] = []
  let finals = 0
  let offset = 0
  /** Fields that came before their head was complete, because they are many; then trailers. */
  let early: string[] = []
  let current: ForeignMessage | undefined
  let hasUpgraded = false
  let completed = 0
  const parser = new HTTPParser()
  parser.initialize(kind === 'request' ? HTTPParser.REQUEST : HTTPParser.RESPONSE, {}, headBytesMax, 0)
  parser[HTTPParser.kOnHeaders] = (fields: string[], url: string) => {
    if (current === undefined) {
      early.push(...fields)
      earlyTarget += url
    } else current.rawTrailers.push(...fields)
  }
  let earlyTarget = ''
  parser[HTTPParser.kOnHeadersComplete] = (
    _major: number,
    minorVersion: number,
    fields: string[] | undefined,
    method: number | undefined,
    url: string | undefined,
    status: number | undefined,
    _reason: unknown,
    upgrades: boolean,
    persists: boolean,
  ): number => {
    current = {
      method: method === undefined ? '' : (methods[method] ?? ''),
      target: earlyTarget + (url ?? ''),
      status: status ?? 0,
      minorVersion,
      rawFields: [...early, ...(fields ?? [])],
      rawTrailers: [],
      body: '',
      complete: false,
      persists,
    }
    early = []
    earlyTarget = ''
    messages.push(current)
    if (upgrades) hasUpgraded = true
    if (kind === 'request' || current.status < 200) return 0
    return options.isToHead?.(finals++) === true ? 1 : 0
  }
  parser[HTTPParser.kOnBody] = (piece: Buffer) => {
    current!.body += piece.toString('latin1')
  }
  parser[HTTPParser.kOnMessageComplete] = () => {
    current!.complete = true
    current = undefined
    completed++
  }
  const all = Buffer.from(bytes)
  let fault = ''
  let stuckAt = -1
  while (offset < all.length) {
    const completeBefore = completed
    const stop = options.byOctet === true ? offset + 1 : all.length
    const taken = parser.execute(all.subarray(offset, stop))
    if (typeof taken !== 'number') {
      fault = taken.code
      break
    }
    // Behind an upgrade the parser stops, and goes on when it is given the rest; of what it does not like there it tells nothing.
    if (taken === 0 && stuckAt === offset) {
      fault = 'nothing taken behind an upgrade'
      break
    }
    stuckAt = offset
    offset += taken
    if (completed > completeBefore) ends.push(offset)
    if (hasUpgraded && options.stopsAtUpgrade === true && current === undefined) break
  }
  if (fault === '' && options.hasEnded === true && !(hasUpgraded && options.stopsAtUpgrade === true)) {
    const error = parser.finish()
    if (error !== undefined) fault = error.code
  }
  parser.close()
  return { messages, fault, ends }
}

/**
 * Where a message ends: our decision against RFC 9112 section 6.3, written down a second time as a list of cases over field values. The heads
 * are right but for what frames them; the octets of the input choose fields, values, version, method and status.
 */
import { Buffer } from 'node:buffer'
import { createParser, ParseError, ParserState, ruleTable, type MessageKind, type ResponseContext } from '../../native-free-parser/index.ts'
import type { SeededRandom } from '../../test/support/seeded-random.ts'
import { ByteRandom } from '../byte-random.ts'
import { EngineLease } from '../engine-lease.ts'
import { readWithNode } from '../node-parser.ts'
import { toBytes, toText } from '../octets.ts'
import { expect, expectSame, type Canary, type FuzzTarget } from '../target.ts'
import { readWithUndici } from '../undici-parser.ts'

/** A message head and what is known besides. */
interface Message {
  readonly kind: MessageKind
  readonly startLine: string
  readonly minorVersion: number
  readonly status: number
  readonly fields: readonly (readonly [name: string, value: string])[]
  readonly context: ResponseContext
}

type Verdict = { readonly ends: 'none' | 'chunked' | 'close' | 'tunnel' } | { readonly ends: 'length'; readonly bytes: number } | 'refused'

interface Decision {
  readonly verdict: Verdict
  /** With which a client is refused, 0 otherwise. */
  readonly status: number
}

type Decide = (kind: MessageKind, head: string, context: ResponseContext) => Decision

/** Longer bodies are not written out. */
const bodyBytesMax = 5_000
const chunkedBody = '3;x=y\r\nabc\r\n0\r\n\r\n'

const lease = new EngineLease(4)

/** Asks the parser, and holds it to its answer: a body of that kind is given, and it has to end there and nowhere else. */
const decideWithParser: Decide = (kind, head, context) => {
  let decision: Decision | undefined
  lease.use((engine) => {
    let bodyBytes = 0
    let verdict = 'refused' as Verdict
    const handler = {
      onHead: ({ bodyKind, contentLength }: { bodyKind: string; contentLength: number }) => {
        verdict = (bodyKind === 'length' ? { ends: 'length', bytes: contentLength } : { ends: bodyKind }) as Verdict
      },
      onBody: (_bytes: Uint8Array, start: number, end: number) => void (bodyBytes += end - start),
      onTrailers() {},
      onMessageComplete() {},
    }
    const parser = kind === 'request' ? createParser('request', handler, {}, engine) : createParser('response', handler, {}, engine)
    if (kind === 'response') parser.expectResponse(context)
    try {
      expectSame(parser.execute(toBytes(head)), head.length, 'octets of the head')
      const body = bodyFor(verdict)
      const wanted = typeof verdict === 'string' || verdict.ends === 'none' || verdict.ends === 'tunnel' ? 0 : body.length
      const hasEnd = verdict !== 'refused' && verdict.ends !== 'close' && wanted <= bodyBytesMax
      const extra = hasEnd ? 'x' : ''
      if (parser.state === ParserState.IDLE) expect(verdict !== 'refused', () => 'an interim head is not told')
      else expectSame(parser.execute(toBytes(body + extra)), wanted, `octets of a body: ${JSON.stringify(verdict)}`)
      expectSame(bodyBytes, wanted === chunkedBody.length && body === chunkedBody ? 3 : wanted, 'octets of data')
      decision = { verdict, status: 0 }
    } catch (error) {
      if (!(error instanceof ParseError)) throw error
      decision = { verdict: 'refused', status: ruleTable[error.rule].status }
    }
    parser.dispose()
  })
  return decision!
}

/** What the verdict asks for, or the beginning of it. */
function bodyFor(verdict: Verdict): string {
  if (verdict === 'refused') return ''
  switch (verdict.ends) {
    case 'length':
      return 'x'.repeat(Math.min(verdict.bytes, bodyBytesMax + 1))
    case 'chunked':
      return chunkedBody
    case 'close':
      return 'up to the end'
    default:
      return ''
  }
}

function makeTarget(decide: Decide): FuzzTarget {
  return {
    name: 'framing-decision',
    invariants: [
      'a request and a response end where RFC 9112 section 6.3 says, and what it leaves open is refused',
      'a body of that kind ends there and nowhere else',
      'a coding that is only not known is refused with 501, another fault of Transfer-Encoding with 400',
      'where the parsers of Node and undici accept the head, they find the same end',
    ],
    run(data, random) {
      const message = makeMessage(new ByteRandom(data, random.integer(0, 0x7fff_ffff)), toText(data))
      const head = `${message.startLine}\r\n${message.fields.map(([name, value]) => `${name}:${value}\r\n`).join('')}\r\n`
      const decision = decide(message.kind, head, message.context)
      const wanted = decideByRfc(message)
      expectSame(decision.verdict, wanted, `the end of ${JSON.stringify(head)}, ${JSON.stringify(message.context)}`)
      const codingStatus = statusOfCoding(message)
      if (codingStatus !== 0) expectSame(decision.status, codingStatus, `the status for ${JSON.stringify(head)}`)
      if (wanted !== 'refused' && wanted.ends !== 'tunnel') compareWithForeign(message, head, wanted)
    },
  }
}

// What is decided about

const lengthNames = ['Content-Length', 'content-length', 'CONTENT-LENGTH']
const codingNames = ['Transfer-Encoding', 'transfer-encoding', 'tRANSFER-eNCODING']
const otherNames = ['Content_Length', 'Transfer-Encodin', 'X-Transfer-Encoding', 'Content-Length-X', 'Content-Encoding', 'Trailer']
const valuePieces = [
  ...[
    '0',
    '1',
    '5',
    '9',
    '10',
    '4294967297',
    '9007199254740991',
    '9007199254740992',
    '18446744073709551617',
    '0x5',
    '+5',
    '-1',
    '5.0',
    '1e1',
  ],
  ...['chunked', 'Chunked', 'CHUNKED', 'chunke', 'd', 'xchunked', 'chunked;q=1', 'identity', 'gzip', 'deflate', 'x-y', '"chunked"'],
  ...[',', ', ', ' ,', ' ', '\t', '\x0b', '\x85', '\xa0', '\u00e7', ';', '=', '"'],
]

function makeMessage(chance: SeededRandom, text: string): Message {
  const kind = chance.pick(['request', 'response'] as const)
  const minorVersion = chance.pick([1, 1, 1, 0])
  const status = chance.pick([200, 200, 200, 100, 101, 103, 199, 204, 205, 206, 304, 404, 426, 500, 599])
  const method = chance.pick(['GET', 'POST', 'PUT', 'HEAD', 'DELETE', 'OPTIONS'])
  const switches = kind === 'response' && chance.chance(0.3)
  const fields: (readonly [string, string])[] = kind === 'request' ? [['Host', ' a']] : []
  if (switches) fields.push(['Connection', ' Upgrade'], ['Upgrade', chance.pick([' foo/2', ' FOO/2 ', ' bar', ' foo/2, bar'])])
  for (let count = chance.pick([0, 1, 1, 1, 2, 2, 3]); count > 0; count--) {
    const names = chance.pick([lengthNames, lengthNames, codingNames, codingNames, otherNames])
    fields.push([chance.pick(names), makeValue(names, chance, text)])
  }
  return {
    kind,
    startLine: kind === 'request' ? `${method} / HTTP/1.${minorVersion}` : `HTTP/1.${minorVersion} ${status} Reason`,
    minorVersion,
    status: kind === 'request' ? 0 : status,
    fields,
    context: { toHead: kind === 'response' && chance.chance(0.2), offered: chance.chance(0.5) ? ['foo/2'] : [] },
  }
}

/** Mostly what belongs there, now and then any octets that a value may have. */
function makeValue(names: readonly string[], chance: SeededRandom, text: string): string {
  const space = (): string => chance.pick(['', ' ', ' ', '\t', '  '])
  if (chance.chance(0.4)) {
    return `${space()}${names === codingNames ? chance.pick(['chunked', 'Chunked', 'gzip, chunked']) : chance.integer(0, 30)}${space()}`
  }
  if (chance.chance(0.05)) return text.replace(/[^\t\x20-\x7e\x80-\xff]/g, '').slice(0, 60)
  return (
    space() +
    Array.from({ length: chance.integer(0, 4) }, () => chance.pick(valuePieces))
      .join('')
      .replace(/[^\t\x20-\x7e\x80-\xff]/g, '') +
    space()
  )
}

// The second decision

function valuesOf(message: Message, wanted: string): string[] {
  return message.fields.filter(([name]) => name.toLowerCase() === wanted).map(([, value]) => value.replace(/^[ \t]+|[ \t]+$/g, ''))
}

/** RFC 9112 section 6.3, rule by rule, for a recipient that refuses wherever it "ought to", "SHOULD" or "MAY". */
function decideByRfc(message: Message): Verdict {
  const { kind, status, minorVersion, context } = message
  const lengths = valuesOf(message, 'content-length')
  const codings = valuesOf(message, 'transfer-encoding')
  // Rule 3: both fields. Section 6.1: Transfer-Encoding in 1.0, and in a response that has no body.
  if (codings.length > 0 && (lengths.length > 0 || minorVersion === 0)) return 'refused'
  // Rule 4, with nothing but one chunked understood. Rule 5, with no list of lengths, not even of equal ones.
  if (codings.length > 1 || (codings.length === 1 && codings[0]!.toLowerCase() !== 'chunked')) return 'refused'
  if (lengths.length > 1 || (lengths.length === 1 && !/^[0-9]+$/.test(lengths[0]!))) return 'refused'
  if (lengths.length === 1 && BigInt(lengths[0]!) > BigInt(Number.MAX_SAFE_INTEGER)) return 'refused'
  if (kind === 'response') {
    // RFC 9110 section 15.2.2: to what was asked for, and nothing else.
    if (status === 101) return isOffered(message) ? { ends: 'tunnel' } : 'refused'
    // Rule 1.
    if (status < 200 || status === 204) return codings.length > 0 ? 'refused' : { ends: 'none' }
    if (context.toHead || status === 304) return { ends: 'none' }
  }
  if (codings.length > 0) return { ends: 'chunked' }
  // Rule 6.
  if (lengths.length > 0) return Number(lengths[0]) === 0 ? { ends: 'none' } : { ends: 'length', bytes: Number(lengths[0]) }
  // Rules 7 and 8.
  return { ends: kind === 'request' ? 'none' : 'close' }
}

function isOffered(message: Message): boolean {
  const protocols = valuesOf(message, 'upgrade').flatMap((value) => value.split(','))
  return protocols.length > 0 && protocols.every((protocol) => message.context.offered.includes(protocol.trim().toLowerCase()))
}

/** For a request in which Transfer-Encoding is all that is wrong; 0 where something else may come first. */
function statusOfCoding(message: Message): number {
  const [value, ...others] = valuesOf(message, 'transfer-encoding')
  const isOther = message.kind !== 'request' || message.minorVersion === 0 || valuesOf(message, 'content-length').length > 0
  if (isOther || value === undefined || others.length > 0 || value.toLowerCase() === 'chunked') return 0
  const codings = value.split(',').map((coding) => coding.replace(/^[ \t]+|[ \t]+$/g, '').toLowerCase())
  const areTokens = codings.every((coding) => /^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(coding))
  return areTokens && codings.indexOf('chunked') === codings.length - 1 ? 501 : 400
}

function compareWithForeign(message: Message, head: string, verdict: Exclude<Verdict, 'refused'>): void {
  // llhttp takes a tab for a part of the coding; white space is no part of a value.
  if (/^transfer-encoding:.*\t/im.test(head)) return
  // llhttp waits for a body behind an interim response that tells a length; by rule 1 there is none.
  if (message.kind === 'response' && message.status < 200 && /^content-length:/im.test(head)) return
  const body = bodyFor(verdict)
  const bytes = Buffer.from(head + body, 'latin1')
  const isWhole = verdict.ends !== 'close' && body.length <= bodyBytesMax
  for (const [name, read] of [['Node', readWithNode] as const, ['undici', readWithUndici] as const]) {
    const { messages, fault } = read(message.kind, bytes, { isToHead: () => message.context.toHead })
    if (fault !== '') continue
    const data = verdict.ends === 'chunked' ? 'abc' : body
    expectSame(
      messages.map((one) => [one.body, one.complete]),
      [[data, isWhole]],
      `what ${name} makes of ${JSON.stringify(head)}`,
    )
  }
}

export const framingDecision = makeTarget(decideWithParser)

/** With a head that was changed before it is judged: as if that had not been seen. */
function misread(change: (head: string, context: ResponseContext) => string): FuzzTarget {
  return makeTarget((kind, head, context) => {
    const changed = change(head, context)
    return decideWithParser(kind, changed, context)
  })
}

const lengthLine = /\r\nContent-Length:[^\r]*/gi
const codingLine = /\r\nTransfer-Encoding:[^\r]*/gi

export const framingDecisionCanaries: readonly Canary[] = [
  {
    bug: 'Content-Length wins over Transfer-Encoding',
    target: misread((head) => (head.search(lengthLine) < 0 ? head : head.replace(codingLine, ''))),
  },
  {
    bug: 'Transfer-Encoding wins over Content-Length',
    target: misread((head) => (head.search(codingLine) < 0 ? head : head.replace(lengthLine, ''))),
  },
  {
    bug: 'the last of several lengths counts',
    target: misread((head) => head.replace(/(?:\r\nContent-Length:[^\r]*)+(\r\nContent-Length:[^\r]*)/gi, '$1')),
  },
  {
    bug: 'a coding that only contains chunked is taken for it',
    target: misread((head) => head.replace(/(\r\nTransfer-Encoding:)[^\r]*chunked[^\r]*/gi, '$1chunked')),
  },
  {
    bug: 'a message of version 1.0 may be chunked',
    target: misread((head) => (head.search(codingLine) < 0 ? head : head.replace('HTTP/1.0', 'HTTP/1.1'))),
  },
  { bug: 'a 304 has the body whose length it tells', target: misread((head) => head.replace(/^(HTTP\/1\.[01]) 304/, '$1 200')) },
  { bug: 'a sign may stand before a length', target: misread((head) => head.replace(/(\r\nContent-Length:[ \t]*)\+/gi, '$1')) },
]

/** A request head that is accepted leaves as one that everybody reads in the same way. */
import { Buffer } from 'node:buffer'
import {
  BodyKind,
  createParser,
  encodeRequestHead,
  FieldKind,
  ParseError,
  ParserState,
  type RequestEncoding,
  type RequestHead,
} from '../../native-free-parser/index.ts'
import type { SeededRandom } from '../../test/support/seeded-random.ts'
import { EngineLease } from '../engine-lease.ts'
import { expectedEdits, makeFieldPlan, noPlan, type FieldPlan } from '../field-plan.ts'
import { readWithNode } from '../node-parser.ts'
import { toBytes } from '../octets.ts'
import { expect, expectSame, type Canary, type FuzzTarget } from '../target.ts'
import { readWithUndici } from '../undici-parser.ts'

/** With the plan that `edits` and `added` come from. */
interface Passage extends RequestEncoding {
  readonly plan: FieldPlan
}

type Encode = (head: RequestHead, passage: Passage) => string

/** What was read, in a form that outlives the head. */
interface Reading {
  readonly method: string
  readonly target: string
  readonly rawFields: readonly string[]
  readonly bodyKind: BodyKind
  readonly contentLength: number
}

/** Longer bodies are not written out for the second opinion. */
const bodyBytesMax = 65_536

const hopByHop: ReadonlySet<string> = new Set([
  ...['connection', 'keep-alive', 'proxy-connection', 'te', 'upgrade', 'http2-settings'],
  ...['proxy-authorization', 'proxy-authenticate', 'proxy-authentication-info'],
])

function makeTarget(encode: Encode): FuzzTarget {
  const first = new EngineLease(4)
  const second = new EngineLease(4)
  return {
    name: 'head-round-trip',
    invariants: [
      'the encoded head is accepted by our parser, by that of Node and by that of undici, each of which sees the method, target, fields and framing that came in',
      'what is for one hop only is gone, and nothing else is, but for what is to be dropped, added, or added where there is none',
      'there is at most one framing field, exactly one when there is a body, and exactly one Host',
      'encoding what was encoded changes nothing more',
    ],
    run(data, random) {
      first.use((engine) => {
        const parser = createParser(
          'request',
          {
            onHead: (head) => {
              const passage = makePassage(head, random)
              second.use((otherEngine) => judge(head, passage, (text) => readAgain(text, otherEngine, encode)))
            },
            onBody() {},
            onTrailers() {},
            onMessageComplete() {},
          },
          {},
          engine,
        )
        let at = 0
        try {
          while (at < data.length) {
            at += parser.execute(data, at, data.length)
            if (parser.state === ParserState.COMPLETE) parser.resume()
          }
        } catch (error) {
          if (!(error instanceof ParseError)) throw error
        }
        parser.dispose()
      })
    },
  }

  function judge(head: RequestHead, encoding: Passage, readBack: (text: string) => { reading: Reading; again: string }): void {
    const text = encode(head, encoding)
    const wanted: Reading = {
      method: head.method,
      target: originForm(head.method, head.target),
      rawFields: expectedFields(head, encoding),
      bodyKind: head.bodyKind,
      contentLength: head.contentLength,
    }
    judgeFraming(text, head.bodyKind)
    const { reading, again } = readBack(text)
    expectSame(reading, wanted, 'our parser reads the encoded head')
    if (encoding.upgrade === '' && !encoding.acceptsTrailers) expectSame(again, text, 'encoded once more')
    judgeWithForeign(text, wanted)
  }
}

const forwardedBits = [
  FieldKind.FORWARDED,
  FieldKind.X_FORWARDED_FOR,
  FieldKind.X_FORWARDED_HOST,
  FieldKind.FORWARDED_ALIKE,
].reduce<number>((bits, kind) => bits | (1 << kind), 0)
const forwardedNames = ['forwarded', 'x-forwarded-for', 'x-forwarded-host']

function makePassage(head: RequestHead, random: SeededRandom): Passage {
  const plan = random.chance(0.5) ? noPlan : makeFieldPlan(head, random, true)
  return {
    plan,
    edits: plan.edits,
    added: plan.added,
    host: random.pick(['', '', '', 'upstream.test:81']),
    drops: random.pick([0, 0, forwardedBits]),
    via: random.pick(['', 'fuzz', 'a:80']),
    defaultHost: 'default.test:8080',
    upgrade: random.pick(['', '', 'websocket', 'foo/2, bar']),
    maxForwards: random.pick(['', '', '7']),
    acceptsTrailers: random.chance(0.3),
  }
}

/** Parses one head and encodes it with nothing to add. */
function readAgain(text: string, engine: Parameters<typeof createParser>[3] & object, encode: Encode): { reading: Reading; again: string } {
  let result: { reading: Reading; again: string } | undefined
  const parser = createParser(
    'request',
    {
      onHead: (head) => {
        const { method, target, bodyKind, contentLength } = head
        const nothing: Passage = {
          plan: noPlan,
          via: '',
          defaultHost: 'none',
          upgrade: '',
          maxForwards: '',
          acceptsTrailers: false,
          host: '',
          drops: 0,
          edits: null,
          added: '',
        }
        result = { reading: { method, target, rawFields: head.toRawFields(), bodyKind, contentLength }, again: encode(head, nothing) }
      },
      onBody() {},
      onTrailers() {},
      onMessageComplete() {},
    },
    // What is added may take a head over the limits that the original kept.
    { headBytes: 65_536, fields: 200, startLineBytes: 16_384 },
    engine,
  )
  const bytes = toBytes(text)
  let taken: number
  try {
    taken = parser.execute(bytes)
  } catch (error) {
    if (!(error instanceof ParseError)) throw error
    throw new Error(`our parser refuses what was encoded: ${error.rule} at ${error.offset} of ${JSON.stringify(text)}`, { cause: error })
  }
  parser.dispose()
  expect(taken === bytes.length && result !== undefined, () => `our parser does not take the encoded head for one: ${JSON.stringify(text)}`)
  return result
}

/** Line by line, as somebody would who knows nothing of HTTP but what a line is. */
function judgeFraming(text: string, bodyKind: BodyKind): void {
  expect(/^[^\r\n]+\r\n(?:[^\r\n]+\r\n)*\r\n$/.test(text), () => `not one head: ${JSON.stringify(text)}`)
  const names = text
    .split('\r\n')
    .slice(1, -2)
    .map((line) => line.slice(0, line.indexOf(':')).toLowerCase())
  const framing = names.filter((name) => /^(?:content-length|transfer-encoding)$/.test(name.trim()))
  expect(framing.length <= 1, () => `framing fields: ${framing.join(', ')}`)
  if (bodyKind === BodyKind.CHUNKED) expectSame(framing, ['transfer-encoding'], 'framing of a chunked body')
  if (bodyKind === BodyKind.LENGTH) expectSame(framing, ['content-length'], 'framing of a body with a length')
  expect(names.filter((name) => name === 'host').length === 1, () => `Host fields: ${JSON.stringify(names)}`)
}

function judgeWithForeign(text: string, wanted: Reading): void {
  let body = ''
  if (wanted.bodyKind === BodyKind.CHUNKED) body = '0\r\n\r\n'
  else if (wanted.bodyKind === BodyKind.LENGTH) body = 'x'.repeat(Math.min(wanted.contentLength, bodyBytesMax))
  const bytes = Buffer.from(`${text}${body}`, 'latin1')
  const isWhole = wanted.bodyKind !== BodyKind.LENGTH || wanted.contentLength <= bodyBytesMax
  for (const [name, read] of [['Node', readWithNode] as const, ['undici', readWithUndici] as const]) {
    const { messages, fault } = read('request', bytes)
    expect(fault === '', () => `${name} refuses what was encoded with ${fault}: ${JSON.stringify(text)}`)
    expect(messages.length === 1, () => `${name} sees ${messages.length} requests in ${JSON.stringify(text)}`)
    const message = messages[0]!
    expectSame(
      [message.method, message.target, message.rawFields],
      [wanted.method, wanted.target, wanted.rawFields],
      `${name} reads the encoded head`,
    )
    expectSame([message.complete, message.minorVersion], [isWhole, 1], `${name} finds the end of the message`)
  }
}

/** RFC 9112 section 3.2.2, from the text of the target alone. */
function originForm(method: string, target: string): string {
  const match = /^https?:\/\/[^/?#]*(.*)$/i.exec(target)
  if (match === null) return target
  const path = match[1]!
  if (path === '' && method === 'OPTIONS') return '*'
  return path.startsWith('/') ? path : `/${path}`
}

/** Name and value of every field that has to leave, alternating, from the lines of the head. */
function expectedFields(head: RequestHead, encoding: Passage): string[] {
  const lines = head.raw.split('\r\n').slice(1, -2)
  const fields = lines.map((line) => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon), line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, '')] as const
  })
  const authority = /^https?:\/\/([^/?#]*)/i.exec(head.target)?.[1]
  const nominated = new Set(head.connection.nominated)
  const result: string[] = []
  let hasHost = false
  for (const [name, value] of fields) {
    const lower = name.toLowerCase()
    if (hopByHop.has(lower) || nominated.has(lower)) continue
    if (lower === 'trailer' && head.bodyKind !== BodyKind.CHUNKED) continue
    if (lower === 'expect' && head.minorVersion === 0) continue
    if (encoding.drops !== 0 && isForwarded(lower)) continue
    if (lower === 'host') hasHost = true
    if (lower === 'host' && encoding.host !== '') result.push('Host', encoding.host)
    else if (lower === 'host' && authority !== undefined) result.push('Host', authority)
    else if (lower === 'transfer-encoding') result.push('Transfer-Encoding', 'chunked')
    else if (lower === 'content-length' && /^0./.test(value)) result.push('Content-Length', String(Number(value)))
    else if (lower === 'max-forwards' && encoding.maxForwards !== '') result.push('Max-Forwards', encoding.maxForwards)
    else result.push(name, value)
  }
  const edited = expectedEdits(result, encoding.plan)
  result.splice(0, result.length, ...edited.kept)
  if (!hasHost) result.push('Host', encoding.host || authority || encoding.defaultHost)
  const options = [encoding.upgrade === '' ? '' : 'Upgrade', encoding.acceptsTrailers ? 'TE' : ''].filter((option) => option !== '')
  if (options.length > 0) result.push('Connection', options.join(', '))
  if (encoding.upgrade !== '') result.push('Upgrade', encoding.upgrade)
  if (encoding.acceptsTrailers) result.push('TE', 'trailers')
  if (encoding.via !== '') result.push('Via', `1.${head.minorVersion} ${encoding.via}`)
  result.push(...edited.added)
  return result
}

/** Fields of this bits' kinds, and those that a gateway takes for one of the X-Forwarded fields. */
function isForwarded(lower: string): boolean {
  if (forwardedNames.includes(lower)) return true
  return lower.includes('_') && /^x[-_]forwarded[-_](?:for|host|port|proto)$/.test(lower)
}

export const headRoundTrip = makeTarget(encodeRequestHead)

export const headRoundTripCanaries: readonly Canary[] = [
  {
    bug: 'a field that Connection nominates is looked for in the case in which it is nominated',
    target: makeTarget((head, encoding) => {
      const text = encodeRequestHead(head, encoding)
      const line = head.raw
        .split('\r\n')
        .find((one) => /^[A-Z]/.test(one) && head.connection.nominated.has(one.split(':')[0]!.toLowerCase()))
      return line === undefined ? text : `${text.slice(0, -2)}${line}\r\n\r\n`
    }),
  },
  {
    bug: 'a field that Connection nominates may be the one that frames the body',
    target: makeTarget((head, encoding) => {
      const text = encodeRequestHead(head, encoding)
      return [...head.connection.nominated].length > 0 ? text.replace(/\r\nContent-Length:[^\r]*/i, '') : text
    }),
  },
  {
    bug: 'the Host of an absolute target is not replaced',
    target: makeTarget((head, encoding) => {
      const text = encodeRequestHead(head, encoding)
      const host = /\r\nhost:[ \t]*([^\r]*?)[ \t]*\r/i.exec(head.raw)?.[1]
      return head.authority === '' || host === undefined ? text : text.replace(/\r\nHost: [^\r]*/, `\r\nHost: ${host}`)
    }),
  },
  {
    bug: 'a field is added once for every protocol that is offered',
    target: makeTarget((head, encoding) => {
      const text = encodeRequestHead(head, encoding)
      return encoding.upgrade.includes(',') && head.bodyKind === BodyKind.CHUNKED
        ? `${text.slice(0, -2)}transfer-encoding: chunked\r\n\r\n`
        : text
    }),
  },
  {
    bug: 'a field that is to be dropped passes when it is written in another case',
    target: makeTarget((head, passage) => {
      const text = encodeRequestHead(head, passage)
      const line = head.raw
        .split('\r\n')
        .slice(1, -2)
        .find((one) => /^[A-Z]/.test(one) && passage.plan.dropped.includes(one.split(':')[0]!.toLowerCase()))
      return line === undefined ? text : `${text.slice(0, -2)}${line}\r\n\r\n`
    }),
  },
  {
    bug: 'a field with an underscore passes where the one with a hyphen is dropped',
    target: makeTarget((head, passage) => {
      const text = encodeRequestHead(head, passage)
      const line = head.raw
        .split('\r\n')
        .slice(1, -2)
        .find((one) => one.split(':')[0]!.includes('_') && passage.edits?.drops(one.split(':')[0]!) === true)
      return line === undefined ? text : `${text.slice(0, -2)}${line}\r\n\r\n`
    }),
  },
]

/** The Connection field and Host against naive readings of their grammars. */
import { isIPv6 } from 'node:net'
import { createParser, findAuthorityFault, ParseError, type RuleId } from '../../native-free-parser/index.ts'
import { EngineLease } from '../engine-lease.ts'
import { mapOnto, toBytes, toText } from '../octets.ts'
import { expect, expectSame, type Canary, type FuzzTarget } from '../target.ts'

interface Options {
  readonly close: boolean
  readonly keepAlive: boolean
  readonly upgrade: boolean
  readonly te: boolean
  readonly nominated: readonly string[]
  /** Of an absolute target. */
  readonly authority: string
}

interface Subject {
  /** Of a whole request head, or the rule that it breaks. */
  readonly readOptions: (head: string) => Options | RuleId
  readonly findAuthorityFault: (raw: string, start: number, end: number) => number
}

/** Characters that the grammars turn on, so that random octets become nearly right ones. */
const hostAlphabet = [
  '[',
  ']',
  ':',
  ':',
  ':',
  '.',
  '0',
  '1',
  '2',
  '5',
  '9',
  'a',
  'f',
  'F',
  'g',
  'v',
  '%',
  '%41',
  '-',
  '@',
  '::',
  '1.2.3.4',
  '255',
  ' ',
  '/',
  '\x80',
]
const literalAlphabet = [':', ':', '::', '0', 'a', 'F1', 'ffff', '12345', '.', '1.2.3.4', '255', '256', '%', '1:2:3']
const optionAlphabet = [
  ',',
  ',',
  ' ',
  '\t',
  'close',
  'keep-alive',
  'Upgrade',
  'TE',
  'x',
  'HOST',
  'Content-Length',
  'Via',
  'x-a',
  ';',
  '"',
  'Clos',
  'e',
  '\x7f',
  '\x85',
  '=',
]

/** Options that remove nothing, whoever names them. */
const protectedNames =
  /^(?:host|content-(?:length|type|encoding|range)|transfer-encoding|authorization|www-authenticate|cache-control|date|expect|location|max-forwards|set-cookie|via)$/

const lease = new EngineLease(4)

const subject: Subject = {
  readOptions: (head) => {
    let options: Options | RuleId | undefined
    lease.use((engine) => {
      const parser = createParser(
        'request',
        {
          onHead: ({ connection, authority }) => void (options = { ...connection, nominated: [...connection.nominated], authority }),
          onBody() {},
          onTrailers() {},
          onMessageComplete() {},
        },
        {},
        engine,
      )
      try {
        parser.execute(toBytes(head))
      } catch (error) {
        if (!(error instanceof ParseError)) throw error
        options = error.rule
      }
      parser.dispose()
    })
    expect(options !== undefined, () => `no head: ${JSON.stringify(head)}`)
    return options
  },
  findAuthorityFault,
}

function makeTarget({ readOptions, findAuthorityFault: findFault }: Subject): FuzzTarget {
  return {
    name: 'connection-tokens-and-host',
    invariants: [
      'the options of all Connection fields are those that splitting at commas gives, in any case and with any white space',
      'what is not a token is refused, and what is for every recipient is never nominated',
      'a host is accepted if and only if it is uri-host [":" port] by RFC 3986: alone, inside a longer text, in Host and in an absolute target',
      'a fault lies inside the host',
    ],
    run(data, random) {
      const text = random.pick(shapes)(data)
      judgeOptions(text.split('\n').slice(0, 20))
      judgeHost(text, random.pick(['', '[', 'x:1/']), random.pick(['', ']', '0', ':1']))
    },
  }

  /** The same text as the authority of an absolute target, from where it takes the place of Host. */
  function judgeAbsolute(text: string): void {
    if (/[\t /?#]/.test(text)) return
    const options = readOptions(`GET http://${text}/x HTTP/1.1\r\nHost: other\r\n\r\n`)
    const isRight = isHost(text)
    expect(
      (typeof options === 'string') === !isRight,
      () => `an authority of ${JSON.stringify(text)} is ${isRight ? `refused with ${JSON.stringify(options)}` : 'accepted'}`,
    )
    if (isRight) expectSame((options as Options).authority, text, `the authority of ${JSON.stringify(text)}`)
  }

  function judgeOptions(pieces: readonly string[]): void {
    const values = pieces.map((piece) => piece.replace(/[^\t\x20-\x7e\x80-\xff]/g, ''))
    const head = `GET / HTTP/1.1\r\nHost: a\r\n${values.map((value) => `Connection:${value}\r\n`).join('')}\r\n`
    const wanted = naiveOptions(values)
    // An Upgrade that is nominated and not there is no fault; there is none here.
    expectSame(readOptions(head), wanted, `options of ${JSON.stringify(values)}`)
  }

  function judgeHost(text: string, before: string, after: string): void {
    const fault = findFault(before + text + after, before.length, before.length + text.length)
    const isRight = isHost(text)
    expect(fault < 0 === isRight, () => `${JSON.stringify(text)} is ${isRight ? 'a host' : 'no host'}, and the fault is at ${fault}`)
    expect(
      fault < 0 || (fault >= before.length && fault <= before.length + text.length),
      () => `a fault at ${fault} of ${JSON.stringify(text)}`,
    )
    if (/[^\t\x20-\x7e\x80-\xff]/.test(text)) return
    const options = readOptions(`GET / HTTP/1.1\r\nHost:${text}\r\n\r\n`)
    const trimmed = text.replace(/^[ \t]+|[ \t]+$/g, '')
    const rule = trimmed === '' ? 'H1-HOST-EMPTY' : isHost(trimmed) ? undefined : 'H1-HOST-INVALID'
    expectSame(typeof options === 'string' ? options : undefined, rule, `Host: ${JSON.stringify(text)}`)
    judgeAbsolute(text)
    // Two fields are one too many, whatever stands in them.
    const twice = readOptions(`GET / HTTP/1.1\r\nHost:${text}\r\nhost:${text}\r\n\r\n`)
    expect(typeof twice === 'string', () => `two Host fields are accepted: ${JSON.stringify(text)}`)
  }
}

/** What is made of the octets. */
const shapes: readonly ((data: Uint8Array) => string)[] = [
  (data) => toText(data.subarray(0, 300)),
  (data) => mapOnto(data.subarray(0, 60), hostAlphabet),
  (data) => mapOnto(data.subarray(0, 60), optionAlphabet),
  (data) => `[${mapOnto(data.subarray(0, 8), literalAlphabet)}]`,
]

function naiveOptions(values: readonly string[]): Options | RuleId {
  const all = values
    .join(',')
    .split(',')
    .map((option) => option.replace(/^[ \t]+|[ \t]+$/g, '').toLowerCase())
    .filter((option) => option !== '')
  if (!all.every((option) => /^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(option))) return 'H1-CONNECTION-OPTION'
  const known = ['close', 'keep-alive', 'upgrade', 'te']
  return {
    close: all.includes('close'),
    keepAlive: all.includes('keep-alive'),
    upgrade: all.includes('upgrade'),
    te: all.includes('te'),
    nominated: [...new Set(all)].filter((option) => !known.includes(option) && !protectedNames.test(option)),
    authority: '',
  }
}

/** RFC 3986 section 3.2.2, with the IPv6 grammar of Node and a port that TCP has. */
function isHost(text: string): boolean {
  const match = /^(\[[^[\]]*\]|(?:[-._~!$&'()*+,;=0-9A-Za-z]|%[0-9A-Fa-f]{2})+)(?::([0-9]{0,5}))?$/.exec(text)
  if (match === null || Number(match[2] ?? 0) > 65_535) return false
  const host = match[1]!
  if (!host.startsWith('[')) return true
  const literal = host.slice(1, -1)
  if (/^v[0-9A-Fa-f]+\.[-._~!$&'()*+,;=:0-9A-Za-z]+$/i.test(literal)) return true
  return isIPv6(literal) && !literal.includes('%')
}

export const connectionTokensAndHost = makeTarget(subject)

export const connectionTokensAndHostCanaries: readonly Canary[] = [
  {
    bug: 'of two Host fields the first one counts',
    target: makeTarget({ ...subject, readOptions: (head) => subject.readOptions(head.replace(/\r\nhost:[^\r]*/, '')) }),
  },
  {
    bug: 'the rest of a list is not looked at behind an empty element',
    target: makeTarget({ ...subject, readOptions: (head) => subject.readOptions(head.replace(/,[ \t]*,[^\r]*/g, '')) }),
  },
  {
    bug: 'user information is skipped',
    target: makeTarget({
      ...subject,
      findAuthorityFault: (raw, start, end) =>
        findAuthorityFault(raw, Math.min(end, Math.max(start, raw.lastIndexOf('@', end - 1) + 1)), end),
    }),
  },
  {
    bug: 'an IPv6 address may have two gaps',
    target: makeTarget({
      ...subject,
      findAuthorityFault: (raw, start, end) => {
        const host = raw.slice(start, end)
        const fault = findAuthorityFault(raw, start, end)
        return /^\[(?:[0-9a-f]{1,4})?::[0-9a-f]{1,4}::(?:[0-9a-f]{1,4})?\]$/i.test(host) ? -1 : fault
      },
    }),
  },
]

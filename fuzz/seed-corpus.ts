/** Where inputs come from: the messages of the conformance suite, which break one rule each, and those that break none. */
import { Buffer } from 'node:buffer'
import { SeededRandom } from '../test/support/seeded-random.ts'
import { expandSegments, loadCases, type Segment } from '../lib/conformance/case-format.ts'
import { toBytes } from './octets.ts'
import { attacks, chunkTricks, responseAttacks } from './smuggling-tricks.ts'

/** Longer ones exist to break a limit; the limits of the targets are smaller. */
const seedBytesMax = 20_000

export interface SeedCorpus {
  /** What clients send. */
  readonly requests: readonly Uint8Array[]
  /** What origins send. */
  readonly responses: readonly Uint8Array[]
  /** Chunked bodies without the head before them. */
  readonly chunkedBodies: readonly Uint8Array[]
  /** Field values, targets and other short pieces. */
  readonly words: readonly Uint8Array[]
  /** Octets that decide what happens next. */
  readonly schedules: readonly Uint8Array[]
  /** What a client sends, 0x1e, answers with 0x1d between them, 0x1e, a schedule. */
  readonly encounters: readonly Uint8Array[]
}

let loaded: SeedCorpus | undefined

export function loadSeedCorpus(): SeedCorpus {
  return (loaded ??= readCases())
}

function readCases(): SeedCorpus {
  const cases = loadCases()
  const requests = unique([...plainRequests, ...attacks, ...cases.map(({ send }) => bytesOf(send))])
  const responses = unique([
    ...plainResponses,
    ...responseAttacks,
    ...cases.flatMap(({ origin }) => (origin?.answer === undefined ? [] : [bytesOf(origin.answer)])),
  ])
  const schedules = makeSchedules()
  const chunkedBodies = unique([...chunkTricks, ...[...requests, ...responses].flatMap(chunkedBodyOf)])
  return {
    requests: requests.map(toBytes),
    responses: responses.map(toBytes),
    chunkedBodies: chunkedBodies.map(toBytes),
    words: unique([...plainWords, ...requests.flatMap(wordsOf)]).map(toBytes),
    schedules,
    encounters: requests.map((request, index) => {
      const answers = [0, 1, 2].map((step) => responses[(index * 7 + step * 31) % responses.length]!)
      return Buffer.concat([toBytes(`${request}\x1e${answers.join('\x1d')}\x1e`), schedules[index % schedules.length]!])
    }),
  }
}

function makeSchedules(): Uint8Array[] {
  return Array.from({ length: 64 }, (_, seed) => {
    const random = new SeededRandom(seed)
    return Uint8Array.from({ length: random.integer(0, 200) }, () => random.integer(0, 255))
  })
}

function bytesOf(segments: string | readonly Segment[]): string {
  return expandSegments(segments)
    .map((step) => ('bytes' in step ? step.bytes : ''))
    .join('')
}

function unique(texts: readonly string[]): string[] {
  return [...new Set(texts)].filter((text) => text !== '' && text.length <= seedBytesMax)
}

function chunkedBodyOf(text: string): string[] {
  const headEnd = text.indexOf('\r\n\r\n')
  return headEnd > 0 && /transfer-encoding:.*chunked/i.test(text.slice(0, headEnd)) ? [text.slice(headEnd + 4)] : []
}

function wordsOf(text: string): string[] {
  return [...text.matchAll(/(?<=:[ \t]*)[^\r\n \t][^\r\n]*/g)].map(([value]) => value).filter((value) => value.length < 200)
}

const plainRequests: readonly string[] = [
  'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n',
  'GET /1 HTTP/1.1\r\nHost: a.test\r\n\r\nGET /2 HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n',
  'HEAD /h?x=y HTTP/1.1\r\nHost: a.test:8080\r\nAccept: */*\r\nX-Empty:\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n',
  'POST /p HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhelloGET /n HTTP/1.1\r\nHost: a\r\n\r\n',
  'POST /c HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n5;a="b"\r\nhello\r\n1\r\n!\r\n0\r\nX-T: 1\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, X-Hop\r\nUpgrade: websocket, foo/2\r\nX-Hop: 1\r\nSec-WebSocket-Version: 13\r\n\r\nraw bytes',
  'PUT /e HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\nTE: trailers\r\nConnection: te\r\n\r\nabc',
  'GET http://b.test:81/x?y HTTP/1.1\r\nHost: a\r\nVia: 1.0 fred\r\nConnection: keep-alive\r\nKeep-Alive: 5\r\n\r\n',
  'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nPOST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi',
  'OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 3\r\n\r\nOPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n',
  'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nAuthorization: Basic QQ==\r\nCookie: a=b; c="d"\r\nX-Obs: \xe9\xff\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n',
]

const plainResponses: readonly string[] = [
  'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nhello',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n5;a=b\r\nhello\r\n0\r\nX-T: 1\r\n\r\n',
  'HTTP/1.1 200 OK\r\n\r\nuntil the end',
  'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok',
  'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\nKeep-Alive: timeout=3\r\nConnection: keep-alive\r\n\r\n',
  'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 9\r\n\r\n',
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nraw bytes',
  'HTTP/1.1 404 \r\nContent-Length: 0\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\n',
  'HTTP/1.1 200\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc',
]

const plainWords: readonly string[] = [
  ...[
    'a',
    'a.test:80',
    '[::1]:8080',
    '[v1.a:b]',
    '[::ffff:1.2.3.4]',
    '1.2.3.4',
    'a%41',
    '[1:2:3:4:5:6:7:8]:0',
    'a:65535',
    'a:',
    'x@y',
    '[fe80::1%25en0]',
  ],
  ...['close', 'keep-alive, X-A', 'Upgrade,TE', ', ,x\t,\ty ', 'host', 'a b', 'CLOSE', 'x-\xff', '"q"', 'set-cookie, x'],
  ...[
    '10s',
    '1h30m',
    '250ms',
    '0',
    '1d1h1m1s1ms',
    '64k',
    '1G',
    '9007199254740991',
    '1m1h',
    '1.5s',
    '127.0.0.1:80',
    ':8080',
    'unix:/run/a',
    'http://a:1/',
  ],
  ...['/a?b="c"', '/\x00\x1b[2J', '\\', '\x7f\x80\u00ff', '{"a":1}\n'],
]

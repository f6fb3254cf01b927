/**
 * What the embedded llhttp does on its own that a strict recipient must not rely on, and what this parser makes of it. Each gap has a name,
 * under which the README lists it; when a newer llhttp closes one, its test says so by failing.
 */
import assert from 'node:assert/strict'
import test from 'node:test'
import { ParserEngine } from '../../../native-free-parser/index.ts'
import { readBare, type BareReading } from '../../support/bare-llhttp.ts'
import { transcribe } from '../../support/parser-transcript.ts'
import { readText } from '../../support/source-tree.ts'

interface Gap {
  readonly name: string
  readonly kind: 'request' | 'response'
  readonly raw: string
  /** True exactly when bare llhttp has the gap. */
  readonly bare: (reading: BareReading) => boolean
  /** What this parser says: a rule, or a line that its transcript holds. */
  readonly here: RegExp
}

const host = 'Host: a\r\n'
const post = `POST / HTTP/1.1\r\n${host}`
const isAccepted = ({ errno, completeMessages }: BareReading): boolean => errno === 0 && completeMessages > 0
const isHeadAccepted = ({ errno }: BareReading): boolean => errno === 0
const isRefused = ({ errno }: BareReading): boolean => errno !== 0

const gaps: readonly Gap[] = [
  // It misreads.
  {
    name: 'a tab behind close reads as keep-alive',
    kind: 'request',
    raw: `GET / HTTP/1.1\r\n${host}Connection: close\t\r\n\r\n`,
    bare: (reading) => isAccepted(reading) && reading.keepsAlive,
    here: /^head .*"close":true/,
  },
  {
    name: 'trailers read as fields',
    kind: 'request',
    raw: `${post}Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n`,
    bare: (reading) => isAccepted(reading) && reading.rawFields.join() === 'Host,a,Transfer-Encoding,chunked,X,y',
    here: /^trailers \["X","y"\]$/,
  },
  // It refuses what is right.
  {
    name: 'a tab behind Content-Length is refused',
    kind: 'request',
    raw: `${post}Content-Length: 1\t\r\n\r\na`,
    bare: isRefused,
    here: /^body "a"$/,
  },
  {
    name: 'white space in a chunk extension is refused',
    kind: 'request',
    raw: `${post}Transfer-Encoding: chunked\r\n\r\n1 ; a = b\r\nx\r\n0\r\n\r\n`,
    bare: isRefused,
    here: /^body "x"$/,
  },
  {
    name: 'more than eight tabs behind Content-Length are refused',
    kind: 'request',
    raw: `${post}Content-Length: 1${'\t'.repeat(9)}\r\n\r\na`,
    bare: isRefused,
    here: /^refused H1-CL-INVALID/,
  },
  {
    name: 'methods that it does not know are refused',
    kind: 'request',
    raw: `BREW / HTTP/1.1\r\n${host}\r\n`,
    bare: isRefused,
    here: /^refused H1-METHOD-UNKNOWN/,
  },
  // It accepts what is wrong.
  { name: 'a request without Host', kind: 'request', raw: 'GET / HTTP/1.1\r\n\r\n', bare: isAccepted, here: /^refused H1-HOST-MISSING/ },
  {
    name: 'two Host fields',
    kind: 'request',
    raw: `GET / HTTP/1.1\r\n${host}${host}\r\n`,
    bare: isAccepted,
    here: /^refused H1-HOST-MULTIPLE/,
  },
  { name: 'HTTP/2.0', kind: 'request', raw: `GET / HTTP/2.0\r\n${host}\r\n`, bare: isAccepted, here: /^refused H1-VERSION/ },
  { name: 'HTTP/0.9', kind: 'request', raw: 'GET /\r\n\r\n', bare: isAccepted, here: /^refused H1-REQUEST-LINE/ },
  { name: 'RTSP', kind: 'request', raw: `DESCRIBE / RTSP/1.0\r\n${host}\r\n`, bare: isAccepted, here: /^refused H1-VERSION-SYNTAX/ },
  { name: 'ICE', kind: 'request', raw: `SOURCE / ICE/1.0\r\n${host}\r\n`, bare: isAccepted, here: /^refused H1-REQUEST-LINE/ },
  {
    name: 'several spaces in a request line',
    kind: 'request',
    raw: `GET   /  HTTP/1.1\r\n${host}\r\n`,
    bare: isAccepted,
    here: /^refused H1-REQUEST-LINE/,
  },
  {
    name: 'any number of empty lines before a request',
    kind: 'request',
    raw: `\r\n\r\n\nGET / HTTP/1.1\r\n${host}\r\n`,
    bare: isAccepted,
    here: /^refused H1-EMPTY-LINE/,
  },
  {
    name: 'a fragment in the target',
    kind: 'request',
    raw: `GET /a#b HTTP/1.1\r\n${host}\r\n`,
    bare: isAccepted,
    here: /^refused H1-TARGET-FRAGMENT/,
  },
  {
    name: 'octets that a target cannot hold',
    kind: 'request',
    raw: `GET /"<> HTTP/1.1\r\n${host}\r\n`,
    bare: isAccepted,
    here: /^refused H1-TARGET-CHAR/,
  },
  {
    name: 'a broken escape in the path',
    kind: 'request',
    raw: `GET /%zz HTTP/1.1\r\n${host}\r\n`,
    bare: isAccepted,
    here: /^refused H1-TARGET-ESCAPE/,
  },
  { name: 'any scheme', kind: 'request', raw: `GET ftp://a/ HTTP/1.1\r\n${host}\r\n`, bare: isAccepted, here: /^refused H1-TARGET-SCHEME/ },
  {
    name: 'user information in the target',
    kind: 'request',
    raw: `GET http://u@a/ HTTP/1.1\r\n${host}\r\n`,
    bare: isAccepted,
    here: /^refused H1-TARGET-AUTHORITY/,
  },
  {
    name: 'an asterisk for every method',
    kind: 'request',
    raw: `GET * HTTP/1.1\r\n${host}\r\n`,
    bare: isAccepted,
    here: /^refused H1-TARGET-FORM/,
  },
  {
    name: 'Transfer-Encoding in a 1.0 request',
    kind: 'request',
    raw: 'POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    bare: isAccepted,
    here: /^refused H1-TE-HTTP10/,
  },
  {
    name: 'codings before chunked',
    kind: 'request',
    raw: `${post}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
    bare: isAccepted,
    here: /^refused H1-TE-CODING/,
  },
  {
    name: 'two Transfer-Encoding fields',
    kind: 'request',
    raw: `${post}Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    bare: isAccepted,
    here: /^refused H1-TE-REPEATED/,
  },
  {
    name: 'a coding other than chunked is told before it is refused',
    kind: 'request',
    raw: `${post}Transfer-Encoding: gzip\r\n\r\n`,
    bare: (reading) => isRefused(reading) && reading.position > `${post}Transfer-Encoding: gzip\r\n`.length,
    here: /^refused H1-TE-INVALID/,
  },
  {
    name: 'Connection that is no list of tokens',
    kind: 'request',
    raw: `GET / HTTP/1.1\r\n${host}Connection: a b\r\n\r\n`,
    bare: isAccepted,
    here: /^refused H1-CONNECTION-OPTION/,
  },
  {
    name: 'chunk sizes of any number of digits',
    kind: 'request',
    raw: `${post}Transfer-Encoding: chunked\r\n\r\n${'0'.repeat(200)}1\r\nx\r\n0\r\n\r\n`,
    bare: isAccepted,
    here: /^refused H1-CHUNK-SIZE-LENGTH/,
  },
  {
    name: 'chunk extensions of any length',
    kind: 'request',
    raw: `${post}Transfer-Encoding: chunked\r\n\r\n1;${'a'.repeat(9_000)}\r\nx\r\n0\r\n\r\n`,
    bare: isAccepted,
    here: /^refused H1-CHUNK-EXTENSION-LENGTH/,
  },
  {
    name: 'any field in a trailer section',
    kind: 'request',
    raw: `${post}Transfer-Encoding: chunked\r\n\r\n0\r\nAuthorization: x\r\n\r\n`,
    bare: isAccepted,
    here: /^refused H1-TRAILER-FIELD/,
  },
  {
    name: 'fields without end',
    kind: 'request',
    raw: `GET / HTTP/1.1\r\n${host}${'A: b\r\n'.repeat(6_000)}\r\n`,
    bare: isAccepted,
    here: /^refused H1-(?:FIELD-COUNT|HEAD-LENGTH)/,
  },
  {
    name: 'control octets in a reason',
    kind: 'response',
    raw: 'HTTP/1.1 200 a\x01b\r\n\r\n',
    bare: isHeadAccepted,
    here: /^refused H1-STATUS-LINE/,
  },
  { name: 'status 999', kind: 'response', raw: 'HTTP/1.1 999 X\r\n\r\n', bare: isHeadAccepted, here: /^refused H1-STATUS-CODE/ },
  { name: 'a response of HTTP/2.0', kind: 'response', raw: 'HTTP/2.0 200 X\r\n\r\n', bare: isHeadAccepted, here: /^refused H1-VERSION/ },
  {
    name: 'a response whose last coding is not chunked',
    kind: 'response',
    raw: 'HTTP/1.1 200 X\r\nTransfer-Encoding: gzip\r\n\r\nabc',
    bare: isHeadAccepted,
    here: /^refused H1-TE-INVALID/,
  },
  {
    name: 'a 101 that nobody asked for',
    kind: 'response',
    raw: 'HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nraw',
    bare: ({ completeMessages }) => completeMessages === 1,
    here: /^refused H1-SWITCH-UNASKED/,
  },
]

const engine = new ParserEngine({ slots: 2 })

for (const { name, kind, raw, bare, here } of gaps) {
  test(`gap: ${name}`, () => {
    const reading = readBare(kind, raw)
    assert(bare(reading), `llhttp has this gap no more: ${JSON.stringify(reading)}`)
    const lines = transcribe(engine, { kind, raw })
    assert(
      lines.some((line) => here.test(line)),
      `${lines.join('\n')}\nshould hold ${here}`,
    )
  })
}

test('the README lists every gap under its name, and no other', () => {
  const [, section = ''] = /^## What llhttp does on its own$([^]*?)^## /m.exec(readText('native-free-parser/README.md')) ?? []
  const listed = [...section.matchAll(/^\| `([^`]+)` +\|/gm)].map(([, name = '']) => name)
  assert.deepEqual(
    listed,
    gaps.map(({ name }) => name),
  )
})

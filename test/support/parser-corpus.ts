/**
 * Conversations for the tests that feed one thing in many ways: sound ones of every kind of framing, alone and one behind the other, and
 * the hostile ones of the rule examples. Data only.
 */
import type { ResponseContext } from '../../native-free-parser/index.ts'
import type { Conversation } from './parser-transcript.ts'
import { ruleExamples, withoutMark } from './rule-examples.ts'

export interface NamedConversation extends Conversation {
  readonly name: string
}

const toHead: ResponseContext = { toHead: true, offered: [] }
const plain: ResponseContext = { toHead: false, offered: [] }

const get = 'GET /a?b=c HTTP/1.1\r\nHost: a.test\r\n\r\n'
const manyFields = 'GET / HTTP/1.1\r\nHost: a\r\nA:\r\nB: \r\nC:   \r\nD:d\r\nE:  e \t\r\nF: \tf g\r\nA: 2\r\nX-Y: \xfe\xff\r\n\r\n'
const length = 'POST /p HTTP/1.1\r\nHost: a.test\r\nContent-Length: 11\r\n\r\nhello\r\n\r\n0\r'
const chunks =
  'PUT /c HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n' +
  '5;a=b;c="d;\\"e"\r\nhello\r\n00A \t;x\r\n\r\n0\r\n\r\n\0\xff!\r\n0;last\r\nX-Sum:  1 \t\r\nx-empty:\r\n\r\n'
const tabs = 'POST / HTTP/1.1\r\nHost:\ta.test\t\r\nContent-Length:\t 3 \t \r\nConnection:\tclose\t\r\n\r\nabc'
const noContent = 'HTTP/1.1 204 No Content\r\nX: y\r\n\r\n'
const okChunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n'
const okLength = 'HTTP/1.1 200\r\nContent-Length: 3\r\nSet-Cookie: a=b\r\nset-cookie: c=d\r\n\r\nabc'

export const soundConversations: readonly NamedConversation[] = [
  { name: 'a GET', kind: 'request', raw: get },
  { name: 'a 1.0 GET without fields', kind: 'request', raw: 'GET / HTTP/1.0\r\n\r\n' },
  { name: 'an empty line before a GET', kind: 'request', raw: `\r\n${get}` },
  { name: 'fields of every look', kind: 'request', raw: manyFields },
  { name: 'a counted body', kind: 'request', raw: length },
  { name: 'a chunked body with extensions and trailers', kind: 'request', raw: chunks },
  { name: 'tabs around values', kind: 'request', raw: tabs },
  { name: 'an absolute target', kind: 'request', raw: 'GET http://b.test:80?q HTTP/1.1\r\nHost: a.test\r\n\r\n' },
  { name: 'OPTIONS *', kind: 'request', raw: 'OPTIONS * HTTP/1.1\r\nHost: a.test\r\nMax-Forwards: 1\r\n\r\n' },
  {
    name: 'an upgrade',
    kind: 'request',
    raw: `GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, TE\r\nUpgrade: websocket, x/1\r\nTE: trailers\r\n\r\n${get}`,
  },
  { name: 'pipelined requests of every framing', kind: 'request', raw: get + length + get + chunks + `\r\n${tabs}` + get },
  { name: 'an expectation', kind: 'request', raw: 'POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na' },
  { name: 'a request cut inside its head', kind: 'request', raw: get.slice(0, 20) },
  { name: 'a request cut inside a chunk', kind: 'request', raw: chunks.slice(0, 90) },
  { name: 'responses one behind the other', kind: 'response', raw: okLength + okChunked + noContent + okLength },
  {
    name: 'a response that ends with the connection',
    kind: 'response',
    raw: 'HTTP/1.0 200 OK\r\n\r\na\r\n\r\nHTTP/1.1 200 OK\r\n\r\n',
    ends: true,
  },
  {
    name: 'interim responses before the final one, twice',
    kind: 'response',
    raw: `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${okLength}HTTP/1.1 102 X\r\n\r\n${okChunked}`,
  },
  {
    name: 'answers to HEAD',
    kind: 'response',
    raw: `HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 200 OK\r\n\r\n${okLength}`,
    contexts: [toHead, toHead, toHead, plain],
  },
  { name: 'a 304 with a length', kind: 'response', raw: `HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n${okLength}` },
  {
    name: 'a switch of protocols',
    kind: 'response',
    raw: 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\nContent-Length: 3\r\n\r\n\x81\x05hello\r\n\r\n',
    contexts: [{ toHead: false, offered: ['websocket'] }],
  },
]

export const hostileConversations: readonly NamedConversation[] = Object.entries(ruleExamples).flatMap(([rule, { refused, accepted }]) => [
  ...refused.map((marked, index) => ({ name: `${rule} refused ${index}`, ...withoutMark(marked).conversation })),
  ...accepted.map((conversation, index) => ({ name: `${rule} accepted ${index}`, ...conversation })),
])

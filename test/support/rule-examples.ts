/**
 * For every rule that the parser itself raises: messages that break exactly this rule, and near misses, which differ from them in a
 * detail and are accepted. In a refused message `‸` stands before the octet that the error's offset names, counted from the start of
 * the head; it is not sent. Data only: rules.test.ts judges single messages, parser.test.ts all splits of them.
 */
import type { ParserLimits, ResponseContext, RuleId } from '../../native-free-parser/index.ts'
import type { Conversation } from './parser-transcript.ts'

/** Rules that need more than one message's bytes: the layers that know more raise them, and their tests check them. */
export const rulesRaisedElsewhere = ['H1-VIA-LOOP', 'H1-MAX-FORWARDS', 'H1-PATH-AMBIGUOUS', 'H1-RESPONSE-UNASKED'] as const

export interface RuleExamples {
  readonly refused: readonly Conversation[]
  readonly accepted: readonly Conversation[]
}

export const offsetMark = '‸'

type ParserRule = Exclude<RuleId, (typeof rulesRaisedElsewhere)[number]>
type More = Omit<Conversation, 'kind' | 'raw'>

const HOST = 'Host: a.test\r\n'
const toHead: ResponseContext = { toHead: true, offered: [] }
const offering = (...offered: string[]): ResponseContext => ({ toHead: false, offered })

function request(raw: string, more: More = {}): Conversation {
  return { kind: 'request', raw, ...more }
}

/** A GET whose head holds these field lines, each with its line end. */
function get(lines: string, limits?: Partial<ParserLimits>): Conversation {
  return request(`GET / HTTP/1.1\r\n${HOST}${lines}\r\n`, limits === undefined ? {} : { limits })
}

/** A GET of this target. */
function target(text: string, method = 'GET'): Conversation {
  return request(`${method} ${text} HTTP/1.1\r\n${HOST}\r\n`)
}

function host(value: string): Conversation {
  return request(`GET / HTTP/1.1\r\nHost: ${value}\r\n\r\n`)
}

/** A chunked POST with this body, framing and all. */
function chunked(body: string, limits?: Partial<ParserLimits>): Conversation {
  return request(`POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n${body}`, limits === undefined ? {} : { limits })
}

function post(lines: string, body = ''): Conversation {
  return request(`POST / HTTP/1.1\r\n${HOST}${lines}\r\n${body}`)
}

function response(raw: string, more: More = {}): Conversation {
  return { kind: 'response', raw, ...more }
}

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'

export const ruleExamples: Readonly<Record<ParserRule, RuleExamples>> = {
  'H1-BARE-CR': {
    refused: [
      request('\rGET / HTTP/1.1\r\n'),
      request(`GET / HTTP/1.1\rX${HOST}\r\n`),
      request(`GET / HTTP/1.1\r\r\n${HOST}\r\n`),
      get('A: b\rc: d\r\n'),
      get('A: b\r\r\n'),
      request(`GET / HTTP/1.1\r\n${HOST}\rX`),
      chunked('5\rhello\r\n0\r\n\r\n'),
      chunked('5;a=b\rhello\r\n0\r\n\r\n'),
      chunked('0\r\nX: y\rZ: 1\r\n\r\n'),
      chunked('0\r\n\rX'),
      response('HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n'),
      response('HTTP/1.1 200 OK\r\nContent-Length: 0\rX: y\r\n\r\n'),
    ],
    accepted: [request(`\r\nGET / HTTP/1.1\r\n${HOST}\r\n`), get('A: b\r\n'), chunked('5\r\nhello\r\n0\r\nX: y\r\n\r\n'), response(ok)],
  },
  'H1-BARE-LF': {
    refused: [
      request('‸\nGET / HTTP/1.1\r\n'),
      request(`GET / HTTP/1.1‸\n${HOST}\r\n`),
      request(`GET / HTTP/1.1\r\nHost: a.test‸\n\r\n`),
      get('A: b‸\nC: d\r\n'),
      get('A: b\r\n‸\n'),
      chunked('5‸\nhello\r\n0\r\n\r\n'),
      chunked('5;a‸\nhello\r\n0\r\n\r\n'),
      chunked('0\r\nX: y‸\n\r\n'),
      chunked('0\r\nX: y\r\n‸\n'),
      chunked('0\r\n‸\n'),
      response('‸\nHTTP/1.1 200 OK\r\n\r\n'),
      response('HTTP/1.1 200 OK‸\nContent-Length: 0\r\n\r\n'),
      response('HTTP/1.1 200 OK\r\nContent-Length: 0‸\n\r\n'),
    ],
    accepted: [get('A: b\r\nC: d\r\n'), chunked('5;a\r\nhello\r\n0\r\nX: y\r\n\r\n'), response(ok)],
  },
  'H1-NUL': {
    refused: [
      request('‸\0GET / HTTP/1.1\r\n'),
      request(`GE‸\0T / HTTP/1.1\r\n${HOST}\r\n`),
      request(`GET /‸\0 HTTP/1.1\r\n${HOST}\r\n`),
      request(`GET / HTTP/1.‸\0\r\n${HOST}\r\n`),
      get('A‸\0: b\r\n'),
      get('A: b‸\0c\r\n'),
      get('A:‸\0\r\n'),
      chunked('5;a=‸\0\r\nhello\r\n0\r\n\r\n'),
      chunked('0\r\n‸\0X: y\r\n\r\n'),
      chunked('0\r\nX‸\0: y\r\n\r\n'),
      chunked('0\r\nX: ‸\0\r\n\r\n'),
      response('HTTP/1.1 200 OK\r\nA: ‸\0\r\n\r\n'),
    ],
    accepted: [get('A: b\\0c\r\n'), chunked('1\r\n\0\r\n0\r\n\r\n'), post('Content-Length: 1\r\n', '\0')],
  },
  'H1-EMPTY-LINE': {
    refused: [request(`\r\n‸\r\nGET / HTTP/1.1\r\n${HOST}\r\n`), response(`‸\r\n${ok}`), request(`GET / HTTP/1.1\r\n${HOST}\r\n\r\n\r\n`)],
    accepted: [request(`\r\nGET / HTTP/1.1\r\n${HOST}\r\n`), request(`\r\nGET / HTTP/1.1\r\n${HOST}\r\n\r\n`)],
  },
  'H1-LEADING-SPACE': {
    refused: [
      request(`GET / HTTP/1.1\r\n‸ ${HOST}\r\n`),
      request(`GET / HTTP/1.1\r\n‸\t${HOST}\r\n`),
      request('GET / HTTP/1.1\r\n‸ \r\nHost: a.test\r\n\r\n'),
      response('HTTP/1.1 200 OK\r\n‸ Content-Length: 0\r\n\r\n'),
      response('HTTP/1.1 200 OK\r\n‸\tContent-Length: 0\r\n\r\n'),
    ],
    accepted: [request('GET / HTTP/1.1\r\nHost:  a.test\r\n\r\n'), response(ok)],
  },
  'H1-REQUEST-LINE': {
    refused: [
      request(`GET  / HTTP/1.1\r\n${HOST}\r\n`),
      request(`GET /  HTTP/1.1\r\n${HOST}\r\n`),
      request(`GET / HTTP/1.1‸ \r\n${HOST}\r\n`),
      request(`GET /‸\r\n${HOST}\r\n`),
      request(`GET /‸\r\n\r\n`),
      request(`FOO  / HTTP/1.1\r\n${HOST}\r\n`),
      request(`‸FOO /\r\n`),
      request(`SOURCE / ICE/1.0\r\n${HOST}\r\n`),
      request('‸XY  \r\n'),
    ],
    accepted: [request(`GET / HTTP/1.1\r\n${HOST}\r\n`), request('GET / HTTP/1.0\r\n\r\n')],
  },
  'H1-REQUEST-LINE-LENGTH': {
    refused: [
      request(`GET /aaaaaaaa HTTP/1.1\r\n${HOST}\r\n`, { limits: { startLineBytes: 21 } }),
      request('GET /aaaaaaaa HTTP/1.0\r\n\r\n', { limits: { startLineBytes: 21 } }),
      request('GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', { limits: { startLineBytes: 21 } }),
      request('FOO /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', { limits: { startLineBytes: 21 } }),
      request(`FOO /aaaaaaaaa HTTP/1.1\r\n${HOST}\r\n`, { limits: { startLineBytes: 21 } }),
      request(`GET /${'a'.repeat(8_179)} HTTP/1.1\r\n${HOST}\r\n`),
    ],
    accepted: [
      request(`GET /aaaaaaaa HTTP/1.1\r\n${HOST}\r\n`, { limits: { startLineBytes: 22 } }),
      request('GET /aaaaaaaa HTTP/1.0\r\n\r\n', { limits: { startLineBytes: 22 } }),
      request(`GET /${'a'.repeat(8_178)} HTTP/1.1\r\n${HOST}\r\n`),
    ],
  },
  'H1-METHOD-TOKEN': {
    refused: [
      request(`‸(GET) / HTTP/1.1\r\n${HOST}\r\n`),
      request(`G‸@T / HTTP/1.1\r\n${HOST}\r\n`),
      request(`GET‸\t/ HTTP/1.1\r\n${HOST}\r\n`),
      request(`‸ GET / HTTP/1.1\r\n${HOST}\r\n`),
      request('‸\x16\x03\x01\x02\x00\x01\x00'),
    ],
    accepted: [target('/', 'M-SEARCH'), target('/', 'PROPFIND')],
  },
  'H1-METHOD-UNKNOWN': {
    refused: [
      request(`‸FOO / HTTP/1.1\r\n${HOST}\r\n`),
      request(`‸get / HTTP/1.1\r\n${HOST}\r\n`),
      request(`‸GETX / HTTP/1.1\r\n${HOST}\r\n`),
      request(`‸GE / HTTP/1.1\r\n${HOST}\r\n`),
      request(`‸G-T / HTTP/1.0\r\n${HOST}\r\n`),
      request(`‸BREW http://a.test/ HTTP/1.1\r\n${HOST}\r\n`),
      request(`‸PRI * HTTP/1.1\r\n${HOST}\r\n`),
    ],
    accepted: [target('/', 'GET'), target('/', 'REPORT')],
  },
  'H1-CONNECT': {
    refused: [request('CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n')],
    accepted: [target('/CONNECT', 'POST')],
  },
  'H1-TARGET-FORM': {
    refused: [
      target('‸*'),
      target('‸*/', 'OPTIONS'),
      target('a‸.test:80'),
      target('index‸.html'),
      target('http:/‸a.test/'),
      target('‸?q'),
      target('‸\\a'),
    ],
    accepted: [target('*', 'OPTIONS'), target('http://a.test/'), target('/index.html'), target('//a.test')],
  },
  'H1-TARGET-CHAR': {
    refused: [
      target('/a‸"b'),
      target('/a‸<b>'),
      target('/a‸\\b'),
      target('/a‸^b'),
      target('/a‸{b}'),
      target('/?a‸"b'),
      target('/?a‸<b'),
      target('/a‸\x7fb'),
      target('/a‸\x80b'),
      target('/a‸\tb'),
      target('http://a.test/a‸"'),
    ],
    accepted: [target('/a|b[c]'), target('/?a\\b^c`d{e}|f'), target('/%22%3C'), target("/-._~!$&'()*+,;=:@")],
  },
  'H1-TARGET-ESCAPE': {
    refused: [target('/‸%'), target('/‸%4'), target('/‸%zz'), target('/a‸%4g'), target('/%41‸%'), target('http://a.test/‸%4')],
    accepted: [target('/%41%2f%2F%00'), target('/?%'), target('/?%zz')],
  },
  'H1-TARGET-FRAGMENT': {
    refused: [target('/a‸#b'), target('/?a‸#b'), target('/‸#'), target('http://a.test‸#b'), target('http://a.test/‸#b')],
    accepted: [target('/a%23b')],
  },
  'H1-TARGET-SCHEME': {
    refused: [target('‸ftp://a.test/'), target('‸httpx://a.test/'), target('‸ws://a.test/'), target('‸h://a.test/')],
    accepted: [target('http://a.test/'), target('HTTPS://a.test/'), target('hTTp://a.test')],
  },
  'H1-TARGET-AUTHORITY': {
    refused: [
      target('http://‸/'),
      target('http://‸:80/'),
      target('http://user‸@a.test/'),
      target('http://a.test:8‸x/'),
      target('http://a.test:‸65536/'),
      target('http://‸[::1/'),
      target('http://‸[1.2.3.4]/'),
      target('http://a‸%4/'),
    ],
    accepted: [target('http://a.test:65535/'), target('http://[::1]:80/'), target('http://a.test:/'), target('http://%41.test?q')],
  },
  'H1-VERSION-SYNTAX': {
    refused: [
      request(`GET / http/1.1\r\n${HOST}\r\n`),
      request(`GET / HTP/1.1\r\n${HOST}\r\n`),
      request(`GET / HTTP/1\r\n${HOST}\r\n`),
      request(`GET / HTTP/1,1\r\n${HOST}\r\n`),
      request(`GET / HTTP/x.1\r\n${HOST}\r\n`),
      request(`GET / HTTP/.1\r\n${HOST}\r\n`),
      request(`GET / ‸RTSP/1.0\r\n${HOST}\r\n`),
      request(`GET / HTTP 1.1\r\n${HOST}\r\n`),
    ],
    accepted: [request(`GET / HTTP/1.1\r\n${HOST}\r\n`), request('GET / HTTP/1.0\r\n\r\n')],
  },
  'H1-VERSION': {
    refused: [
      request(`GET / HTTP/‸2.0\r\n${HOST}\r\n`),
      request(`GET / HTTP/‸0.9\r\n${HOST}\r\n`),
      request(`GET / HTTP/‸1.2\r\n${HOST}\r\n`),
      request(`GET / HTTP/‸9.9\r\n${HOST}\r\n`),
      request('PRI * HTTP/‸2.0\r\n\r\nSM\r\n\r\n'),
      response('HTTP/2.0 200 OK\r\n\r\n'),
      response('HTTP/1.2 200 OK\r\n\r\n'),
    ],
    accepted: [request('GET / HTTP/1.0\r\n\r\n'), response('HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n')],
  },
  'H1-STATUS-LINE': {
    refused: [
      response('ICY 200 OK\r\n\r\n'),
      response('http/1.1 200 OK\r\n\r\n'),
      response('HTTP/1.1  200 OK\r\n\r\n'),
      response('HTTP/1.1 2000 OK\r\n\r\n'),
      response('HTTP/1.1 20 OK\r\n\r\n'),
      response('HTTP/1.1 20x OK\r\n\r\n'),
      response('HTTP/1.1\r\n\r\n'),
      response('HTTP/1.1 200\tOK\r\n\r\n'),
      response('HTTP/1.1 200 O‸\x01K\r\n\r\n'),
      response('HTTP/1.1 200 O‸\x7fK\r\n\r\n'),
      response('GET / HTTP/1.1\r\n\r\n'),
    ],
    accepted: [
      response(ok),
      response('HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n'),
      response('HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n'),
      response('HTTP/1.1 200 O\tK \xe9\r\nContent-Length: 0\r\n\r\n'),
    ],
  },
  'H1-STATUS-CODE': {
    refused: [
      response('HTTP/1.1 ‸099 X\r\n\r\n'),
      response('HTTP/1.1 ‸600 X\r\n\r\n'),
      response('HTTP/1.1 ‸999 X\r\n\r\n'),
      response('HTTP/1.1 ‸000 X\r\n\r\n'),
    ],
    accepted: [response('HTTP/1.1 100 X\r\n\r\n'), response('HTTP/1.1 599 X\r\nContent-Length: 0\r\n\r\n')],
  },
  'H1-SWITCH-UNASKED': {
    refused: [
      response('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n'),
      response('HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n', { contexts: [offering('websocket')] }),
      response('HTTP/1.1 101 X\r\nUpgrade: websocket\r\n\r\n', { contexts: [offering('websocket')] }),
      response('HTTP/1.1 101 X\r\nConnection: upgrade\r\n\r\n', { contexts: [offering('websocket')] }),
      response('HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: websocket, h2c\r\n\r\n', { contexts: [offering('websocket')] }),
      response('HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: websocket\xa0\r\n\r\n', { contexts: [offering('websocket')] }),
    ],
    accepted: [
      response('HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n\r\nraw', { contexts: [offering('h2c', 'websocket')] }),
    ],
  },
  'H1-INTERIM-LIMIT': {
    refused: [
      response('HTTP/1.1 100 A\r\n\r\n'.repeat(3) + ok, { limits: { interimResponses: 2 } }),
      response('HTTP/1.1 100 A\r\n\r\n'.repeat(2) + ok, { limits: { interimBytes: 35 } }),
    ],
    accepted: [
      response('HTTP/1.1 100 A\r\n\r\n'.repeat(2) + ok, { limits: { interimResponses: 2, interimBytes: 36 } }),
      response(('HTTP/1.1 100 A\r\n\r\n'.repeat(2) + ok).repeat(2), { limits: { interimResponses: 2, interimBytes: 36 } }),
    ],
  },
  'H1-HEAD-LENGTH': {
    refused: [
      request(`GET / HTTP/1.1\r\n${HOST}\r‸\n`, { limits: { headBytes: 31 } }),
      request('GET / HTTP/1.1\r\nHost: a.test\r\nA: ‸aaaaaaaaaaaa', { limits: { headBytes: 33 } }),
      response('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r‸\n', { limits: { headBytes: 37 } }),
    ],
    accepted: [
      request(`GET / HTTP/1.1\r\n${HOST}\r\n`, { limits: { headBytes: 32 } }),
      response('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', { limits: { headBytes: 38 } }),
    ],
  },
  'H1-FIELD-COUNT': {
    refused: [
      get('A: 1\r\n‸B: 2\r\n', { fields: 2 }),
      get('A: 1\r\n‸BBBB: 2\r\nC: 3\r\n', { fields: 2 }),
      get('‸A:\r\n', { fields: 1 }),
      response('HTTP/1.1 200 OK\r\n‸A: 1\r\n\r\n', { limits: { fields: 0 } }),
    ],
    accepted: [get('A: 1\r\n', { fields: 2 }), response('HTTP/1.1 200 OK\r\n\r\n', { limits: { fields: 0 } })],
  },
  'H1-FIELD-COLON': {
    refused: [get('Abc‸\r\n'), get('A‸\r\nB: c\r\n'), chunked('0\r\nAbc‸\r\n\r\n'), response('HTTP/1.1 200 OK\r\nAbc‸\r\n\r\n')],
    accepted: [get('Abc:\r\n'), chunked('0\r\nAbc:\r\n\r\n')],
  },
  'H1-FIELD-NAME': {
    refused: [
      get('‸: b\r\n'),
      get('A‸(: b\r\n'),
      get('A‸@b: c\r\n'),
      get('A‸\x01: b\r\n'),
      get('A‸\x80: b\r\n'),
      get('‸"A": b\r\n'),
      chunked('0\r\n‸: b\r\n\r\n'),
      chunked('0\r\nA‸(: b\r\n\r\n'),
      response('HTTP/1.1 200 OK\r\nA‸[: b\r\n\r\n'),
    ],
    accepted: [get("!#$%&'*+-.^_`|~09azAZ: b\r\n"), chunked("0\r\n!#$%&'*+-.^_`|~09azAZ: b\r\n\r\n")],
  },
  'H1-FIELD-NAME-SPACE': {
    refused: [
      get('A‸ : b\r\n'),
      get('A‸\t: b\r\n'),
      get('Content-Length‸ : 0\r\n'),
      get('Transfer-Encoding‸ : chunked\r\n'),
      get('Host‸ : b\r\n'),
      get('A‸ b: c\r\n'),
      chunked('0\r\nA‸ : b\r\n\r\n'),
      chunked('0\r\nA‸\t: b\r\n\r\n'),
      response('HTTP/1.1 200 OK\r\nContent-Length‸ : 0\r\n\r\n'),
    ],
    accepted: [get('A:  b\r\n'), get('A:\tb\t\r\n')],
  },
  'H1-FIELD-VALUE': {
    refused: [
      get('A: b‸\x01c\r\n'),
      get('A:‸\x7f\r\n'),
      get('A: ‸\x0b\r\n'),
      get('A: b‸\x1f\r\n'),
      chunked('0\r\nA: b‸\x01\r\n\r\n'),
      chunked('0\r\nA: b‸\x7f\r\n\r\n'),
      response('HTTP/1.1 200 OK\r\nA: b‸\x0c\r\n\r\n'),
    ],
    accepted: [get('A: b\tc \x80\xff\r\n'), get('A: \xe9\r\n'), chunked('0\r\nA: b\tc \x80\xff\r\n\r\n')],
  },
  'H1-OBS-FOLD': {
    refused: [
      get('A: b\r\n‸ c\r\n'),
      get('A: b\r\n‸\tc\r\n'),
      get('A:\r\n‸ c\r\n'),
      get('A: b\r\n‸ \r\n'),
      chunked('0\r\nA: b\r\n‸ c\r\n\r\n'),
      chunked('0\r\n‸\tA: b\r\n\r\n'),
      response('HTTP/1.1 200 OK\r\nA: b\r\n‸ c\r\n\r\n'),
    ],
    accepted: [get('A: b  c\r\n'), get('A:  b\r\n'), get('A:   \r\n')],
  },
  'H1-CONNECTION-OPTION': {
    refused: [
      get('Connection: ‸a b\r\n'),
      get('Connection: close, ‸"x"\r\n'),
      get('Connection: close,‸;\r\n'),
      get('Connection: ‸clos\xe9\r\n'),
      get('Connection: a\r\nConnection: ‸b=c\r\n'),
      get('Connection: ‸close\xa0\r\n'),
      response('HTTP/1.1 200 OK\r\nConnection: ‸a b\r\n\r\n'),
    ],
    accepted: [get('Connection: a, b\r\n'), get('Connection:\r\n'), get('Connection: ,, close ,\t,\r\n'), get('Connection: \tclose\t\r\n')],
  },
  'H1-EXPECT': {
    refused: [
      post('Expect: ‸200-ok\r\n'),
      post('Expect:‸\r\n'),
      post('Expect: ‸100-continue, x\r\n'),
      post('Expect: ‸100-continue;a=b\r\n'),
      post('Expect: 100-continue\r\nExpect: ‸100-continue\r\n'),
    ],
    accepted: [post('Expect: 100-continue\r\n'), post('Expect: 100-Continue \r\n'), request('POST / HTTP/1.0\r\nExpect: 200-ok\r\n\r\n')],
  },
  'H1-UPGRADE': {
    refused: [
      get('Connection: upgrade\r\nUpgrade: ‸a b\r\n'),
      get('Connection: upgrade\r\nUpgrade: ‸a/b/c\r\n'),
      get('Connection: upgrade\r\nUpgrade: ‸/1\r\n'),
      get('Connection: upgrade\r\nUpgrade: ‸a/\r\n'),
      get('Connection: upgrade\r\nUpgrade: ‸websocket\xa0\r\n'),
      get('Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: ‸"x"\r\n'),
    ],
    accepted: [
      get('Connection: upgrade\r\nUpgrade: websocket, h2c/1, ,\r\n'),
      get('Upgrade: a b\r\n'),
      request('GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: a b\r\n\r\n'),
    ],
  },
  'H1-HOST-MISSING': {
    refused: [request('GET / HTTP/1.1\r\n\r\n‸'), request('GET http://a.test/ HTTP/1.1\r\nX: y\r\n\r\n‸')],
    accepted: [request('GET / HTTP/1.0\r\n\r\n'), host('a')],
  },
  'H1-HOST-MULTIPLE': {
    refused: [get('‸Host: a.test\r\n'), get('‸hOST: b.test\r\n'), request('GET / HTTP/1.0\r\nHost: a\r\nX: y\r\n‸Host: a\r\n\r\n')],
    accepted: [get('X-Host: b.test\r\n'), get('Hostt: b\r\n')],
  },
  'H1-HOST-EMPTY': {
    refused: [host('‸'), request('GET / HTTP/1.1\r\nHost:\r\n\r\n'), request('GET / HTTP/1.0\r\nHost:  \r\n\r\n')],
    accepted: [host('a'), host('-')],
  },
  'H1-HOST-INVALID': {
    refused: [
      host('a‸ b'),
      host('‸:80'),
      host('a:8‸x'),
      host('a:‸65536'),
      host('a:‸000080'),
      host('a‸/b'),
      host('u‸@a'),
      host('‸[::1'),
      host('‸[::g]'),
      host('[::1]‸x'),
      host('a‸"b'),
      host('a‸\xe9'),
      host('a‸%4'),
      host('http:‸//a'),
    ],
    accepted: [host('a:80'), host('a:'), host('a:65535'), host('[::1]:80'), host('[v1.x]'), host('a%41'), host('a,b'), host('\ta\t')],
  },
  'H1-CL-INVALID': {
    refused: [
      post('Content-Length: ‸+1\r\n', 'a'),
      post('Content-Length: ‸-1\r\n', 'a'),
      post('Content-Length: 1‸,1\r\n', 'a'),
      post('Content-Length: 1‸.0\r\n', 'a'),
      post('Content-Length: 0‸x1\r\n', 'a'),
      post('Content-Length: 1 ‸1\r\n', 'a'),
      post('Content-Length: ‸"1"\r\n', 'a'),
      post('Content-Length:\r\n'),
      post('Content-Length:  \r\n'),
      post('Content-Length: ‸\xb2\r\n', 'a'),
      response('HTTP/1.1 200 OK\r\nContent-Length: 1‸,1\r\n\r\na'),
    ],
    accepted: [
      post('Content-Length: 1\r\n', 'a'),
      post('Content-Length: 0001\r\n', 'a'),
      post('Content-Length:\t1\t \t\r\n', 'a'),
      response('HTTP/1.1 200 OK\r\nContent-Length: 1 \r\n\r\na'),
    ],
  },
  'H1-CL-OVERFLOW': {
    refused: [
      post('Content-Length: 900719925474099‸2\r\n'),
      post('Content-Length: 18446744073709551616\r\n'),
      post('Content-Length: 99999999999999999999999999\r\n'),
      response('HTTP/1.1 200 OK\r\nContent-Length: 900719925474099‸2\r\n\r\n'),
    ],
    accepted: [post('Content-Length: 9007199254740991\r\n', 'abc'), post('Content-Length: 00000000000000000000000000000003\r\n', 'abc')],
  },
  'H1-CL-REPEATED': {
    refused: [
      post('Content-Length: 1\r\nContent-Length: 1\r\n', 'a'),
      post('Content-Length: 1\r\ncontent-length: 2\r\n', 'a'),
      response('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na'),
      post('Content-Length: 1\t\r\nContent-Length: 1\t\r\n', 'a'),
    ],
    accepted: [post('Content-Length: 1\r\nX-Content-Length: 2\r\n', 'a')],
  },
  'H1-CL-AND-TE': {
    refused: [
      post('Content-Length: 5\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'),
      post('Transfer-Encoding: chunked\r\nContent-Length: 5\r\n', '0\r\n\r\n'),
      post('Transfer-Encoding: chunked\r\nX: y\r\ncontent-length: 5\r\n', '0\r\n\r\n'),
      response('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'),
      response('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n'),
    ],
    accepted: [post('Transfer-Encoding: chunked\r\n', '0\r\n\r\n'), post('Content-Length: 5\r\n', '0\r\n\r\n')],
  },
  'H1-TE-HTTP10': {
    refused: [
      request('POST / HTTP/1.0\r\n‸Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n'),
      response('HTTP/1.0 200 OK\r\n‸Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n'),
    ],
    accepted: [request('POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\na')],
  },
  'H1-TE-REPEATED': {
    refused: [
      post('Transfer-Encoding: gzip\r\n‸Transfer-Encoding: chunked\r\n', '0\r\n\r\n'),
      response('HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n‸Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n'),
    ],
    accepted: [post('Transfer-Encoding: chunked\r\nX-Transfer-Encoding: chunked\r\n', '0\r\n\r\n')],
  },
  'H1-TE-INVALID': {
    refused: [
      post('Transfer-Encoding: chunked, chunked\r\n', '0\r\n\r\n'),
      post('Transfer-Encoding: chunked, gzip\r\n', '0\r\n\r\n'),
      post('Transfer-Encoding: gzip\r\n', '0\r\n\r\n'),
      post('Transfer-Encoding: chunked;q=1\r\n', '0\r\n\r\n'),
      post('Transfer-Encoding: xchunked\r\n', '0\r\n\r\n'),
      post('Transfer-Encoding: "chunked"\r\n', '0\r\n\r\n'),
      post('Transfer-Encoding:\r\n', '0\r\n\r\n'),
      post('Transfer-Encoding: gzip chunked\r\n', '0\r\n\r\n'),
      post('Transfer-Encoding: identity\r\n', 'a'),
      response('HTTP/1.1 200 OK\r\nTransfer-Encoding: ‸gzip\r\n\r\nabc'),
    ],
    accepted: [post('Transfer-Encoding: chunked\r\n', '0\r\n\r\n'), post('Transfer-Encoding:\tCHUNKED \r\n', '0\r\n\r\n')],
  },
  'H1-TE-CODING': {
    refused: [
      post('Transfer-Encoding: ‸gzip, chunked\r\n', '0\r\n\r\n'),
      post('Transfer-Encoding: ‸gzip , deflate\t,chunked\r\n', '0\r\n\r\n'),
      response('HTTP/1.1 200 OK\r\nTransfer-Encoding: ‸gzip, chunked\r\n\r\n0\r\n\r\n'),
    ],
    accepted: [post('Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n')],
  },
  'H1-TE-UNALLOWED': {
    refused: [
      response('HTTP/1.1 204 No Content\r\n‸Transfer-Encoding: chunked\r\n\r\n'),
      response('HTTP/1.1 103 Early Hints\r\n‸Transfer-Encoding: chunked\r\n\r\n'),
    ],
    accepted: [
      response('HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n'),
      response('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', { contexts: [toHead] }),
    ],
  },
  'H1-CHUNK-SIZE': {
    refused: [
      chunked('‸g\r\n'),
      chunked('‸\r\n'),
      chunked('‸;a\r\n'),
      chunked('‸ 5\r\nhello\r\n'),
      chunked('‸-5\r\nhello\r\n'),
      chunked('0‸x5\r\nhello\r\n'),
      chunked('5‸\x0b\r\nhello\r\n'),
      chunked('5‸,5\r\nhello\r\n'),
      chunked('5\r\nhello\r\n‸\r\n'),
    ],
    accepted: [chunked('5\r\nhello\r\n0\r\n\r\n'), chunked('000a;x\r\n0123456789\r\n00\r\n\r\n'), chunked('A\r\n0123456789\r\n0\r\n\r\n')],
  },
  'H1-CHUNK-SIZE-LENGTH': {
    refused: [chunked('0000000000000000‸5\r\nhello\r\n'), chunked('00‸5\r\nhello\r\n', { chunkSizeDigits: 2 })],
    accepted: [chunked('0000000000000005\r\nhello\r\n0\r\n\r\n'), chunked('05\r\nhello\r\n00\r\n\r\n', { chunkSizeDigits: 2 })],
  },
  'H1-CHUNK-SIZE-OVERFLOW': {
    refused: [chunked('2000000000000‸0\r\n'), chunked('fffffffffffff‸fff\r\n'), chunked('002000000000000‸0\r\n', { chunkSizeDigits: 20 })],
    accepted: [chunked('1fffffffffffff\r\nabc'), chunked('001FFFFFFFFFFFFF\r\nabc')],
  },
  'H1-CHUNK-EXTENSION': {
    refused: [
      chunked('5;‸\r\nhello\r\n'),
      chunked('5;‸;\r\nhello\r\n'),
      chunked('5 ‸\r\nhello\r\n'),
      chunked('5 ‸x\r\nhello\r\n'),
      chunked('5;a=‸\r\nhello\r\n'),
      chunked('5;a="b‸\r\n"\r\nhello\r\n'),
      chunked('5;a="b"‸c\r\nhello\r\n'),
      chunked('5;a ‸b\r\nhello\r\n'),
      chunked('5;a‸(\r\nhello\r\n'),
      chunked('5;a="\\‸\x01"\r\nhello\r\n'),
      chunked('5;‸=b\r\nhello\r\n'),
      chunked('5;a=b‸=c\r\nhello\r\n'),
      chunked('5;a=b ‸\r\nhello\r\n'),
    ],
    accepted: [
      chunked('5;a\r\nhello\r\n0;b\r\n\r\n'),
      chunked('5 \t; \ta \t= \tb\r\nhello\r\n0\r\n\r\n'),
      chunked('5;a="b;\\"\\\t \xff"\r\nhello\r\n0\r\n\r\n'),
      chunked('5;a=b;c="";d ;e\r\nhello\r\n0;x="0"\r\n\r\n'),
    ],
  },
  'H1-CHUNK-EXTENSION-LENGTH': {
    refused: [
      chunked('5;abc‸d\r\nhello\r\n0\r\n\r\n', { chunkExtensionBytes: 4 }),
      chunked('1;ab\r\nx\r\n1;ab\r\nx\r\n0;‸a\r\n\r\n', { messageExtensionBytes: 7 }),
      chunked('1‸ ;a\r\nx\r\n0\r\n\r\n', { chunkExtensionBytes: 0 }),
    ],
    accepted: [
      chunked('5;abc\r\nhello\r\n0\r\n\r\n', { chunkExtensionBytes: 4 }),
      chunked('1;ab\r\nx\r\n1;ab\r\nx\r\n0;a\r\n\r\n', { messageExtensionBytes: 8, chunkExtensionBytes: 3 }),
    ],
  },
  'H1-CHUNK-END': {
    refused: [
      chunked('5\r\nhello‸!\r\n0\r\n\r\n'),
      chunked('5\r\nhello‸\n0\r\n\r\n'),
      chunked('5\r\nhello\r‸x0\r\n\r\n'),
      chunked('5\r\nhello‸0\r\n\r\n'),
      chunked('5\r\nhello\r‸\r\n0\r\n\r\n'),
    ],
    accepted: [chunked('6\r\nhello!\r\n0\r\n\r\n'), chunked('7\r\nhello\r\n\r\n0\r\n\r\n')],
  },
  'H1-TRAILER-LENGTH': {
    refused: [chunked('0\r\nA: b\r\n\r‸\n', { trailerBytes: 7 }), chunked('0\r\nA: ‸bbbbbbbbbbbb', { trailerBytes: 3 })],
    accepted: [chunked('0\r\nA: b\r\n\r\n', { trailerBytes: 8 }), chunked('0\r\n\r\n', { trailerBytes: 2 })],
  },
  'H1-TRAILER-COUNT': {
    refused: [chunked('0\r\nA: b\r\n‸C: d\r\n\r\n', { trailerFields: 1 }), chunked('0\r\n‸A: b\r\n\r\n', { trailerFields: 0 })],
    accepted: [chunked('0\r\nA: b\r\n\r\n', { trailerFields: 1 }), chunked('0\r\n\r\n', { trailerFields: 0 })],
  },
  'H1-TRAILER-FIELD': {
    refused: [
      chunked('0\r\nContent-Length: 5\r\n\r\n'),
      chunked('0\r\nX: y\r\ntransfer-encoding: chunked\r\n\r\n'),
      chunked('0\r\nhost: b\r\n\r\n'),
      chunked('0\r\nAuthorization: x\r\n\r\n'),
      chunked('0\r\nX-Forwarded-For: 1\r\n\r\n'),
      response('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nSet-Cookie: a=b\r\n\r\n'),
    ],
    accepted: [chunked('0\r\nX-Content-Length: 5\r\nDigest: x\r\nETag: "y"\r\n\r\n')],
  },
  'H1-INCOMPLETE': {
    refused: [
      request('G‸', { ends: true }),
      request(`GET / HTTP/1.1\r\n${HOST}\r‸`, { ends: true }),
      request(`POST / HTTP/1.1\r\n${HOST}Content-Length: 2\r\n\r\na‸`, { ends: true }),
      request(`POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n‸`, { ends: true }),
      response('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na‸', { ends: true }),
      response('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n‸', { ends: true }),
    ],
    accepted: [
      request('', { ends: true }),
      request(`GET / HTTP/1.1\r\n${HOST}\r\n`, { ends: true }),
      response('HTTP/1.1 200 OK\r\n\r\na', { ends: true }),
      response('HTTP/1.1 200 OK\r\n\r\n', { ends: true }),
      response('HTTP/1.1 100 Continue\r\n\r\n', { ends: true }),
    ],
  },
}

/** The conversation without its mark, and the offset that the mark names; -1 without one. */
export function withoutMark(conversation: Conversation): { conversation: Conversation; offset: number } {
  const offset = conversation.raw.indexOf(offsetMark)
  return { conversation: { ...conversation, raw: conversation.raw.replace(offsetMark, '') }, offset }
}

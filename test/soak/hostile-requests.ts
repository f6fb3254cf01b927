/** Bytes that try to be read in two ways, or not to be read at all. Everything here is to be refused: no request of it may reach an origin. */
import { smuggledTarget } from './good-origin.ts'

const smuggled = `GET ${smuggledTarget} HTTP/1.1\r\nHost: victim\r\n\r\n`
const post = 'POST /raid HTTP/1.1\r\nHost: raid\r\n'

/** A first request that a lenient reader ends elsewhere than a strict one, and a second one hidden behind it. */
export const smugglingRequests: readonly string[] = [
  `${post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
  `${post}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n2e\r\n${smuggled}\r\n0\r\n\r\n`,
  `${post}Content-Length: 0\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`,
  `${post}Content-Length: 0, ${smuggled.length}\r\n\r\n${smuggled}`,
  `${post}Content-Length: +0\r\n\r\n${smuggled}`,
  `${post}Content-Length: 0x0\r\n\r\n${smuggled}`,
  `${post}Content-Length : 0\r\n\r\n${smuggled}`,
  `${post}Content-Length: 18446744073709551616\r\n\r\n${smuggled}`,
  `${post}Content_Length: 9\r\nContent-Length: -1\r\n\r\n${smuggled}`,
  `${post}Transfer-Encoding: xchunked\r\n\r\n${smuggled}`,
  `${post}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n${smuggled}`,
  `${post}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n${smuggled}`,
  `${post}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${smuggled}`,
  `${post}Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
  `${post}Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n${smuggled}`,
  `${post}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n${smuggled}`,
  `${post}X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
  `${post}X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
  `POST /raid HTTP/1.0\r\nHost: raid\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
  `${post}Transfer-Encoding: chunked\r\n\r\n0;\n\r\n${smuggled}`,
  `${post}Transfer-Encoding: chunked\r\n\r\n1\r\nZZ${smuggled}`,
  `${post}Transfer-Encoding: chunked\r\n\r\n1 \r\nZ\r\n0x0\r\n\r\n${smuggled}`,
  `${post}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n${smuggled}`,
  `${post}Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n${smuggled}`,
  `${post}Transfer-Encoding: chunked\r\n\r\n0\nX: ${smuggled}`,
  `GET /raid HTTP/1.1\nHost: raid\n\n${smuggled}`,
  `GET /raid HTTP/1.1\r\nHost: raid\r\nHost: other\r\n\r\n${smuggled}`,
  `GET /raid HTTP/1.1\r\nHost: raid\r\nX: \0\r\n\r\n${smuggled}`,
  `GET /raid HTTP/1.1\r\n Host: raid\r\n\r\n${smuggled}`,
  `GET /raid HTTP/1.1 \r\nHost: raid\r\n\r\n${smuggled}`,
  `GET  /raid HTTP/1.1\r\nHost: raid\r\n\r\n${smuggled}`,
  `GET /raid\r\n\r\n${smuggled}`,
]

/** What speaks another protocol, or none. */
export const foreignGreetings: readonly string[] = [
  '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + '\x5a'.repeat(500),
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x12\x04\0\0\0\0\0',
  'SSH-2.0-raid\r\n',
  'EHLO raid\r\nMAIL FROM:<raid@raid>\r\n',
  '*1\r\n$4\r\nPING\r\n',
  '\0\0\0\x2a\xffSMBr',
  'CONNECT raid:443 HTTP/1.1\r\nHost: raid:443\r\n\r\n',
  '<policy-file-request/>\0',
  'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
  'get / http/1.1\r\nhost: raid\r\n\r\n',
]

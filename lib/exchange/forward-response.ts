/** What a response becomes on its way to the client: pure, from the parsed head to the octets that leave. */
import { BodyKind, encodeResponseHead } from '../../native-free-parser/index.ts'
import type { ResponseEncoding, ResponseHead } from '../../native-free-parser/index.ts'

/** Reused for every response: it is filled and read within one call. */
const encoding: ResponseEncoding = { via: '', framing: 'same', connection: '', date: '' }

/** A 1xx response, on its way to a 1.1 client. */
export function forwardInterim(head: ResponseHead): string {
  encoding.via = ''
  encoding.framing = 'same'
  encoding.connection = ''
  encoding.date = ''
  return encodeResponseHead(head, encoding)
}

export type ResponseFraming = ResponseEncoding['framing']

/** How a response body is framed for a client of that minor version: a 1.0 client knows no chunks. */
export function responseFraming(bodyKind: BodyKind, clientMinorVersion: number): ResponseFraming {
  if (bodyKind !== BodyKind.CHUNKED && bodyKind !== BodyKind.CLOSE) return 'same'
  return clientMinorVersion === 0 ? 'close' : 'chunked'
}

/** The final head. `connection` is the value of Connection, '' for none. */
export function forwardFinal(head: ResponseHead, framing: ResponseFraming, connection: string, via: string, date: string): string {
  encoding.via = via
  encoding.framing = framing
  encoding.connection = head.status === 426 ? (connection === '' ? 'Upgrade' : `${connection}, Upgrade`) : connection
  encoding.date = date
  return encodeResponseHead(head, encoding)
}

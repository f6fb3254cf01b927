/** What a response becomes on its way to the client: pure, from the parsed head to the octets that leave. */
import { BodyKind, encodeResponseHead, type FieldEdits } from '../../native-free-parser/index.ts'
import type { ResponseContext, ResponseEncoding, ResponseHead } from '../../native-free-parser/index.ts'

/** Reused for every response: it is filled and read within one call. */
const encoding: ResponseEncoding = { via: '', framing: 'same', connection: '', date: '', edits: null, added: '' }

const noNames: readonly string[] = Object.freeze([])
export const answerToOther: ResponseContext = Object.freeze({ toHead: false, offered: noNames })
const answerToHead: ResponseContext = Object.freeze({ toHead: true, offered: noNames })

/** What has to be known of the request to read its response. `offered`: the protocols that the server may switch to. */
export function responseContext(toHead: boolean, offered: readonly string[]): ResponseContext {
  if (offered.length === 0) return toHead ? answerToHead : answerToOther
  return { toHead, offered: offered.map((protocol) => protocol.toLowerCase()) }
}

/** A 1xx response, on its way to a 1.1 client. */
export function forwardInterim(head: ResponseHead): string {
  encoding.via = ''
  encoding.framing = 'same'
  encoding.connection = ''
  encoding.date = ''
  // What a route changes is for the response that it gets, not for what is said on the way to it.
  encoding.edits = null
  encoding.added = ''
  return encodeResponseHead(head, encoding)
}

export type ResponseFraming = ResponseEncoding['framing']

/** How a response body is framed for a client of that minor version: a 1.0 client knows no chunks. */
export function responseFraming(bodyKind: BodyKind, clientMinorVersion: number): ResponseFraming {
  if (bodyKind !== BodyKind.CHUNKED && bodyKind !== BodyKind.CLOSE) return 'same'
  return clientMinorVersion === 0 ? 'close' : 'chunked'
}

/** The final head. `connection` is the value of Connection, '' for none. `edits` and `added` are what the route asks for. */
export function forwardFinal(
  head: ResponseHead,
  framing: ResponseFraming,
  connection: string,
  via: string,
  date: string,
  edits: FieldEdits | null,
  added: string,
): string {
  encoding.via = via
  encoding.framing = framing
  encoding.connection = head.status === 426 ? (connection === '' ? 'Upgrade' : `${connection}, Upgrade`) : connection
  encoding.date = date
  encoding.edits = edits
  encoding.added = added
  return encodeResponseHead(head, encoding)
}

/**
 * Where a message ends, RFC 9112 section 6.3, decided from facts alone. Where the RFC leaves a choice between repairing and refusing,
 * this refuses: two recipients that repair differently are what request smuggling is made of.
 */
import { equalsIgnoreCase, isToken, trimWhiteSpace } from './characters.ts'
import { ParseError } from './errors.ts'
import { FieldKind } from './field-kind.ts'
import { BodyKind, type MessageHead, type RequestHead, type ResponseHead } from './head.ts'
import { spanWidth } from './wasm/engine.ts'

/** Sets `bodyKind` and `contentLength` of a request. Throws ParseError. */
export function decideRequestFraming(head: RequestHead): void {
  readContentLength(head)
  if (head.has(FieldKind.TRANSFER_ENCODING)) {
    requireChunked(head)
    head.bodyKind = BodyKind.CHUNKED
  } else head.bodyKind = head.contentLength > 0 ? BodyKind.LENGTH : BodyKind.NONE
}

/** What a response depends on besides itself, RFC 9112 section 6.3. */
export interface ResponseContext {
  /** The request was HEAD. */
  readonly toHead: boolean
  /** Lower-case names of the protocols that the request offered in Upgrade. */
  readonly offered: readonly string[]
}

/** Sets `bodyKind` and `contentLength` of a response. Throws ParseError. */
export function decideResponseFraming(head: ResponseHead, context: ResponseContext): void {
  const { status } = head
  readContentLength(head)
  const hasTransferEncoding = head.has(FieldKind.TRANSFER_ENCODING)
  if (hasTransferEncoding) requireChunked(head)
  if (status === 101) {
    requireOffered(head, context.offered)
    head.bodyKind = BodyKind.TUNNEL
  } else if (status < 200 || status === 204) {
    // RFC 9112 section 6.1: a server must not send Transfer-Encoding with these.
    if (hasTransferEncoding) throw new ParseError('H1-TE-UNALLOWED', nameStart(head, FieldKind.TRANSFER_ENCODING))
    head.bodyKind = BodyKind.NONE
  } else if (context.toHead || status === 304) head.bodyKind = BodyKind.NONE
  else if (hasTransferEncoding) head.bodyKind = BodyKind.CHUNKED
  else if (head.contentLength < 0) head.bodyKind = BodyKind.CLOSE
  else head.bodyKind = head.contentLength > 0 ? BodyKind.LENGTH : BodyKind.NONE
}

function nameStart(head: MessageHead, kind: FieldKind): number {
  return head.spans[head.lastIndex[kind]! * spanWidth]!
}

function readContentLength(head: MessageHead): void {
  if (!head.has(FieldKind.CONTENT_LENGTH)) return
  if (head.hasSeveral(FieldKind.CONTENT_LENGTH)) throw new ParseError('H1-CL-REPEATED', nameStart(head, FieldKind.CONTENT_LENGTH))
  if (head.has(FieldKind.TRANSFER_ENCODING)) throw new ParseError('H1-CL-AND-TE', nameStart(head, FieldKind.TRANSFER_ENCODING))
  const at = head.lastIndex[FieldKind.CONTENT_LENGTH]! * spanWidth
  const start = head.spans[at + 2]!
  const end = head.spans[at + 3]!
  if (start === end) throw new ParseError('H1-CL-INVALID', start)
  let length = 0
  for (let i = start; i < end; i++) {
    const digit = head.raw.charCodeAt(i) - 0x30
    if (digit < 0 || digit > 9) throw new ParseError('H1-CL-INVALID', i)
    length = length * 10 + digit
    if (length > Number.MAX_SAFE_INTEGER) throw new ParseError('H1-CL-OVERFLOW', i)
  }
  head.contentLength = length
}

/** The only transfer coding that is understood is a single, final, bare `chunked`, on 1.1. */
function requireChunked(head: MessageHead): void {
  const { raw, spans } = head
  const at = head.lastIndex[FieldKind.TRANSFER_ENCODING]! * spanWidth
  if (head.minorVersion === 0) throw new ParseError('H1-TE-HTTP10', spans[at]!)
  if (head.hasSeveral(FieldKind.TRANSFER_ENCODING)) throw new ParseError('H1-TE-REPEATED', spans[at]!)
  const start = spans[at + 2]!
  const end = spans[at + 3]!
  if (equalsIgnoreCase(raw, start, end, 'chunked')) return
  // A well-formed list that ends in chunked names codings that are not implemented: 501. Anything else is malformed: 400.
  const codings = raw.substring(start, end).split(',')
  for (let i = 0; i < codings.length; i++) {
    const coding = trimWhiteSpace(codings[i]!)
    const isChunked = equalsIgnoreCase(coding, 0, coding.length, 'chunked')
    if (!isToken(coding, 0, coding.length) || isChunked !== (i === codings.length - 1)) throw new ParseError('H1-TE-INVALID', start)
  }
  throw new ParseError('H1-TE-CODING', start)
}

/** RFC 9110 section 15.2.2: a 101 names the protocols it switches to, each of which must have been offered. */
function requireOffered(head: ResponseHead, offered: readonly string[]): void {
  if (!head.connection.upgrade || !head.has(FieldKind.UPGRADE)) throw new ParseError('H1-SWITCH-UNASKED', 0)
  for (let i = 0; i < head.count; i++) {
    if (head.kinds[i] !== FieldKind.UPGRADE) continue
    for (const protocol of head.value(i).split(',')) {
      if (!offered.includes(trimWhiteSpace(protocol).toLowerCase())) throw new ParseError('H1-SWITCH-UNASKED', head.spans[i * spanWidth]!)
    }
  }
}

/**
 * Heads as they leave: the octets that came, less what was for one hop only, with one canonical framing. Names, values, order and case
 * of all other fields stay; white space around values becomes one space before and none behind. Fields that stay are copied in runs,
 * so that a head of which little changes costs a few string operations, however many fields it has.
 */
import { DROPPED, UNTOUCHED, type FieldEdits } from './field-edits.ts'
import { FieldKind } from './field-kind.ts'
import { BodyKind, type MessageHead, type RequestHead, type ResponseHead } from './head.ts'
import { spanWidth } from './wasm/engine.ts'

/** Fields that never pass, RFC 9110 section 7.6.1 and sections 11.7.1 to 11.7.3; framing is written anew. */
const removed = new Uint8Array(32)
for (const kind of [
  FieldKind.CONNECTION,
  FieldKind.KEEP_ALIVE,
  FieldKind.PROXY_CONNECTION,
  FieldKind.TE,
  FieldKind.UPGRADE,
  FieldKind.HTTP2_SETTINGS,
  FieldKind.PROXY_AUTHORIZATION,
  FieldKind.PROXY_AUTHENTICATE,
  FieldKind.PROXY_AUTHENTICATION_INFO,
  FieldKind.TRANSFER_ENCODING,
  FieldKind.CONTENT_LENGTH,
  FieldKind.TRAILER,
]) {
  removed[kind] = 1
}

const COLON_SPACE = ': '
const CRLF = '\r\n'

/** The Via lines of one pseudonym: nearly every head ends in the same one, and a string that is there already costs nothing to make. */
let viaName = ''
let viaLine10 = ''
let viaLine11 = ''

function viaLine(via: string, minorVersion: number): string {
  if (via === '') return ''
  if (via !== viaName) {
    viaName = via
    viaLine10 = 'Via: 1.0 ' + via + CRLF
    viaLine11 = 'Via: 1.1 ' + via + CRLF
  }
  return minorVersion === 1 ? viaLine11 : viaLine10
}

/** What changes from hop to hop in a request. */
export interface RequestEncoding {
  /** Value of a Via field to add, '' for none. */
  via: string
  /** Value for the Host of a 1.0 request that has none. */
  defaultHost: string
  /** Protocols to offer in Upgrade, '' for none. */
  upgrade: string
  /** Value for Max-Forwards, '' to leave it as it is. */
  maxForwards: string
  /** The client takes trailers: `TE: trailers`. */
  acceptsTrailers: boolean
  /** The Host that is sent, '' for that of the request. */
  host: string
  /** Fields that do not leave: bit 1 << FieldKind for each kind. 0 for none. */
  drops: number
  /** What else is changed, null for nothing. */
  edits: FieldEdits | null
  /** Lines to add, whole and with CRLF. */
  added: string
}

/** The head for an upstream: origin-form, HTTP/1.1, canonical framing. Latin-1. */
export function encodeRequestHead(head: RequestHead, encoding: RequestEncoding): string {
  const { raw } = head
  const firstField = head.count > 0 ? head.spans[0]! : raw.length - 2
  let text: string
  let run: number
  if (head.minorVersion === 1 && head.authority === '') {
    text = ''
    run = 0
  } else {
    text = head.method + ' ' + originForm(head) + ' HTTP/1.1' + CRLF
    run = firstField
  }
  const { nominated } = head.connection
  const { edits } = encoding
  let seen = 0
  for (let i = 0; i < head.count; i++) {
    const kind = head.kinds[i] as FieldKind
    const at = i * spanWidth
    const start = head.spans[at]!
    const next = i + 1 < head.count ? head.spans[at + spanWidth]! : raw.length - 2
    let line: string | undefined
    if (kind !== FieldKind.OTHER) line = requestLine(head, kind, encoding)
    if (line === undefined && nominated.size > 0 && nominated.has(head.name(i).toLowerCase())) line = ''
    if (edits !== null && line === undefined) {
      const verdict = edits.find(raw, start, head.spans[at + 1]!)
      if (verdict === DROPPED) line = ''
      else if (verdict !== UNTOUCHED) seen |= verdict
    }
    if (line === undefined) {
      if (isCanonical(head, at, next)) continue
      line = raw.substring(start, head.spans[at + 1]) + COLON_SPACE + raw.substring(head.spans[at + 2]!, head.spans[at + 3]) + CRLF
    }
    if (run < start) text += raw.substring(run, start)
    text += line
    run = next
  }
  text += raw.substring(run, raw.length - 2)
  if (!head.has(FieldKind.HOST)) text += 'Host: ' + (encoding.host || head.authority || encoding.defaultHost) + CRLF
  if (encoding.upgrade !== '' || encoding.acceptsTrailers) {
    // RFC 9110 sections 7.8 and 10.1.4: whoever sends Upgrade or TE names it in Connection.
    if (encoding.upgrade === '') text += 'Connection: TE' + CRLF
    else
      text += (encoding.acceptsTrailers ? 'Connection: Upgrade, TE' : 'Connection: Upgrade') + CRLF + 'Upgrade: ' + encoding.upgrade + CRLF
    if (encoding.acceptsTrailers) text += 'TE: trailers' + CRLF
  }
  text += viaLine(encoding.via, head.minorVersion)
  if (edits !== null) text += edits.missing(seen)
  return text + encoding.added + CRLF
}

/** The line that takes the place of a field, '' to drop it, undefined to leave it. */
function requestLine(head: RequestHead, kind: FieldKind, encoding: RequestEncoding): string | undefined {
  switch (kind) {
    case FieldKind.HOST:
      if (encoding.host !== '') return 'Host: ' + encoding.host + CRLF
      return head.authority === '' ? undefined : 'Host: ' + head.authority + CRLF
    case FieldKind.CONTENT_LENGTH:
      return contentLengthLine(head)
    case FieldKind.TRANSFER_ENCODING:
      return 'Transfer-Encoding: chunked' + CRLF
    case FieldKind.TRAILER:
      return head.bodyKind === BodyKind.CHUNKED ? undefined : ''
    case FieldKind.EXPECT:
      return head.expectsContinue ? undefined : ''
    case FieldKind.MAX_FORWARDS:
      return encoding.maxForwards === '' ? undefined : 'Max-Forwards: ' + encoding.maxForwards + CRLF
    default:
      return removed[kind] === 1 || (encoding.drops & (1 << kind)) !== 0 ? '' : undefined
  }
}

/** RFC 9112 sections 3.2.1, 3.2.2 and 3.2.4. */
function originForm(head: RequestHead): string {
  const path = head.raw.substring(head.pathStart, head.targetEnd)
  if (head.authority === '' || path.startsWith('/')) return path
  return path === '' && head.method === 'OPTIONS' ? '*' : '/' + path
}

/** What changes from hop to hop in a response. */
export interface ResponseEncoding {
  /** Value of a Via field to add, '' for none. */
  via: string
  /** How the body leaves: as it came, chunked, or ended by the close of the connection. */
  framing: 'same' | 'chunked' | 'close'
  /** Value of Connection, '' for none. */
  connection: string
  /** Value of a Date for a response that has none (RFC 9110 section 6.6.1), '' for none. */
  date: string
  /** What else is changed, null for nothing. */
  edits: FieldEdits | null
  /** Lines to add, whole and with CRLF. */
  added: string
}

/** The head for a client: HTTP/1.1, canonical framing. Latin-1. */
export function encodeResponseHead(head: ResponseHead, encoding: ResponseEncoding): string {
  const { raw } = head
  const firstField = head.count > 0 ? head.spans[0]! : raw.length - 2
  let text: string
  let run: number
  if (head.minorVersion === 1 && raw.charCodeAt(12) === 0x20) {
    text = ''
    run = 0
  } else {
    const reason = raw.charCodeAt(12) === 0x20 ? raw.substring(13, firstField) : CRLF
    text = 'HTTP/1.1 ' + head.status + ' ' + reason
    run = firstField
  }
  const { nominated } = head.connection
  const { edits } = encoding
  let seen = 0
  for (let i = 0; i < head.count; i++) {
    const kind = head.kinds[i] as FieldKind
    const at = i * spanWidth
    const start = head.spans[at]!
    const next = i + 1 < head.count ? head.spans[at + spanWidth]! : raw.length - 2
    let line: string | undefined
    if (kind !== FieldKind.OTHER) line = responseLine(head, kind, encoding)
    if (line === undefined && nominated.size > 0 && nominated.has(head.name(i).toLowerCase())) line = ''
    if (edits !== null && line === undefined) {
      const verdict = edits.find(raw, start, head.spans[at + 1]!)
      if (verdict === DROPPED) line = ''
      else if (verdict !== UNTOUCHED) seen |= verdict
    }
    if (line === undefined) {
      if (isCanonical(head, at, next)) continue
      line = raw.substring(start, head.spans[at + 1]) + COLON_SPACE + raw.substring(head.spans[at + 2]!, head.spans[at + 3]) + CRLF
    }
    if (run < start) text += raw.substring(run, start)
    text += line
    run = next
  }
  text += raw.substring(run, raw.length - 2)
  if (encoding.framing === 'chunked') text += 'Transfer-Encoding: chunked' + CRLF
  if (encoding.date !== '' && !head.has(FieldKind.DATE)) text += 'Date: ' + encoding.date + CRLF
  if (encoding.connection !== '') text += 'Connection: ' + encoding.connection + CRLF
  text += viaLine(encoding.via, head.minorVersion)
  if (edits !== null) text += edits.missing(seen)
  return text + encoding.added + CRLF
}

function responseLine(head: ResponseHead, kind: FieldKind, encoding: ResponseEncoding): string | undefined {
  switch (kind) {
    case FieldKind.CONTENT_LENGTH:
      // RFC 9110 section 8.6: none in 1xx and 204. In 304 and answers to HEAD it tells what a GET would have had.
      return head.status < 200 || head.status === 204 ? '' : contentLengthLine(head)
    case FieldKind.TRAILER:
      return encoding.framing === 'chunked' ? undefined : ''
    case FieldKind.UPGRADE:
      // 101 says what was switched to; 426 says what to switch to (RFC 9110 section 15.5.22). `connection` names it.
      return head.status === 101 || head.status === 426 ? undefined : ''
    default:
      return removed[kind] === 1 ? '' : undefined
  }
}

/** A length without leading zeros stays as it came. */
function contentLengthLine(head: MessageHead): string | undefined {
  const at = head.lastIndex[FieldKind.CONTENT_LENGTH]! * spanWidth
  const start = head.spans[at + 2]!
  return head.raw.charCodeAt(start) !== 0x30 || head.spans[at + 3] === start + 1
    ? undefined
    : 'Content-Length: ' + head.contentLength + CRLF
}

/** `name: value` CRLF, exactly one space before the value and none behind it. An empty value counts with or without the space. */
function isCanonical(head: MessageHead, at: number, next: number): boolean {
  const { raw, spans } = head
  const nameEnd = spans[at + 1]!
  return spans[at + 2] === nameEnd + 2 && raw.charCodeAt(nameEnd + 1) === 0x20 && spans[at + 3] === next - 2
}

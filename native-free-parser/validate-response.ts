/** What llhttp lets through in a response head and a strict recipient must not, RFC 9112 section 4. Runs once for each head. */
import { valueOctets } from './characters.ts'
import { readConnectionOptions } from './connection-tokens.ts'
import { ParseError } from './errors.ts'
import { decideResponseFraming, type ResponseContext } from './framing.ts'
import type { ResponseHead } from './head.ts'
import type { HeadSpans } from './wasm/engine.ts'

/** Fills `head` from a complete head. Throws ParseError. */
export function validateResponse(head: ResponseHead, raw: string, spans: HeadSpans, context: ResponseContext): void {
  readStatusLine(head, raw)
  head.assign(raw, spans)
  readConnectionOptions(head)
  decideResponseFraming(head, context)
}

/**
 * HTTP-version SP 3DIGIT SP [reason]. A missing last SP (`HTTP/1.1 200` CRLF) is accepted, as every recipient does: common servers
 * send it when they have no reason, and there is nothing to be read in two ways.
 */
function readStatusLine(head: ResponseHead, raw: string): void {
  if (!raw.startsWith('HTTP/1.') || raw.charCodeAt(8) !== 0x20)
    throw new ParseError(raw.startsWith('HTTP/') ? 'H1-VERSION' : 'H1-STATUS-LINE', 5)
  const minor = raw.charCodeAt(7) - 0x30
  if (minor !== 0 && minor !== 1) throw new ParseError('H1-VERSION', 7)
  let status = 0
  for (let i = 9; i < 12; i++) {
    const digit = raw.charCodeAt(i) - 0x30
    if (digit < 0 || digit > 9) throw new ParseError('H1-STATUS-LINE', i)
    status = status * 10 + digit
  }
  if (status < 100 || status > 599) throw new ParseError('H1-STATUS-CODE', 9)
  const after = raw.charCodeAt(12)
  if (after !== 0x20 && after !== 0x0d) throw new ParseError('H1-STATUS-LINE', 12)
  const lineEnd = raw.indexOf('\r\n')
  for (let i = 13; i < lineEnd; i++) if (valueOctets[raw.charCodeAt(i)] !== 1) throw new ParseError('H1-STATUS-LINE', i)
  head.minorVersion = minor
  head.status = status
}

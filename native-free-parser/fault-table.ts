/**
 * Turns a fault that llhttp found in a head into the rule that was broken. llhttp says what it expected in its own terms; what was
 * sent stands at the offset where it stopped. Pure: works on the octets up to and including the offending one, so that the verdict
 * does not depend on how the input was split.
 */
import { isToken, tokenOctets } from './characters.ts'
import type { RuleId } from './rules.ts'
import { LlhttpErrno, type MessageKind } from './wasm/engine.ts'

const CR = 0x0d
const LF = 0x0a

export interface HeadFault {
  readonly rule: RuleId
  readonly offset: number
}

/** `raw`: the head up to the octet at `offset`, at which llhttp gave `errno` and `reason`. */
export function explainHeadFault(kind: MessageKind, raw: string, offset: number, errno: number, reason: string): HeadFault {
  const code = raw.charCodeAt(offset)
  if (code === 0) return { rule: 'H1-NUL', offset }
  switch (errno) {
    case LlhttpErrno.LF_EXPECTED:
      return { rule: 'H1-BARE-CR', offset }
    case LlhttpErrno.CR_EXPECTED:
      return { rule: 'H1-BARE-LF', offset }
    case LlhttpErrno.UNEXPECTED_SPACE:
      return { rule: 'H1-LEADING-SPACE', offset }
    case LlhttpErrno.PAUSED_H2_UPGRADE:
      return { rule: 'H1-VERSION', offset: raw.indexOf(' HTTP/') + 6 }
    case LlhttpErrno.UNEXPECTED_CONTENT_LENGTH:
      return { rule: reason.includes('Transfer-Encoding') ? 'H1-CL-AND-TE' : 'H1-CL-REPEATED', offset }
    case LlhttpErrno.INVALID_CONTENT_LENGTH:
      if (reason.includes('Transfer-Encoding')) return { rule: 'H1-CL-AND-TE', offset }
      return { rule: reason.includes('overflow') ? 'H1-CL-OVERFLOW' : 'H1-CL-INVALID', offset }
    case LlhttpErrno.INVALID_TRANSFER_ENCODING:
      return { rule: reason.includes('Content-Length') ? 'H1-CL-AND-TE' : 'H1-TE-INVALID', offset }
  }
  // llhttp sometimes stops one octet behind a line end that it took for a whole one.
  const before = raw.charCodeAt(offset - 1)
  if (before === CR && code !== LF) return { rule: 'H1-BARE-CR', offset: offset - 1 }
  if (before === LF && raw.charCodeAt(offset - 2) !== CR) return { rule: 'H1-BARE-LF', offset: offset - 1 }
  const lineEnd = raw.indexOf('\r\n')
  if (lineEnd >= 0 && lineEnd < offset) return explainField(raw, offset, code, reason)
  return kind === 'request' ? explainRequestLine(raw, offset, code, errno) : explainStatusLine(raw, offset, code)
}

function explainField(raw: string, offset: number, code: number, reason: string): HeadFault {
  if (reason.includes('whitespace after header value')) return { rule: 'H1-OBS-FOLD', offset }
  const lineStart = raw.lastIndexOf('\n', offset - 1) + 1
  if (code === LF) return { rule: 'H1-BARE-LF', offset }
  if (raw.lastIndexOf(':', offset - 1) >= lineStart) return { rule: code === CR ? 'H1-BARE-CR' : 'H1-FIELD-VALUE', offset }
  if (code === 0x20 || code === 0x09) return { rule: offset === lineStart ? 'H1-LEADING-SPACE' : 'H1-FIELD-NAME-SPACE', offset }
  if (code === CR) return { rule: 'H1-FIELD-COLON', offset }
  return { rule: 'H1-FIELD-NAME', offset }
}

function explainRequestLine(raw: string, offset: number, code: number, errno: number): HeadFault {
  const methodEnd = raw.indexOf(' ')
  if (code === LF) return { rule: 'H1-BARE-LF', offset }
  if (methodEnd < 0 || methodEnd >= offset) {
    if (offset === 0 && tokenOctets[code] !== 1) return { rule: 'H1-METHOD-TOKEN', offset }
    const seen = methodEnd < 0 ? offset + 1 : methodEnd
    return { rule: isToken(raw, 0, seen) ? 'H1-METHOD-UNKNOWN' : 'H1-METHOD-TOKEN', offset }
  }
  if (errno === LlhttpErrno.INVALID_URL) {
    const inside = offset > methodEnd + 1 && raw.charCodeAt(methodEnd + 1) === 0x2f
    return { rule: inside && code !== CR ? 'H1-TARGET-CHAR' : 'H1-TARGET-FORM', offset }
  }
  if (errno === LlhttpErrno.INVALID_VERSION) {
    const version = raw.lastIndexOf(' HTTP/', offset)
    if (version < 0) return { rule: 'H1-VERSION-SYNTAX', offset }
    const digits = raw.substring(version + 6, version + 9)
    if (/^[0-9]\.[0-9]$/.test(digits))
      return digits === '1.0' || digits === '1.1' ? { rule: 'H1-REQUEST-LINE', offset } : { rule: 'H1-VERSION', offset: version + 6 }
    return { rule: 'H1-VERSION-SYNTAX', offset }
  }
  if (errno === LlhttpErrno.INVALID_CONSTANT) return { rule: 'H1-VERSION-SYNTAX', offset }
  return { rule: 'H1-REQUEST-LINE', offset }
}

function explainStatusLine(raw: string, offset: number, code: number): HeadFault {
  if (code === LF) return { rule: 'H1-BARE-LF', offset }
  if (offset >= 5 && offset <= 7 && raw.startsWith('HTTP/')) return { rule: 'H1-VERSION', offset }
  return { rule: 'H1-STATUS-LINE', offset }
}

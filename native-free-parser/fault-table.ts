/**
 * Turns a fault that llhttp found in a head into the rule that was broken. llhttp says what it expected in its own terms; what was
 * sent stands at the offset where it stopped. Pure: works on the octets up to and including the offending one, so that the verdict
 * does not depend on how the input was split.
 */
import { isToken, isWhiteSpace, tokenOctets } from './characters.ts'
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
  const before = raw.charCodeAt(offset - 1)
  if (before === CR && code !== LF) return { rule: 'H1-BARE-CR', offset }
  if (code === LF && before !== CR) return { rule: 'H1-BARE-LF', offset }
  const lineEnd = raw.indexOf('\r\n')
  // Behind PRI llhttp wants the rest of the HTTP/2 preface; the first field, in which it stops, is sound.
  if (kind === 'request' && lineEnd >= 0 && lineEnd < offset && raw.startsWith('PRI ')) return { rule: 'H1-METHOD-UNKNOWN', offset: 0 }
  if (lineEnd >= 0 && lineEnd < offset) return explainField(raw, offset, code)
  return kind === 'request' ? explainRequestLine(raw, offset, code, errno) : explainStatusLine(raw, offset)
}

function explainField(raw: string, offset: number, code: number): HeadFault {
  const lineStart = raw.lastIndexOf('\n', offset - 1) + 1
  if (isWhiteSpace(raw.charCodeAt(lineStart)))
    return { rule: lineStart === raw.indexOf('\n') + 1 ? 'H1-LEADING-SPACE' : 'H1-OBS-FOLD', offset: lineStart }
  if (raw.lastIndexOf(':', offset - 1) >= lineStart) return { rule: code === CR ? 'H1-BARE-CR' : 'H1-FIELD-VALUE', offset }
  if (isWhiteSpace(code)) return { rule: 'H1-FIELD-NAME-SPACE', offset }
  if (code === CR) return { rule: 'H1-FIELD-COLON', offset }
  return { rule: 'H1-FIELD-NAME', offset }
}

function explainRequestLine(raw: string, offset: number, code: number, errno: number): HeadFault {
  const methodEnd = raw.indexOf(' ')
  if (methodEnd < 0 || methodEnd >= offset) {
    if (offset === 0 && tokenOctets[code] !== 1) return { rule: 'H1-METHOD-TOKEN', offset }
    const seen = methodEnd < 0 ? offset + 1 : methodEnd
    return { rule: isToken(raw, 0, seen) ? 'H1-METHOD-UNKNOWN' : 'H1-METHOD-TOKEN', offset }
  }
  if (errno === LlhttpErrno.INVALID_URL) {
    if (code === 0x23) return { rule: 'H1-TARGET-FRAGMENT', offset }
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

function explainStatusLine(raw: string, offset: number): HeadFault {
  if (/^HTTP\/(?!1\.[01])[0-9]\.[0-9]/.test(raw)) return { rule: 'H1-VERSION', offset: 5 }
  if (offset >= 5 && offset <= 7 && raw.startsWith('HTTP/')) return { rule: 'H1-VERSION', offset }
  return { rule: 'H1-STATUS-LINE', offset }
}

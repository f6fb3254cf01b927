/** Octet classes of RFC 9110 and RFC 3986 as 256-entry tables: 1 where the octet belongs to the class. Latin-1: one character is one octet. */

function table(members: string, ranges: readonly (readonly [number, number])[] = []): Uint8Array {
  const octets = new Uint8Array(256)
  for (let i = 0; i < members.length; i++) octets[members.charCodeAt(i)] = 1
  for (const [from, to] of ranges) octets.fill(1, from, to + 1)
  return octets
}

const digit = [0x30, 0x39] as const
const upper = [0x41, 0x5a] as const
const lower = [0x61, 0x7a] as const

/** tchar, RFC 9110 section 5.6.2. */
export const tokenOctets = table("!#$%&'*+-.^_`|~", [digit, upper, lower])
/** field-content and OWS: HTAB, SP, VCHAR, obs-text, RFC 9110 section 5.5. */
export const valueOctets = table('\t ', [
  [0x21, 0x7e],
  [0x80, 0xff],
])
/** qdtext, RFC 9110 section 5.6.4. */
export const quotedOctets = table('\t !', [
  [0x23, 0x5b],
  [0x5d, 0x7e],
  [0x80, 0xff],
])
/** Hex digits. */
export const hexOctets = table('', [digit, [0x41, 0x46], [0x61, 0x66]])
/** reg-name without pct-encoded: unreserved and sub-delims, RFC 3986 section 3.2.2. */
export const regNameOctets = table("-._~!$&'()*+,;=", [digit, upper, lower])
/**
 * Path octets without pct-encoded: pchar and "/", RFC 3986 section 3.3, and the three that browsers leave bare
 * (WHATWG URL, path percent-encode set): refusing those would refuse ordinary pages.
 */
export const pathOctets = table("-._~!$&'()*+,;=:@/[]|", [digit, upper, lower])
/** Query octets: path octets, "?", and what browsers leave bare in a query (WHATWG URL, query percent-encode set). "%" is data here. */
export const queryOctets = table("-._~!$&'()*+,;=:@/?[]|\\^`{}%", [digit, upper, lower])

/**
 * What H1-TARGET-CHAR lets pass in a target when it only warns: octets that end nothing, for any parser. Not "#", which ends the target for some,
 * and not a backslash in a path, which is "/" for others; octets from 0x80 are refused by llhttp already.
 */
export const looseOctets = table('"<>^`{}')

/** SP or HTAB: what OWS and BWS are made of, RFC 9110 section 5.6.3. */
export function isWhiteSpace(code: number): boolean {
  return code === 0x20 || code === 0x09
}

/** Without surrounding OWS. A loop: a regular expression for this is quadratic in a run of white space. */
export function trimWhiteSpace(text: string): string {
  let start = 0
  let end = text.length
  while (start < end && isWhiteSpace(text.charCodeAt(start))) start++
  while (end > start && isWhiteSpace(text.charCodeAt(end - 1))) end--
  return text.substring(start, end)
}

/** Whether raw[start, end) equals `lowerCase` in any case. */
export function equalsIgnoreCase(raw: string, start: number, end: number, lowerCase: string): boolean {
  if (end - start !== lowerCase.length) return false
  for (let i = 0; i < lowerCase.length; i++) {
    const code = raw.charCodeAt(start + i)
    const wanted = lowerCase.charCodeAt(i)
    if (code !== wanted && (code < 0x41 || code > 0x5a || code + 32 !== wanted)) return false
  }
  return true
}

/** Whether raw[start, end) equals `lowerCase` in any case, with "_" for any "-". */
export function resemblesName(raw: string, start: number, end: number, lowerCase: string): boolean {
  if (end - start !== lowerCase.length) return false
  for (let i = 0; i < lowerCase.length; i++) {
    const code = raw.charCodeAt(start + i)
    const wanted = lowerCase.charCodeAt(i)
    if (code === wanted || (code >= 0x41 && code <= 0x5a && code + 32 === wanted) || (code === 0x5f && wanted === 0x2d)) continue
    return false
  }
  return true
}

/** Whether raw[start, end) is a token, RFC 9110 section 5.6.2. */
export function isToken(raw: string, start: number, end: number): boolean {
  if (start >= end) return false
  for (let i = start; i < end; i++) if (tokenOctets[raw.charCodeAt(i)] !== 1) return false
  return true
}

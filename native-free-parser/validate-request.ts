/**
 * What llhttp lets through in a request head and a strict recipient must not: RFC 9110 and RFC 9112, read without leniency.
 * Runs once for each head, after llhttp has accepted it; every fault is a ParseError that names its rule.
 */
import { findAuthorityFault } from './authority.ts'
import { equalsIgnoreCase, hexOctets, isToken, looseOctets, pathOctets, queryOctets, trimWhiteSpace } from './characters.ts'
import { readConnectionOptions } from './connection-tokens.ts'
import { ParseError } from './errors.ts'
import { FieldKind } from './field-kind.ts'
import { decideRequestFraming } from './framing.ts'
import { internMethod, type RequestHead } from './head.ts'
import type { ParserLimits } from './limits.ts'
import type { RuleId } from './rules.ts'
import { spanWidth, type HeadSpans } from './wasm/engine.ts'

/** Length of " HTTP/1.1". */
const versionLength = 9

/** Fills `head` from a complete head. Throws ParseError; what is broken of the rules in `tolerated` stands in `head.faults` instead. */
export function validateRequest(
  head: RequestHead,
  raw: string,
  spans: HeadSpans,
  limits: ParserLimits,
  tolerated: ReadonlySet<RuleId>,
): void {
  if (head.faults.length > 0) head.faults.length = 0
  readRequestLine(head, raw, spans, limits)
  head.assign(raw, spans)
  readConnectionOptions(head)
  checkTarget(head, tolerated)
  checkHost(head)
  decideRequestFraming(head)
  checkExpect(head)
  checkUpgrade(head, tolerated)
}

/** Throws, unless the rule is tolerated; the first offset of each rule is kept. */
function noteFault(head: RequestHead, tolerated: ReadonlySet<RuleId>, rule: RuleId, offset: number): void {
  const fault = new ParseError(rule, offset)
  if (!tolerated.has(rule)) throw fault
  if (!head.faults.some((other) => other.rule === rule)) head.faults.push(fault)
}

function readRequestLine(head: RequestHead, raw: string, { targetStart, targetEnd }: HeadSpans, limits: ParserLimits): void {
  if (raw.indexOf('\r') > limits.startLineBytes) throw new ParseError('H1-REQUEST-LINE-LENGTH', limits.startLineBytes)
  const methodEnd = targetStart - 1
  // llhttp takes several spaces and a line without version; exactly one space and one version are right, RFC 9112 section 3.
  for (let i = 0; i < methodEnd; i++) if (raw.charCodeAt(i) === 0x20) throw new ParseError('H1-REQUEST-LINE', i)
  if (raw.charCodeAt(targetEnd) !== 0x20 || raw.charCodeAt(targetEnd + versionLength) !== 0x0d)
    throw new ParseError('H1-REQUEST-LINE', targetEnd)
  if (!raw.startsWith('HTTP/', targetEnd + 1)) throw new ParseError('H1-VERSION-SYNTAX', targetEnd + 1)
  const minor = raw.charCodeAt(targetEnd + 8) - 0x30
  if (raw.charCodeAt(targetEnd + 6) !== 0x31 || raw.charCodeAt(targetEnd + 7) !== 0x2e || (minor !== 0 && minor !== 1))
    throw new ParseError('H1-VERSION', targetEnd + 6)
  head.minorVersion = minor
  head.method = internMethod(raw, methodEnd)
  head.targetStart = targetStart
  head.targetEnd = targetEnd
}

/** The four forms of a target, RFC 9112 section 3.2. */
function checkTarget(head: RequestHead, tolerated: ReadonlySet<RuleId>): void {
  const { raw, targetStart, targetEnd } = head
  head.authority = ''
  head.pathStart = targetStart
  if (head.method === 'CONNECT') throw new ParseError('H1-CONNECT', 0)
  const first = raw.charCodeAt(targetStart)
  if (first === 0x2f) return checkPath(head, targetStart, targetEnd, tolerated)
  if (first === 0x2a) {
    if (targetEnd !== targetStart + 1 || head.method !== 'OPTIONS') throw new ParseError('H1-TARGET-FORM', targetStart)
    return
  }
  const schemeEnd = raw.indexOf('://', targetStart)
  if (schemeEnd < 0 || schemeEnd >= targetEnd) throw new ParseError('H1-TARGET-FORM', targetStart)
  if (!equalsIgnoreCase(raw, targetStart, schemeEnd, 'http') && !equalsIgnoreCase(raw, targetStart, schemeEnd, 'https'))
    throw new ParseError('H1-TARGET-SCHEME', targetStart)
  const authorityStart = schemeEnd + 3
  let authorityEnd = authorityStart
  while (authorityEnd < targetEnd && !isAuthorityEnd(raw.charCodeAt(authorityEnd))) authorityEnd++
  const fault = findAuthorityFault(raw, authorityStart, authorityEnd)
  if (fault >= 0) throw new ParseError('H1-TARGET-AUTHORITY', fault)
  head.authority = raw.substring(authorityStart, authorityEnd)
  head.pathStart = authorityEnd
  checkPath(head, authorityEnd, targetEnd, tolerated)
}

/** "/", "?" and "#" end an authority, RFC 3986 section 3.2. */
function isAuthorityEnd(code: number): boolean {
  return code === 0x2f || code === 0x3f || code === 0x23
}

/** Octets of raw[start, end) as path-abempty ["?" query]. */
function checkPath(head: RequestHead, start: number, end: number, tolerated: ReadonlySet<RuleId>): void {
  const { raw } = head
  let i = start
  for (; i < end; i++) {
    const code = raw.charCodeAt(i)
    if (pathOctets[code] === 1) continue
    if (code === 0x3f) break
    if (code === 0x25) {
      if (i + 2 >= end || hexOctets[raw.charCodeAt(i + 1)] !== 1 || hexOctets[raw.charCodeAt(i + 2)] !== 1)
        noteFault(head, tolerated, 'H1-TARGET-ESCAPE', i)
    } else if (looseOctets[code] === 1) noteFault(head, tolerated, 'H1-TARGET-CHAR', i)
    else throw new ParseError(code === 0x23 ? 'H1-TARGET-FRAGMENT' : 'H1-TARGET-CHAR', i)
  }
  for (; i < end; i++) {
    const code = raw.charCodeAt(i)
    if (queryOctets[code] === 1) continue
    if (looseOctets[code] === 1) noteFault(head, tolerated, 'H1-TARGET-CHAR', i)
    else throw new ParseError(code === 0x23 ? 'H1-TARGET-FRAGMENT' : 'H1-TARGET-CHAR', i)
  }
}

function checkHost(head: RequestHead): void {
  if (!head.has(FieldKind.HOST)) {
    if (head.minorVersion === 1) throw new ParseError('H1-HOST-MISSING', head.raw.length)
    return
  }
  const at = head.lastIndex[FieldKind.HOST]! * spanWidth
  if (head.hasSeveral(FieldKind.HOST)) throw new ParseError('H1-HOST-MULTIPLE', head.spans[at]!)
  const start = head.spans[at + 2]!
  const end = head.spans[at + 3]!
  if (start === end) throw new ParseError('H1-HOST-EMPTY', start)
  const fault = findAuthorityFault(head.raw, start, end)
  if (fault >= 0) throw new ParseError('H1-HOST-INVALID', fault)
}

function checkExpect(head: RequestHead): void {
  head.expectsContinue = false
  // RFC 9110 section 10.1.1: an expectation in a 1.0 request is to be ignored.
  if (!head.has(FieldKind.EXPECT) || head.minorVersion === 0) return
  const at = head.lastIndex[FieldKind.EXPECT]! * spanWidth
  const start = head.spans[at + 2]!
  if (head.hasSeveral(FieldKind.EXPECT) || !equalsIgnoreCase(head.raw, start, head.spans[at + 3]!, '100-continue'))
    throw new ParseError('H1-EXPECT', start)
  head.expectsContinue = true
}

/** Upgrade counts only when Connection nominates it (RFC 9110 section 7.8); then it must be a list of protocol-name ["/" version]. */
function checkUpgrade(head: RequestHead, tolerated: ReadonlySet<RuleId>): void {
  if (!head.connection.upgrade || head.minorVersion === 0) return
  for (let i = 0; i < head.count; i++) {
    if (head.kinds[i] !== FieldKind.UPGRADE) continue
    for (const element of head.value(i).split(',')) {
      const protocol = trimWhiteSpace(element)
      if (protocol === '') continue
      const slash = protocol.indexOf('/')
      const isProtocol =
        slash < 0 ? isToken(protocol, 0, protocol.length) : isToken(protocol, 0, slash) && isToken(protocol, slash + 1, protocol.length)
      if (isProtocol) continue
      noteFault(head, tolerated, 'H1-UPGRADE', head.spans[i * spanWidth + 2]!)
      // RFC 9110 section 7.8: an Upgrade may be ignored. Then nothing is offered, and the field ends here.
      head.connection.upgrade = false
    }
  }
}

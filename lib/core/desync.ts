/**
 * The signs that an upstream connection is out of step: that the server counts other requests, or other ends of messages, than we do.
 * After each of them the connection is not used again. Some prove it; others are what a healthy server does too, and are only told.
 */

import type { RuleId } from '../../native-free-parser/index.ts'

export interface DesyncRow {
  /** Counts towards quarantine: neither a healthy server nor a client of one can cause it. */
  readonly isEvidence: boolean
  /** The rule that it breaks by itself, '' where none is broken or the exchange names one. */
  readonly rule: RuleId | ''
  readonly doc: string
}

// oxfmt-ignore
export const desyncTable = {
  'excess-response': { isEvidence: true, rule: 'H1-RESPONSE-UNASKED', doc: 'a response too many, behind another one or on an idle connection: the server has seen a request that was not sent' },
  'excess-bytes': { isEvidence: true, rule: 'H1-RESPONSE-UNASKED', doc: 'bytes behind the end of a response that begin no other' },
  'idle-bytes': { isEvidence: true, rule: 'H1-RESPONSE-UNASKED', doc: 'an idle connection, or one never used, said something that is no response' },
  'nonsense-after-reuse': { isEvidence: true, rule: '', doc: 'what came on a reused connection does not begin as a response: a rest of the one before' },
  'refusal-after-reuse': { isEvidence: false, rule: '', doc: 'a 400 or 408 on a reused connection: the request may have met a rest of the one before; mostly it is the application that says so' },
  'early-response': { isEvidence: false, rule: '', doc: 'a response before the end of the request, and the server means to go on: it may read the rest of the body as a request, or wait for it as it should' },
  'idle-timeout': { isEvidence: false, rule: '', doc: 'a 408 on an idle connection: how many servers say that they close it, and what one says that waits for the rest of a smuggled head' },
  'stray-newlines': { isEvidence: false, rule: '', doc: 'nothing but line ends between responses, which RFC 9112 section 9.2 lets pass' },
} as const satisfies Record<string, DesyncRow>

export type DesyncKind = keyof typeof desyncTable
export type DesyncCounts = Readonly<Record<DesyncKind, number>>

/** One 0 for each kind. */
export function zeroDesyncCounts(): Record<DesyncKind, number> {
  return Object.fromEntries(Object.keys(desyncTable).map((kind) => [kind, 0])) as Record<DesyncKind, number>
}

const newline = 0x0a
const carriageReturn = 0x0d
/** As far as the status of a response. */
const responseStart = 'HTTP/1.1 408'.length

/** What bytes [start, end) are that answer no request. `isIdle`: no exchange has the connection. */
export function classifyStray(bytes: Buffer, start: number, end: number, isIdle: boolean): DesyncKind {
  let at = start
  while (at < end && (bytes[at] === newline || bytes[at] === carriageReturn)) at++
  if (at === end) return 'stray-newlines'
  const text = bytes.toString('latin1', at, Math.min(end, at + responseStart))
  if (!text.startsWith('HTTP/')) return isIdle ? 'idle-bytes' : 'excess-bytes'
  return isIdle && text.endsWith(' 408') ? 'idle-timeout' : 'excess-response'
}

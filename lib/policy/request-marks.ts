/**
 * What a request is known by beyond this proxy: its id, and its place in a trace (W3C Trace Context, section 3.2). Taken over where that may be,
 * made otherwise.
 */
import { randomFillSync } from 'node:crypto'
import { equalsIgnoreCase, spanWidth, type RequestHead } from '../../native-free-parser/index.ts'

/**
 * Random octets from a store that is filled by one call for many requests. They come from the system's generator, so that ids of all processes
 * and machines differ and tell nothing of how many there were; no secret hangs on them, and what is still in the store may be read from memory.
 */
export class RandomHex {
  readonly #octets = Buffer.allocUnsafeSlow(2_048)
  /** All of them in hex: what is taken is a part of this string, and costs no call out of JavaScript. */
  #digits = ''
  #at = 0

  /** So many hex digits in lower case; at most as many as the store has. */
  take(digits: number): string {
    if (this.#at + digits > this.#digits.length) {
      this.#digits = randomFillSync(this.#octets).toString('hex')
      this.#at = 0
    }
    const start = this.#at
    this.#at += digits
    return this.#digits.substring(start, this.#at)
  }
}

/** Longer ones fill logs. */
const idCharactersMax = 128

/** The index of the only field of this name (lower case), -1 without one, -2 where there are several. */
export function findOnly(head: RequestHead, name: string): number {
  const { raw, spans } = head
  let found = -1
  for (let i = 0; i < head.count; i++) {
    const at = i * spanWidth
    if (!equalsIgnoreCase(raw, spans[at]!, spans[at + 1]!, name)) continue
    if (found >= 0) return -2
    found = i
  }
  return found
}

/** The id that the client sends under this name (lower case), '' when there is none that could be used: letters, digits and -_.~:/+=@ only. */
export function readRequestId(head: RequestHead, name: string): string {
  const index = findOnly(head, name)
  if (index < 0) return ''
  const value = head.value(index)
  if (value.length === 0 || value.length > idCharactersMax) return ''
  for (let i = 0; i < value.length; i++) if (!isIdCharacter(value.charCodeAt(i))) return ''
  return value
}

/** Neither quotes nor separators: an id goes into logs, fields and URLs of others as it is. */
function isIdCharacter(code: number): boolean {
  if (code >= 0x61) return code <= 0x7a || code === 0x7e
  if (code >= 0x40) return code <= 0x5a || code === 0x5f
  return (code >= 0x2d && code <= 0x3a) || code === 0x2b || code === 0x3d
}

/** Whether the request has a traceparent that is to be passed on as it is. One that Connection names does not leave (RFC 9110 section 7.6.1). */
export function hasTraceparent(head: RequestHead): boolean {
  const index = findOnly(head, 'traceparent')
  return index >= 0 && isTraceparent(head.value(index)) && !head.connection.nominated.has('traceparent')
}

/**
 * version "-" trace-id "-" parent-id "-" trace-flags, hex digits in lower case. Version 00 is exactly that; a higher one may go on behind another
 * "-", and is passed as it is, since nothing here depends on it. Version ff, and ids that are all zero, are invalid.
 */
export function isTraceparent(value: string): boolean {
  if (value.length < 55 || value.charCodeAt(2) !== 0x2d || value.charCodeAt(35) !== 0x2d || value.charCodeAt(52) !== 0x2d) return false
  if (!isHex(value, 0, 2) || !isHex(value, 3, 35) || !isHex(value, 36, 52) || !isHex(value, 53, 55)) return false
  if (value.startsWith('ff') || value.startsWith(noTrace, 3) || value.startsWith(noParent, 36)) return false
  if (value.length === 55) return true
  return !value.startsWith('00') && value.charCodeAt(55) === 0x2d
}

const noTrace = '0'.repeat(32)
const noParent = '0'.repeat(16)

function isHex(text: string, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    const code = text.charCodeAt(i)
    if (!((code >= 0x30 && code <= 0x39) || (code >= 0x61 && code <= 0x66))) return false
  }
  return true
}

/**
 * The first span of a new trace. It is flagged as sampled: whether a trace is kept is for those to decide who record it, and most of them drop
 * what comes to them flagged otherwise.
 */
export function makeTraceparent(random: RandomHex): string {
  const trace = random.take(32)
  const parent = random.take(16)
  // All zeros are no ids; that they come up once in 2^64 does not make them valid.
  return '00-' + (trace === noTrace ? '1'.repeat(32) : trace) + '-' + (parent === noParent ? '1'.repeat(16) : parent) + '-01'
}

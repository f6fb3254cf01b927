/** uri-host [":" port], RFC 3986 section 3.2: what Host and the authority of an absolute target may hold. */
import { hexOctets, regNameOctets } from './characters.ts'

/** Offset of the first octet of raw[start, end) that cannot stand in uri-host [":" port], -1 when all is well. The host must not be empty. */
export function findAuthorityFault(raw: string, start: number, end: number): number {
  let at = start
  if (raw.charCodeAt(at) === 0x5b && at < end) {
    const close = raw.indexOf(']', at)
    if (close < 0 || close >= end) return start
    if (!isIpLiteral(raw.substring(at + 1, close))) return start
    at = close + 1
  } else {
    while (at < end) {
      const code = raw.charCodeAt(at)
      if (code === 0x3a) break
      if (code === 0x25) {
        if (at + 2 >= end || hexOctets[raw.charCodeAt(at + 1)] !== 1 || hexOctets[raw.charCodeAt(at + 2)] !== 1) return at
        at += 3
      } else {
        if (regNameOctets[code] !== 1) return at
        at++
      }
    }
    if (at === start) return start
  }
  if (at === end) return -1
  if (raw.charCodeAt(at) !== 0x3a) return at
  for (let i = at + 1; i < end; i++) {
    const code = raw.charCodeAt(i)
    if (code < 0x30 || code > 0x39) return i
  }
  // RFC 3986 allows an empty port and any number of digits; a port that TCP does not have cannot be meant.
  return end - at > 6 || Number(raw.substring(at + 1, end)) > 65_535 ? at + 1 : -1
}

/** IPv6address or IPvFuture, RFC 3986 section 3.2.2. */
export function isIpLiteral(text: string): boolean {
  if (/^v[0-9a-f]+\.[-._~!$&'()*+,;=:0-9a-z]+$/i.test(text)) return true
  return isIpv6(text)
}

function isIpv6(text: string): boolean {
  let groups = text.split(':')
  if (groups.length < 3) return false
  const last = groups.at(-1)!
  let words = 8
  if (last.includes('.')) {
    if (!/^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/.test(last)) return false
    groups = groups.slice(0, -1)
    words = 6
    // A "::" right before the IPv4 part leaves one empty group here, as it does at the end of an address.
    if (groups.at(-1) === '' && text.includes('::')) groups.push('')
  }
  const gap = text.indexOf('::')
  if (gap < 0) return groups.length === words && groups.every(isGroup)
  if (text.includes('::', gap + 1)) return false
  const filled = groups.filter((group) => group !== '')
  // A single colon at either end is not a gap.
  if ((text.startsWith(':') && gap !== 0) || (text.endsWith(':') && gap !== text.length - 2)) return false
  return filled.length < words && filled.every(isGroup)
}

function isGroup(group: string): boolean {
  return /^[0-9a-f]{1,4}$/i.test(group)
}

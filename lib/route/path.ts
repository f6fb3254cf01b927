/**
 * What the path of a request is for the routes. The octets that are forwarded are others: those that came. RFC 3986 gives one normal form;
 * servers take more liberties than that, and differ in them. So the normal form decides, and the other ways to read a path are here for the router to
 * ask whether they would lead to another route: a path that means one thing here and another behind is refused there.
 */
import { pathOctets } from '../../native-free-parser/index.ts'
import { ProxyError } from '../core/errors.ts'

/** Decoded again and again: more rounds than anybody who does not mean it needs. */
const decodeRoundsMax = 3

/** Decoded wherever they are encoded: a path means the same with them and without. Not "/" and ";", which part it. */
const plainOctets = Uint8Array.from(pathOctets, (isPath, code) => (code === 0x2f || code === 0x3b ? 0 : isPath))

/** Octets at which a path may stop to be its own normal form: "%", ";", and what follows a "/" in "//" and "/.". */
const oddOctets = Uint8Array.from({ length: 256 }, (_, code) => (code === 0x25 || code === 0x3b ? 1 : 0))

/** Where the path ends in raw[start, end): at its query, or at `end`. Less than zero, and the complement of that, when it may be read in several ways. */
export function findPathEnd(raw: string, start: number, end: number): number {
  let isOdd = false
  let before = 0
  let at = start
  for (; at < end; at++) {
    const code = raw.charCodeAt(at)
    if (code === 0x3f) break
    if (oddOctets[code] === 1 || (before === 0x2f && (code === 0x2f || code === 0x2e))) isOdd = true
    before = code
  }
  return isOdd ? ~at : at
}

/**
 * The normal form, RFC 3986 section 6.2.2: what needs no escape is decoded, hex digits are upper case, "//" is "/", and dot segments are gone.
 */
export function normalizePath(path: string): string {
  return resolveSegments(decodePlain(path), true)
}

/**
 * What servers make of the path that are less careful, or more generous: all forms other than `normal`. Undefined for a path that nobody sends who
 * does not mean it: with an encoded NUL, or encoded more often than three times.
 */
export function otherReadings(path: string, normal: string): readonly string[] | undefined {
  // Compared to the letter, as routers in many frameworks do.
  const literal = decodePlain(path)
  // Decoded whole, once or as often as it goes: "/" and "\" part segments, ";" begins parameters, "?" and "#" end the path.
  const decoded = decodeAll(literal)
  if (decoded === undefined) return undefined
  const readings = new Set([literal])
  if (literal.includes('//') && literal.includes('/..')) readings.add(resolveSegments(literal, false))
  if (decoded !== literal || decoded.includes(';')) {
    const bare = decoded.replace(/;[^/]*/g, '')
    readings.add(decoded).add(resolveSegments(decoded, true)).add(bare).add(resolveSegments(bare, true))
  }
  readings.delete(normal)
  return [...readings]
}

/** The path of a route: written with or without escapes, in normal form afterwards. Throws ProxyError ERR_EPROXY_OPTION. */
export function readRoutePath(text: string): string {
  if (!text.startsWith('/')) throw pathError(text, 'it begins with "/"')
  if (/[?#]/.test(text)) throw pathError(text, 'a query or a fragment is no part of a path')
  // Unicode and what else a URI cannot hold is encoded, as clients do it; escapes that are there stay.
  const encoded = text.replace(/%(?![0-9a-f]{2})|[^%]/giu, (character) =>
    pathOctets[character.codePointAt(0)!] === 1 ? character : encodeURIComponent(character),
  )
  const path = decodePlain(encoded)
  if (path !== normalizePath(path)) throw pathError(text, 'write it without "//" and dot segments')
  if (/%(?:00|2F|3B|3F|23|5C|25[0-9A-Fa-f]{2})|;/.test(path))
    throw pathError(
      text,
      'servers differ about ";" and about encoded "/", "\\", ";", "?", "#", "%" and NUL, so no request would ever match',
    )
  return path
}

/** Only what means the same decoded. Hex digits become upper case. */
function decodePlain(path: string): string {
  if (!path.includes('%')) return path
  return path.replace(/%[0-9a-f]{2}/gi, (escape) => {
    const code = Number.parseInt(escape.slice(1), 16)
    return plainOctets[code] === 1 ? String.fromCharCode(code) : escape.toUpperCase()
  })
}

/** Undefined when there is no end to it, or a NUL. */
function decodeAll(path: string): string | undefined {
  let text = path
  for (let round = 0; ; round++) {
    if (text.includes('%00')) return undefined
    const decoded = decodePlain(
      text
        .replace(/%2F|%5C/gi, '/')
        .replace(/%3B/gi, ';')
        .replace(/%25(?=[0-9a-f]{2})/gi, '%'),
    )
    if (decoded === text) break
    if (round === decodeRoundsMax) return undefined
    text = decoded
  }
  const cut = text.search(/%3F|%23/)
  return cut < 0 ? text : text.slice(0, cut)
}

/** RFC 3986 section 5.2.4, and "//" becomes "/": before dot segments are looked at, or behind. */
function resolveSegments(path: string, mergesFirst: boolean): string {
  if (!path.includes('//') && !path.includes('/.')) return path
  const segments = path.split('/')
  const kept: string[] = []
  // The first one is what stands before the first "/": nothing.
  for (let index = 1; index < segments.length; index++) {
    const segment = segments[index]!
    const isLast = index === segments.length - 1
    if (segment === '..') kept.pop()
    if (segment === '.' || segment === '..') {
      if (isLast) kept.push('')
    } else if (segment !== '' || isLast || !mergesFirst) kept.push(segment)
  }
  const merged = kept.filter((segment, index) => segment !== '' || index === kept.length - 1)
  return '/' + merged.join('/')
}

function pathError(text: string, why: string): ProxyError {
  const shown = text.length > 64 ? `${text.slice(0, 64)}…` : text
  return new ProxyError('ERR_EPROXY_OPTION', `${JSON.stringify(shown)} is not the path of a route: ${why}`)
}

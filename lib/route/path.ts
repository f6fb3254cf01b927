/**
 * What the path of a request is for the routes. The octets that are forwarded are others: those that came. RFC 3986 gives one normal form;
 * servers take more liberties than that, and differ in them. So the normal form decides, and the other ways to read a path are here for the router to
 * ask whether they would lead to another route: a path that means one thing here and another behind is refused there.
 */
import { pathOctets } from '../../native-free-parser/index.ts'
import { ProxyError } from '../core/errors.ts'

/** More ways to read one path, and more octets of them all together, than anybody needs who does not mean it. */
const readingsMax = 48
const readingOctetsMax = 32_768

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
  return resolveSegments(decodePlain(path), 'before')
}

/**
 * What else servers make of the path: all that the steps below lead to, in any order and number, other than `normal`. Undefined for a path that nobody
 * sends who does not mean it: with an encoded NUL, or with more readings than can be looked at.
 */
export function otherReadings(path: string, normal: string): readonly string[] | undefined {
  const literal = decodePlain(path)
  const readings = new Set([literal])
  let octets = 0
  // A set that grows is walked to its end.
  for (const reading of isContested(literal) ? readings : []) {
    octets += reading.length
    if (reading.includes('%00') || readings.size > readingsMax || octets > readingOctetsMax) return undefined
    for (const step of readingSteps) readings.add(step(reading))
  }
  readings.delete(normal)
  return [...readings]
}

/** One liberty each. */
const readingSteps: readonly ((path: string) => string)[] = [
  // Slashes are decoded before segments are told apart. Windows knows two of them; elsewhere the other one is part of a segment, which a ".." takes along.
  (path) => path.replace(/%2F/g, '/'),
  (path) => path.replace(/%5C/g, '/'),
  // Parameters of a segment are encoded or not, and cut off where they are not known.
  (path) => path.replace(/%3B/g, ';'),
  (path) => path.replace(/;[^/]*/g, ''),
  // What was decoded is split again.
  (path) => path.replace(/(?:%3F|%23).*/, ''),
  // What was decoded is decoded again.
  (path) => (path.includes('%25') ? decodePlain(path.replace(/%25(?=[0-9a-f]{2})/gi, '%')) : path),
  (path) => (path.includes('//') ? path.replace(/\/{2,}/g, '/') : path),
  (path) => resolveSegments(path, 'before'),
  (path) => resolveSegments(path, 'behind'),
  (path) => resolveSegments(path, 'never'),
]

/** Whether one of the steps would find something in it; escapes in upper case. */
function isContested(path: string): boolean {
  return /%(?:00|2F|3B|3F|23|5C|25[0-9A-F]{2})|;|\/\/|\/\.{1,2}(?:\/|$)/i.test(path)
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

/** RFC 3986 section 5.2.4, and "//" becomes "/": before dot segments are looked at, behind, or never, which is what the RFC says. */
function resolveSegments(path: string, merging: 'before' | 'behind' | 'never'): string {
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
    } else if (segment !== '' || isLast || merging !== 'before') kept.push(segment)
  }
  if (merging === 'never') return '/' + kept.join('/')
  const merged = kept.filter((segment, index) => segment !== '' || index === kept.length - 1)
  return '/' + merged.join('/')
}

function pathError(text: string, why: string): ProxyError {
  const shown = text.length > 64 ? `${text.slice(0, 64)}…` : text
  return new ProxyError('ERR_EPROXY_OPTION', `${JSON.stringify(shown)} is not the path of a route: ${why}`)
}

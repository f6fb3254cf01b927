/** Reads one cookie of a request. What is no pair is passed over; nothing is decoded, and nothing allocated but the value. */

/** The value of the first cookie of that name in a Cookie field (RFC 6265 section 4.2.1), '' when there is none. */
export function readCookie(field: string, name: string): string {
  let at = 0
  while (at < field.length) {
    let end = field.indexOf(';', at)
    if (end < 0) end = field.length
    while (at < end && isSpace(field.charCodeAt(at))) at++
    const start = at + name.length + 1
    if (start <= end && field.charCodeAt(start - 1) === equals && field.startsWith(name, at)) {
      while (end > start && isSpace(field.charCodeAt(end - 1))) end--
      return field.substring(start, end)
    }
    at = end + 1
  }
  return ''
}

const equals = 0x3d

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09
}

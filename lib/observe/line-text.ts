/**
 * Texts, times and figures as lines of the access log have them. What a peer sent is data here: everything but printable ASCII is escaped,
 * so that a line is always one line and harmless to a terminal. It knows no format.
 */

const plainPattern = /^[ !#-[\]-~]*$/
const specialPattern = /[^ !#-[\]-~]/g
const specialInWordPattern = /[^!#-[\]-~]/g

/** Text for the inside of a JSON string; each UTF-16 code unit beyond printable ASCII as \uXXXX. */
export function escapeJson(text: string): string {
  return plainPattern.test(text) ? text : text.replace(specialPattern, escapeJsonUnit)
}

/**
 * Text for between two quotes where there is no JSON, as Apache and nginx do it: quote, backslash and what is not printable ASCII as \xHH.
 * A reader that only looks for the next quote is right.
 */
export function escapeQuoted(text: string): string {
  return plainPattern.test(text) ? text : text.replace(specialPattern, escapeUnit)
}

/** The same without blanks: it is one word for who splits the line there. */
export function escapeWord(text: string): string {
  return plainPattern.test(text) && !text.includes(' ') ? text : text.replace(specialInWordPattern, escapeUnit)
}

function escapeJsonUnit(unit: string): string {
  if (unit === '"') return '\\"'
  if (unit === '\\') return '\\\\'
  return escapeWide(unit)
}

/** What comes from the network is latin-1; names that were configured may be more. */
function escapeUnit(unit: string): string {
  const code = unit.charCodeAt(0)
  return code > 0xff ? escapeWide(unit) : '\\x' + code.toString(16).toUpperCase().padStart(2, '0')
}

function escapeWide(unit: string): string {
  return '\\u' + unit.charCodeAt(0).toString(16).padStart(4, '0')
}

/** '' to '.999', without zeros at the end: printing a fraction is most of what a number costs. */
const fractions = Array.from({ length: 1_000 }, (_, thousandths) => String(thousandths / 1_000).slice(1))
const wholeMicrosecondsMax = 2 ** 31 - 1

/** Microseconds are enough, and JSON knows no NaN. */
export function formatMs(ms: number): string {
  const microseconds = Math.round(ms * 1_000)
  if (microseconds >= 0 && microseconds <= wholeMicrosecondsMax) {
    const whole = (microseconds / 1_000) | 0
    return whole + fractions[microseconds - whole * 1_000]!
  }
  return Number.isFinite(ms) ? String(microseconds / 1_000) : '-1'
}

// Making a Date is most of the cost of a line, so its text is kept for the second.
let isoSecond = NaN
let isoPrefix = ''
let commonSecond = NaN
let commonText = ''

/** ISO 8601 with milliseconds, UTC. */
export function formatTime(epochMs: number): string {
  const second = Math.floor(epochMs / 1000)
  if (second !== isoSecond) {
    isoPrefix = new Date(second * 1000).toISOString().slice(0, -4)
    isoSecond = second
  }
  const ms = Math.floor(epochMs - second * 1000)
  return isoPrefix + (ms < 10 ? '00' : ms < 100 ? '0' : '') + ms + 'Z'
}

/** `10/Oct/2000:13:55:36 +0000`, the time of the common log format, UTC. */
export function formatCommonTime(epochMs: number): string {
  const second = Math.floor(epochMs / 1000)
  if (second !== commonSecond) {
    // Tue, 10 Oct 2000 13:55:36 GMT
    const [, day, month, year, clock] = new Date(second * 1000).toUTCString().split(' ')
    commonText = `${day}/${month}/${year}:${clock} +0000`
    commonSecond = second
  }
  return commonText
}

/** The address without its port, of `ip:port` or `[ip6]:port`; what has no port stays as it is, an `ip6` too. */
export function addressWithoutPort(client: string): string {
  if (client.charCodeAt(0) === openBracket) {
    const end = client.indexOf(']')
    return end === -1 ? client : client.slice(1, end)
  }
  const colon = client.indexOf(':')
  return colon === -1 || client.includes(':', colon + 1) ? client : client.slice(0, colon)
}

const openBracket = 0x5b

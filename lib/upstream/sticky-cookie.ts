/** The cookie by which a client stays with its server: the line that sets it, and which of its attributes no browser would take. Pure. */
import type { CookieAttributes } from '../core/service-options.ts'

export const plainCookie: CookieAttributes = Object.freeze({
  path: '/',
  domain: '',
  maxAgeMs: 0,
  secure: false,
  httpOnly: true,
  sameSite: 'Lax',
})

/** A whole field line. */
export function formatStickyCookie(name: string, value: string, attributes: CookieAttributes = plainCookie): string {
  const { path, domain, maxAgeMs, secure, httpOnly, sameSite } = attributes
  let line = `Set-Cookie: ${name}=${value}; Path=${path}`
  if (domain !== '') line += `; Domain=${domain}`
  if (maxAgeMs > 0) line += `; Max-Age=${Math.ceil(maxAgeMs / 1_000)}`
  if (httpOnly) line += '; HttpOnly'
  if (secure) line += '; Secure'
  return `${line}; SameSite=${sameSite}\r\n`
}

/** What is wrong, '' for nothing. A cookie that browsers throw away would send every request to another server. */
export function findCookieFault(name: string, { path, domain, secure, sameSite }: CookieAttributes): string {
  if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name)) return `${JSON.stringify(name)} cannot be the name of a cookie`
  if (!/^\/[\x21-\x3a\x3c-\x7e]*$/.test(path)) return `${JSON.stringify(path)} cannot be the path of a cookie`
  if (!/^[A-Za-z0-9.-]*$/.test(domain)) return `${JSON.stringify(domain)} cannot be the domain of a cookie`
  // RFC 6265bis sections 4.1.3 and 5.7.
  if (sameSite === 'None' && !secure) return 'browsers take a cookie with SameSite=None only when it is Secure'
  if (/^__(?:secure|host)-/i.test(name) && !secure) return `browsers take a cookie with the name ${name} only when it is Secure`
  if (/^__host-/i.test(name) && (path !== '/' || domain !== ''))
    return `browsers take a cookie with the name ${name} only for the path / and with no domain`
  return ''
}

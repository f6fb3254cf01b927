/**
 * Who may ask the admin listener for what. Pure. It is no fortress: what it protects is an address that only this machine can reach, from
 * pages in a browser on this machine (DNS rebinding, requests across sites), and from changes by who has no token.
 */
import { timingSafeEqual, createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { isIP } from 'node:net'

/**
 * Whether a Host field names us. A page that had its own name resolved to our address would say that name: addresses are harmless, and of
 * names only ours are.
 */
export function isOwnHost(field: string | undefined, names: readonly string[]): boolean {
  if (field === undefined) return false
  const host = field.replace(/:[0-9]*$/, '').toLowerCase()
  if (host.startsWith('[')) return isIP(host.slice(1, -1)) === 6
  return isIP(host) === 4 || host === 'localhost' || names.includes(host)
}

/**
 * Whether a page of another site has a browser ask, in the background or by a form: it would read nothing, but could keep all readers of
 * events from us. Whoever follows a link to us may. Programs that are no browsers send none of these fields.
 */
export function isFromElsewhere(method: string | undefined, headers: IncomingHttpHeaders): boolean {
  const { origin, host = '' } = headers
  if (origin !== undefined && !/^https?:/.test(origin)) return true
  if (origin !== undefined && origin.slice(origin.indexOf('://') + 3).toLowerCase() !== host.toLowerCase()) return true
  const site = headers['sec-fetch-site']
  if (site !== 'cross-site' && site !== 'same-site') return false
  return headers['sec-fetch-mode'] !== 'navigate' || method !== 'GET'
}

/**
 * For what is only read, also as the password of `Authorization: Basic`, which browsers ask a person for. They send that along with
 * whatever a page makes them ask, which is why it is not enough for a change.
 */
export function knowsToken(field: string | undefined, token: string): boolean {
  const basic = /^Basic +([A-Za-z0-9+/=]+)$/i.exec(field ?? '')?.[1]
  if (basic === undefined) return bearsToken(field, token)
  const pair = Buffer.from(basic, 'base64').toString()
  return bearsToken(`Bearer ${pair.slice(pair.indexOf(':') + 1)}`, token)
}

/** Of `Authorization: Bearer TOKEN`. Takes as long for a wrong token as for a right one, whatever their lengths. */
export function bearsToken(field: string | undefined, token: string): boolean {
  const given = /^Bearer +(\S+)$/i.exec(field ?? '')?.[1] ?? ''
  const isEqual = timingSafeEqual(digest(given), digest(token))
  return isEqual && token !== ''
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

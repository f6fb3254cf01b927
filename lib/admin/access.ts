/**
 * Who may ask the admin listener for what. Pure. It is no fortress: what it protects is an address that only this machine can reach, from
 * pages in a browser on this machine (DNS rebinding, requests across sites), and from changes by who has no token.
 */
import { timingSafeEqual, createHash } from 'node:crypto'
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

/** Of `Authorization: Bearer TOKEN`. Takes as long for a wrong token as for a right one, whatever their lengths. */
export function bearsToken(field: string | undefined, token: string): boolean {
  const given = /^Bearer +(\S+)$/i.exec(field ?? '')?.[1] ?? ''
  const isEqual = timingSafeEqual(digest(given), digest(token))
  return isEqual && token !== ''
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

/** Where a store is and whom it is trusted by: its URL, read, and what is wrong with it and what belongs to it. Pure. */
import { X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import type { RateLimitStoreOptions } from '../core/service-options.ts'

export interface StoreAddress {
  readonly host: string
  readonly port: number
  readonly username: string
  readonly password: string
  readonly db: number
  readonly isSecure: boolean
}

export interface StoreFault {
  readonly key: 'url' | 'ca' | 'certificate' | 'key'
  readonly message: string
}

const portDefault = 6_379

/** redis://[user:password@]host:port[/db]; undefined for what is none. */
export function readStoreUrl(text: string): StoreAddress | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isSecure = url?.protocol === 'rediss:'
  if (url === undefined || (!isSecure && url.protocol !== 'redis:') || url.hostname === '') return undefined
  // What others write behind the database would have no effect here.
  if (!/^\/?[0-9]{0,9}$/.test(url.pathname) || url.search !== '' || url.hash !== '') return undefined
  const [username, password] = [decode(url.username), decode(url.password)]
  if (username === undefined || password === undefined) return undefined
  const host = url.hostname.replace(/^\[|\]$/g, '')
  return { host, port: url.port === '' ? portDefault : Number(url.port), username, password, db: Number(url.pathname.slice(1)), isSecure }
}

/** What is wrong with the address of a store. It is told without what is written there, which may be secret. */
export function findStoreFault({ url, ca, certificate, key }: RateLimitStoreOptions): StoreFault | undefined {
  const address = readStoreUrl(url)
  if (address === undefined)
    return { key: 'url', message: 'expected redis://[user:password@]host:port[/db], or rediss:// for TLS; %40 stands for @, and so on' }
  const parts = { ca, certificate, key }
  for (const name of ['ca', 'certificate', 'key'] as const) {
    if (parts[name] !== undefined && !address.isSecure) return { key: name, message: 'TLS is for a url that begins with rediss://' }
  }
  if ((certificate === undefined) !== (key === undefined))
    return { key: certificate === undefined ? 'key' : 'certificate', message: 'certificate and key belong together' }
  if (ca !== undefined && !canRead(ca)) return { key: 'ca', message: 'expected certificates in PEM' }
  if (certificate !== undefined && !canLoad({ cert: certificate })) return { key: 'certificate', message: 'expected certificates in PEM' }
  if (key !== undefined && !canLoad({ key, cert: certificate }))
    return { key: 'key', message: 'expected the key of the certificate in PEM, without a passphrase' }
  return undefined
}

function canLoad(parts: { readonly cert: string | undefined; readonly key?: string }): boolean {
  try {
    createSecureContext(parts)
    return true
  } catch {
    return false
  }
}

/** A context takes of authorities what it can read, and nothing is no error to it. */
function canRead(authorities: string): boolean {
  const blocks = authorities.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? []
  try {
    return blocks.map((block) => new X509Certificate(block)).length > 0
  } catch {
    return false
  }
}

function decode(part: string): string | undefined {
  try {
    return decodeURIComponent(part)
  } catch {
    return undefined
  }
}

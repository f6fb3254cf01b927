/** Which addresses the admin listener takes. Apart from what it does there, because every start of the command may ask. */
import { isIP } from 'node:net'
import { ProxyError } from '../core/errors.ts'
import { formatAddress, parseListenAddress, type Address } from '../core/options.ts'
import type { AdminOptions } from '../core/service-options.ts'

/** Where `eproxy-raw top` looks when it is not told. */
export const usualAdminAddress = '127.0.0.1:9901'

/** Where to listen. Throws ProxyError ERR_EPROXY_OPTION for an address that others can reach, unless that is meant. */
export function readAdminAddress({ address, public: isPublic }: Pick<AdminOptions, 'address' | 'public'>): Address {
  const parsed = parseListenAddress(address)
  if (isPublic || parsed.kind === 'unix' || isLoopback(parsed.host)) return parsed
  throw new ProxyError(
    'ERR_EPROXY_OPTION',
    `the admin address ${address} can be reached from other machines; use 127.0.0.1:PORT, or say that it is meant (--admin-public, or public: true)`,
  )
}

/**
 * Whether what is shown there needs the token, too. Throws ProxyError ERR_EPROXY_OPTION when there is none: targets of requests, addresses of
 * clients and the configuration are not for everybody.
 */
export function isGuarded(place: Address, token: string): boolean {
  if (place.kind === 'unix' || isLoopback(place.host)) return false
  if (token !== '') return true
  throw new ProxyError(
    'ERR_EPROXY_OPTION',
    `the admin address ${formatAddress(place)} can be reached from other machines and needs a token (--admin-token-file, or token): who does not know it sees nothing there`,
  )
}

/** A name may be resolved to anything by the time it is used; only this one is ours by RFC 6761. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}

/** System errors of the start in words for people: what is wrong and, where it is not plain, what to do. */

import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { ProxyError } from '../core/errors.ts'
import { formatAddress, parseListenAddress } from '../core/options.ts'

/** `address` is the listen address as the user wrote it, when it is about one. */
export function explainSystemError(error: unknown, address = ''): string {
  const isUnix = address.startsWith('unix:')
  const { code, message } = error as Partial<NodeJS.ErrnoException>
  switch (code) {
    case 'EADDRINUSE':
      return isUnix ? 'a server that is alive has this socket' : 'the address is already in use'
    case 'EADDRNOTAVAIL':
      return 'this machine does not have that address'
    case 'EACCES':
    case 'EPERM':
      // libuv reports ENOENT as EACCES when it binds a socket file.
      if (isUnix && !existsSync(dirname(address.slice('unix:'.length)))) return 'the folder does not exist'
      return isPrivilegedPort(address) ? 'permission denied; ports below 1024 need a privilege, CAP_NET_BIND_SERVICE' : 'permission denied'
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
    case 'EAI_NODATA':
    case 'EAI_FAIL':
      return 'the host name cannot be resolved'
    case 'ENOENT':
    case 'ENOTDIR':
      return 'the folder does not exist'
    case 'EISDIR':
      return 'it is a folder'
    case 'ENXIO':
      return 'it is a FIFO that nobody reads'
    case 'ENAMETOOLONG':
      return 'the path is too long'
    case 'EINVAL':
      return isUnix ? 'the path is too long or not one for a socket' : 'invalid argument'
    case 'EAFNOSUPPORT':
      return 'this machine does not support that kind of address'
    case 'EMFILE':
    case 'ENFILE':
      return 'too many open files'
    default:
      return message ?? String(error)
  }
}

/** A start that failed because of one of the addresses, as the user wrote them; anything else is left as it is. */
export function explainListenError(error: unknown, addresses: readonly string[]): unknown {
  if (!(error instanceof ProxyError) || error.code !== 'ERR_EPROXY_LISTEN') return error
  const address = addresses.find((text) => error.message.startsWith(`cannot listen on ${formatAddress(parseListenAddress(text))}: `)) ?? ''
  return new Error(`cannot listen on ${address}: ${explainSystemError(error.cause ?? error, address)}`, { cause: error })
}

function isPrivilegedPort(address: string): boolean {
  const port = /:([0-9]+)$/.exec(address)?.[1]
  return !address.startsWith('unix:') && port !== undefined && Number(port) < 1024
}

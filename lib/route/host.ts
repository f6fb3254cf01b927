/** Names of hosts: as a request gives them, and as a route writes them. Case, port and the one dot that may end a name mean nothing. */
import { domainToASCII } from 'node:url'
import { FieldKind, findAuthorityFault, type RequestHead } from '../../native-free-parser/index.ts'
import { ProxyError } from '../core/errors.ts'

/** RFC 1035 section 2.3.4, as text. Longer ones are no names that a route could have. */
export const hostLengthMax = 253

/**
 * The host that a request is for, in lower case, without its port: of an absolute target its own (RFC 9112 section 3.2.2), Host otherwise. '' for a
 * request of 1.0 that names none, and for one that is longer than a name can be.
 */
export function readHost(head: RequestHead): string {
  const text = readAuthority(head)
  const end = findNameEnd(text, 0, text.length)
  if (end > hostLengthMax) return ''
  const name = end === text.length ? text : text.substring(0, end)
  for (let at = 0; at < end; at++) if (isUpperCase(name.charCodeAt(at))) return name.toLowerCase()
  return name
}

/** With its port, as it was sent; '' for a request of 1.0 that names none. */
export function readAuthority(head: RequestHead): string {
  return head.authority === '' ? head.valueOf(FieldKind.HOST) : head.authority
}

function isUpperCase(code: number): boolean {
  return code >= 0x41 && code <= 0x5a
}

/** Where the name ends in the authority text[start, end): in front of the port, and of the one dot that may stand there. */
export function findNameEnd(text: string, start: number, end: number): number {
  let at = end
  while (at > start && isDigit(text.charCodeAt(at - 1))) at--
  const nameEnd = at > start && text.charCodeAt(at - 1) === 0x3a ? at - 1 : end
  return nameEnd - start > 1 && text.charCodeAt(nameEnd - 1) === 0x2e ? nameEnd - 1 : nameEnd
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39
}

export interface HostPattern {
  /** A wildcard stands for one label or more in front of the name. */
  readonly isWildcard: boolean
  /** Of a wildcard, what is behind the "*.". */
  readonly name: string
}

/** `example.com`, `*.example.com`, an address. Throws ProxyError ERR_EPROXY_OPTION. */
export function parseHostPattern(text: string): HostPattern {
  const isWildcard = text.startsWith('*.')
  const written = isWildcard ? text.slice(2) : text
  if (written.includes('*'))
    throw hostError(text, 'a "*" stands alone in front of the first dot, as in *.example.com; for any host leave hosts out')
  if (/^(?:\[[^\]]*\]|[^:]*):[0-9]*$/.test(written)) throw hostError(text, 'leave the port out; it is not looked at')
  const isAddress = written.startsWith('[')
  const ascii = /^[\x20-\x7e]*$/.test(written) ? written.toLowerCase() : domainToASCII(written)
  const name = ascii.endsWith('.') ? ascii.slice(0, -1) : ascii
  if (
    name === '' ||
    name.length > hostLengthMax ||
    findAuthorityFault(name, 0, name.length) >= 0 ||
    name.includes('%') ||
    /^\.|\.\./.test(name)
  )
    throw hostError(text, 'write a name such as example.com or *.example.com, or an address such as 192.0.2.1 or [2001:db8::1]')
  if (isWildcard && isAddress) throw hostError(text, 'an address has no wildcard')
  return { isWildcard, name }
}

function hostError(text: string, why: string): ProxyError {
  const shown = text.length > 64 ? `${text.slice(0, 64)}…` : text
  return new ProxyError('ERR_EPROXY_OPTION', `${JSON.stringify(shown)} is not the host of a route: ${why}`)
}

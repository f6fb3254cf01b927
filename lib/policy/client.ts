/**
 * Who sent a request, as far as that can be believed, and the fields that tell the upstream: X-Forwarded-* and Forwarded (RFC 7239). What a
 * peer says of others counts only when it is one of the trusted proxies; from anybody else these fields are replaced. What leaves is one line
 * of each, so that nobody can read a different one. Pure: from a head and an address to text.
 */
import { FieldKind, findAuthorityFault, type RequestHead } from '../../native-free-parser/index.ts'
import { ProxyError } from '../core/errors.ts'
import type { ForwardedMode } from '../core/options.ts'
import type { ListenerOptions } from '../core/service-options.ts'
import type { ByteSocket } from '../net/byte-socket.ts'
import { NetworkSet, readAddress } from '../route/networks.ts'

/** Peers whose word counts. */
export class TrustedPeers {
  readonly #networks: NetworkSet
  readonly #trustsUnix: boolean
  // Most requests come from the peer of the one before.
  #lastAddress = ''
  #lastVerdict = false

  /** CIDR networks, and `unix` for whoever reaches a Unix socket. Throws ProxyError ERR_EPROXY_OPTION. */
  constructor(networks: readonly string[]) {
    this.#networks = new NetworkSet(networks.filter((network) => network !== 'unix'))
    this.#trustsUnix = networks.includes('unix')
  }

  has(address: string): boolean {
    if (address === this.#lastAddress) return this.#lastVerdict
    this.#lastAddress = address
    this.#lastVerdict = address === 'unix' ? this.#trustsUnix : this.#networks.has(address)
    return this.#lastVerdict
  }
}

/** Throws ProxyError ERR_EPROXY_OPTION for a network that is none. */
export function checkTrustedPeers({ address, trustedProxies }: Pick<ListenerOptions, 'address' | 'trustedProxies'>): void {
  try {
    void new TrustedPeers(trustedProxies)
  } catch (error) {
    throw new ProxyError('ERR_EPROXY_OPTION', `listener ${address}: trustedProxies: ${(error as ProxyError).message}`)
  }
}

export interface ClientFacts {
  /** Of the client, which is the peer or whom a trusted peer names: an IP address, `unix` or `unknown`. */
  address: string
  /** The connection that the client has with us as `ip:port`, `[ip6]:port`; '' when it has none that is known, or none with a port. */
  remote: string
  /** How the client has asked: https only on the word of a trusted peer. */
  scheme: 'http' | 'https'
  /** The authority that the client has asked for, '' when it named none. */
  host: string
  /** Address of the peer. */
  peer: string
  /** It is a trusted proxy. */
  isTrusted: boolean
  /** Port that a trusted peer tells, '' for none. */
  toldPort: string
  /** What a trusted peer says of those before it, as one value; '' for nothing. */
  xForwardedFor: string
  forwarded: string
}

/** Reused for every request: it is filled and read within one call. */
const client: ClientFacts = {
  address: '',
  remote: '',
  scheme: 'http',
  host: '',
  peer: '',
  isTrusted: false,
  toldPort: '',
  xForwardedFor: '',
  forwarded: '',
}

const words = new Uint32Array(4)

/**
 * What is known of the client, whose connection `socket` is. The word of its peer counts when `trusted` has it.
 * Forwarded is what is read where only that is written, X-Forwarded-* otherwise. The result is valid until the next call.
 */
export function readClient(
  head: RequestHead,
  { remote, remoteAddress }: Pick<ByteSocket, 'remote' | 'remoteAddress'>,
  mode: ForwardedMode,
  trusted: TrustedPeers | null,
): ClientFacts {
  client.peer = remoteAddress
  client.address = client.peer
  client.remote = client.peer === remote ? '' : remote
  client.scheme = 'http'
  client.host = head.authority === '' ? head.valueOf(FieldKind.HOST) : head.authority
  client.toldPort = ''
  client.xForwardedFor = ''
  client.forwarded = ''
  client.isTrusted = trusted !== null && trusted.has(client.peer)
  if (client.isTrusted) {
    if (mode === 'forwarded') believeForwarded(head, trusted!)
    else believeXForwarded(head, trusted!)
  }
  return client
}

/** The fields that tell of the client: bits of those that are replaced, and with `forwardedLines` what takes their place. */
export const forwardedBits =
  (1 << FieldKind.FORWARDED) |
  (1 << FieldKind.X_FORWARDED_FOR) |
  (1 << FieldKind.X_FORWARDED_HOST) |
  (1 << FieldKind.X_FORWARDED_PORT) |
  (1 << FieldKind.X_FORWARDED_PROTO) |
  (1 << FieldKind.FORWARDED_ALIKE)

/** Whole lines. `others`: bits of those that somebody else writes. */
export function forwardedLines(
  { address, scheme, host, peer, toldPort, xForwardedFor, forwarded }: ClientFacts,
  mode: ForwardedMode,
  others: number,
): string {
  let lines = ''
  if (mode === 'x-forwarded' || mode === 'both') {
    if ((others & (1 << FieldKind.X_FORWARDED_FOR)) === 0) {
      if (xForwardedFor !== '') lines += 'X-Forwarded-For: ' + xForwardedFor + (peer === 'unix' ? '' : ', ' + peer) + '\r\n'
      else if (address !== 'unix') lines += 'X-Forwarded-For: ' + address + '\r\n'
    }
    if (host !== '' && (others & (1 << FieldKind.X_FORWARDED_HOST)) === 0) lines += 'X-Forwarded-Host: ' + host + '\r\n'
    if ((others & (1 << FieldKind.X_FORWARDED_PORT)) === 0)
      lines += 'X-Forwarded-Port: ' + (toldPort === '' ? portOf(host, scheme) : toldPort) + '\r\n'
    if ((others & (1 << FieldKind.X_FORWARDED_PROTO)) === 0) lines += 'X-Forwarded-Proto: ' + scheme + '\r\n'
  }
  if ((mode === 'forwarded' || mode === 'both') && (others & (1 << FieldKind.FORWARDED)) === 0) {
    const asked = (host === '' ? '' : ';host="' + host + '"') + ';proto=' + scheme
    // RFC 7239 section 4: what a proxy before this one was asked for stands in the element of that one.
    if (forwarded !== '') lines += 'Forwarded: ' + forwarded + ', for=' + nodeName(peer) + '\r\n'
    else if (xForwardedFor !== '') lines += 'Forwarded: ' + toElements(xForwardedFor, asked) + ', for=' + nodeName(peer) + '\r\n'
    else lines += 'Forwarded: for=' + nodeName(address) + asked + '\r\n'
  }
  return lines
}

/** The same text in one piece of its own: what is put together, or cut out of a head, keeps its parts or the head. Latin-1. */
export function toFlat(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1')
}

/** The entries of X-Forwarded-For as elements of Forwarded (RFC 7239 section 7.4): where both leave, both tell the same. */
function toElements(xForwardedFor: string, asked: string): string {
  let elements = ''
  for (const entry of xForwardedFor.split(',')) {
    const element = 'for=' + nodeName(readNode(entry.trim()) || 'unknown')
    elements += elements === '' ? element + asked : ', ' + element
  }
  return elements
}

/** RFC 7239 section 6: an IPv6 address stands in brackets and, for the colons, in quotes. */
function nodeName(address: string): string {
  if (address === 'unix' || address === 'unknown') return 'unknown'
  return address.includes(':') ? '"[' + address + ']"' : address
}

/** The port that the client has asked for. */
function portOf(host: string, scheme: string): string {
  const colon = host.lastIndexOf(':')
  if (colon >= 0 && colon > host.lastIndexOf(']') && colon < host.length - 1) return host.substring(colon + 1)
  return scheme === 'https' ? '443' : '80'
}

/**
 * X-Forwarded-For is read from the right, where each proxy has written whom it had before it: past the trusted ones stands the client. An
 * entry that is no address ends the search: whoever comes before it is told by nobody that is known. It counts even where Connection names the field:
 * a client that gets its Connection past a careless proxy could else make the chain vanish, and pass for that proxy.
 */
function believeXForwarded(head: RequestHead, trusted: TrustedPeers): void {
  if (head.has(FieldKind.X_FORWARDED_FOR)) {
    const list = joinValues(head, FieldKind.X_FORWARDED_FOR)
    client.xForwardedFor = list
    let end = list.length
    while (end > 0) {
      const comma = list.lastIndexOf(',', end - 1)
      const address = readNode(list.substring(comma + 1, end).trim())
      if (address === '') break
      client.address = address
      client.remote = ''
      if (!trusted.has(address)) break
      end = comma < 0 ? 0 : comma
    }
  }
  const proto = singleValue(head, FieldKind.X_FORWARDED_PROTO).toLowerCase()
  if (proto === 'https') client.scheme = 'https'
  const host = singleValue(head, FieldKind.X_FORWARDED_HOST)
  if (isAuthority(host)) client.host = host
  const port = singleValue(head, FieldKind.X_FORWARDED_PORT)
  if (isPort(port)) client.toldPort = port
}

/** The same with Forwarded; host and proto are those of the element that names the client. A list that breaks the grammar is not believed. */
function believeForwarded(head: RequestHead, trusted: TrustedPeers): void {
  if (!head.has(FieldKind.FORWARDED)) return
  const list = joinValues(head, FieldKind.FORWARDED)
  const elements = parseForwarded(list)
  if (elements === undefined || elements.length === 0) return
  client.forwarded = list
  for (let i = elements.length - 1; i >= 0; i--) {
    const { node, host, proto } = elements[i]!
    const address = readNode(node)
    if (address === '') break
    client.address = address
    client.remote = ''
    client.scheme = proto.toLowerCase() === 'https' ? 'https' : 'http'
    if (isAuthority(host)) client.host = host
    if (!trusted.has(address)) break
  }
}

/** One list of what stands on several lines (RFC 9110 section 5.3), without empty elements at its ends. */
function joinValues(head: RequestHead, kind: FieldKind): string {
  if (!head.hasSeveral(kind)) return trimList(head.valueOf(kind))
  let list = ''
  for (let i = 0; i < head.count; i++) {
    if (head.kinds[i] !== kind) continue
    const value = trimList(head.value(i))
    if (value !== '') list += list === '' ? value : ', ' + value
  }
  return list
}

function trimList(value: string): string {
  let start = 0
  let end = value.length
  while (start < end && isListBlank(value.charCodeAt(start))) start++
  while (end > start && isListBlank(value.charCodeAt(end - 1))) end--
  return value.substring(start, end)
}

function isListBlank(code: number): boolean {
  return code === 0x2c || code === 0x20 || code === 0x09
}

/** '' for none, and for several, which might be read differently. */
function singleValue(head: RequestHead, kind: FieldKind): string {
  return head.hasSeveral(kind) ? '' : head.valueOf(kind)
}

function isAuthority(text: string): boolean {
  return text !== '' && findAuthorityFault(text, 0, text.length) < 0
}

function isPort(text: string): boolean {
  if (text.length === 0 || text.length > 5) return false
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) < 0x30 || text.charCodeAt(i) > 0x39) return false
  return Number(text) >= 1 && Number(text) <= 65_535
}

/** The address in `1.2.3.4`, `1.2.3.4:5`, `2001:db8::1` or `[2001:db8::1]:5`; '' when there is none. */
function readNode(text: string): string {
  let address = text
  if (text.charCodeAt(0) === 0x5b) {
    const close = text.indexOf(']')
    if (close < 0 || (close < text.length - 1 && text.charCodeAt(close + 1) !== 0x3a)) return ''
    address = text.substring(1, close)
  } else {
    const colon = text.indexOf(':')
    if (colon >= 0 && colon === text.lastIndexOf(':')) address = text.substring(0, colon)
  }
  // A zone means something on one host only, and could be any text.
  return address.includes('%') || readAddress(address, words) === 0 ? '' : address
}

interface ForwardedElement {
  node: string
  host: string
  proto: string
}

/** RFC 7239 section 4, strictly; undefined when the text breaks its grammar, or names a parameter twice in one element. */
function parseForwarded(text: string): readonly ForwardedElement[] | undefined {
  const elements: ForwardedElement[] = []
  let element: ForwardedElement | undefined
  let seen = ''
  let at = 0
  for (;;) {
    at = skipBlanks(text, at)
    if (at === text.length) return elements
    const code = text.charCodeAt(at)
    if (code === 0x2c) {
      element = undefined
      at++
      continue
    }
    if (code === 0x3b) {
      if (element === undefined) return undefined
      at++
      continue
    }
    pairPattern.lastIndex = at
    const match = pairPattern.exec(text)
    if (match === null) return undefined
    at = pairPattern.lastIndex
    const name = match[1]!.toLowerCase()
    if (element === undefined) {
      element = { node: '', host: '', proto: '' }
      elements.push(element)
      seen = ';'
    } else if (seen.includes(`;${name};`)) return undefined
    seen += `${name};`
    const value = match[2] ?? match[3]!.replace(/\\(.)/g, '$1')
    if (name === 'for') element.node = value
    else if (name === 'host') element.host = value
    else if (name === 'proto') element.proto = value
    // What follows a pair is the end, or one of the separators.
    const next = skipBlanks(text, at)
    if (next < text.length && text.charCodeAt(next) !== 0x2c && text.charCodeAt(next) !== 0x3b) return undefined
  }
}

/** token "=" ( token / quoted-string ), at one place. Values that servers leave unquoted although they hold a colon are taken, too. */
const pairPattern =
  /([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=(?:([!#$%&'*+\-.^_`|~0-9A-Za-z:[\]]+)|"((?:[\t !#-[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*)")/y

function skipBlanks(text: string, start: number): number {
  let at = start
  while (text.charCodeAt(at) === 0x20 || text.charCodeAt(at) === 0x09) at++
  return at
}

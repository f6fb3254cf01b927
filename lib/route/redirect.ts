/**
 * Where a redirect leads: a template of which {host}, {path} and {query} are filled in. What a request says cannot end the field, because the parser lets no
 * control octet through, and cannot choose the host: a path is one that begins with a single "/", and {host} is a host to its end.
 */
import { FieldKind, ParseError, type RequestHead } from '../../native-free-parser/index.ts'
import { ProxyError } from '../core/errors.ts'
import { readHost } from './host.ts'
import { findPathEnd, normalizePath } from './path.ts'

type Piece = { readonly text: string } | { readonly variable: 'host' | 'path' | 'query' }

export class RedirectTemplate {
  readonly #pieces: readonly Piece[]

  /** Throws ProxyError ERR_EPROXY_OPTION. */
  constructor(location: string) {
    const fault = findFault(location)
    if (fault !== '') throw new ProxyError('ERR_EPROXY_OPTION', `location ${JSON.stringify(location)}: ${fault}`)
    this.#pieces = location
      .split(/(\{[a-z]+\})/)
      .filter((text) => text !== '')
      .map((text) => (text.startsWith('{') ? { variable: text.slice(1, -1) as 'host' | 'path' | 'query' } : { text }))
  }

  /** The value of Location. {host} is the host of the request without its port, {query} has its "?". Throws ParseError for a request without a host. */
  fill(head: RequestHead): string {
    const { raw, pathStart, targetEnd } = head
    const found = findPathEnd(raw, pathStart, targetEnd)
    const end = found < 0 ? ~found : found
    let location = ''
    for (const piece of this.#pieces) {
      if ('text' in piece) location += piece.text
      else if (piece.variable === 'host') location += requireHost(head)
      else if (piece.variable === 'query') location += raw.substring(end, targetEnd)
      else {
        const path = raw.substring(pathStart, end)
        const normal = found < 0 ? normalizePath(path) : path
        const absolute = normal.startsWith('/') ? normal : '/'
        // "//" would begin a host, at the start of a reference or behind a template that ends in "/".
        location += location.endsWith('/') ? absolute.slice(1) : absolute
      }
    }
    return location.startsWith('//') ? location.replace(/^\/+/, '/') : location
  }
}

function requireHost(head: RequestHead): string {
  const host = readHost(head)
  if (host === '') throw new ParseError(head.has(FieldKind.HOST) ? 'H1-HOST-INVALID' : 'H1-HOST-MISSING', head.pathStart)
  return host
}

function findFault(location: string): string {
  if (!/^[\x21-\x7e]+$/.test(location)) return 'only visible ASCII can stand there; write anything else percent-encoded'
  const unknown = /\{(?!(?:host|path|query)\})[^}]*\}?|(?<!\{[a-z]+)\}/.exec(location)
  if (unknown !== null) return `${unknown[0]} is not known; there are {host}, {path} and {query}`
  const [, authority] = /^https?:\/\/([^/?#]*)/i.exec(location) ?? []
  if (authority === undefined)
    return /^(?:\/(?![/\\])|\{path\})/.test(location)
      ? ''
      : 'it begins with "/", {path}, http:// or https://, and "//" leads to another host'
  // What a client says must not be a part of the name: "example.com{path}" is a host and a path, "{host}.example.com" is anybody's.
  const [host = ''] = authority.split(/\{path\}|\{query\}/)
  return /^(?:\{host\}|[^{}@:\\]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?$/i.test(host)
    ? ''
    : 'behind http:// stands a host, or {host}, with a port or without'
}

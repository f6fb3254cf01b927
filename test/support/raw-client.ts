/**
 * A client that is nothing but a socket: a test says which octets it sends and when, and how it ends. Responses are read with just
 * enough HTTP to find their end; a response that ends too early is an error here, never a short body.
 */
import { once } from 'node:events'
import { connect, type NetConnectOpts } from 'node:net'
import { patiently } from './patience.ts'
import { Wire, type Ending } from './wire.ts'

export interface RawResponse {
  readonly status: number
  /** Status line and fields with their line ends. */
  readonly head: string
  /** Without chunk framing. */
  readonly body: string
  readonly trailers: string
  /** How the connection ended, when that was the end of the body. */
  readonly ending: Ending | undefined
  /** Values of all fields of that name, joined with ', '; '' without one. */
  field(name: string): string
}

export class RawClient extends Wire {
  /** Connects to `host:port`, `[v6]:port` or `unix:path`. */
  static async connect(address: string): Promise<RawClient> {
    const socket = connect({ ...connectOptions(address), allowHalfOpen: true })
    socket.setNoDelay(true)
    const client = new RawClient(socket)
    await patiently(once(socket, 'connect'), () => `a connection to ${address}`)
    return client
  }

  /** The next response, 1xx ones included. Rejects with WireEnded when it does not end as its framing says. */
  async response({ toHead = false } = {}): Promise<RawResponse> {
    const head = await this.until('\r\n\r\n')
    const status = Number(/^HTTP\/1\.1 ([0-9]{3}) /.exec(head)?.[1] ?? NaN)
    if (Number.isNaN(status)) throw new Error(`not a response head: ${JSON.stringify(head.slice(0, 200))}`)
    const field = (name: string): string => fieldOf(head, name)
    const bodyless = toHead || status < 200 || status === 204 || status === 304
    let body = ''
    let trailers = ''
    let ending: Ending | undefined
    if (bodyless) body = ''
    else if (field('Transfer-Encoding') === 'chunked') ({ body, trailers } = await readChunks(this))
    else if (field('Content-Length') !== '') body = await this.take(Number(field('Content-Length')))
    else {
      ending = await this.ended()
      body = this.unread
      this.unread = ''
    }
    return { status, head, body, trailers, ending, field }
  }

  /** Sends a request and waits for its response. */
  exchange(request: string): Promise<RawResponse> {
    this.send(request)
    return this.response({ toHead: request.startsWith('HEAD ') })
  }
}

/** A GET with Host, and more fields if need be. */
export function get(target = '/', fields = ''): string {
  return `GET ${target} HTTP/1.1\r\nHost: test\r\n${fields}\r\n`
}

/** A request with a body of known length. */
export function withBody(method: string, body: string, fields = '', target = '/'): string {
  return `${method} ${target} HTTP/1.1\r\nHost: test\r\nContent-Length: ${body.length}\r\n${fields}\r\n${body}`
}

export function connectOptions(address: string): NetConnectOpts {
  if (address.startsWith('unix:')) return { path: address.slice('unix:'.length) }
  const colon = address.lastIndexOf(':')
  return { host: address.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(address.slice(colon + 1)) }
}

/** Values of all fields of a name in a head, joined with ', '. */
export function fieldOf(head: string, name: string): string {
  const values: string[] = []
  for (const line of head.split('\r\n').slice(1)) {
    const colon = line.indexOf(':')
    if (line.slice(0, colon).toLowerCase() === name.toLowerCase()) values.push(line.slice(colon + 1).trim())
  }
  return values.join(', ')
}

/** A chunked body, to the end of its trailer section. */
export async function readChunks(wire: Wire): Promise<{ body: string; trailers: string }> {
  let body = ''
  for (;;) {
    const size = await wire.until('\r\n')
    if (!/^[0-9a-f]+\r\n$/i.test(size)) throw new Error(`not a chunk size: ${JSON.stringify(size)}`)
    const bytes = Number.parseInt(size, 16)
    if (bytes === 0) {
      let trailers = ''
      for (let line = await wire.until('\r\n'); line !== '\r\n'; line = await wire.until('\r\n')) trailers += line
      return { body, trailers }
    }
    body += await wire.take(bytes)
    const end = await wire.take(2)
    if (end !== '\r\n') throw new Error(`a chunk ends in ${JSON.stringify(end)}`)
  }
}

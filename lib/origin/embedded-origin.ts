/**
 * The origin that eproxy proxies to when it is given none: a server of its own on a loopback socket, reached like any other. It answers
 * JSON that says what arrived, octet for octet, so that `curl` shows what a proxy makes of a request; `/echo` sends the body back as it
 * comes, and `Upgrade: echo` switches to a connection that returns every byte.
 */
import { createHash, type Hash } from 'node:crypto'
import net from 'node:net'
import {
  BodyKind,
  defaultRequestLimits,
  encodeChunkHead,
  lastChunk,
  MessageParser,
  ParseError,
  ParserEngine,
  ParserState,
} from '../../native-free-parser/index.ts'
import type { MessageHandler, RequestHead, TrailerSection } from '../../native-free-parser/index.ts'
import type { Address } from '../core/options.ts'

/** Connections at one time; each may be in the middle of a head. */
const slots = 4_096

export class EmbeddedOrigin {
  readonly #server: net.Server
  readonly #engine = new ParserEngine({ slots })
  readonly #sockets = new Set<net.Socket>()
  #connections = 0

  constructor() {
    this.#server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      this.#sockets.add(socket)
      const connection = new OriginConnection(socket, this.#engine, ++this.#connections)
      socket.on('close', () => {
        this.#sockets.delete(socket)
        connection.dispose()
      })
    })
    this.#server.maxConnections = slots
  }

  /** Listens on an address of its own choice on the loopback interface. Rejects with the system's error. */
  listen(): Promise<Address> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen({ host: '127.0.0.1', port: 0 }, () => {
        const bound = this.#server.address() as net.AddressInfo
        resolve({ kind: 'tcp', host: bound.address, port: bound.port })
      })
    })
  }

  destroy(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }
}

/** What is told of one request. Field names and values, and the head, are latin-1: one character is one octet. */
interface Arrival {
  method: string
  target: string
  version: string
  fields: [name: string, value: string][]
  rawHead: string
  framing: BodyKind
  contentLength: number | null
  bodyBytes: number
  bodySha256: string
  trailers: [name: string, value: string][]
  /** Number of the connection, and of the request on it. */
  connection: number
  request: number
}

class OriginConnection implements MessageHandler<RequestHead> {
  readonly #socket: net.Socket
  readonly #parser: MessageParser<'request'>
  readonly #number: number
  #requests = 0
  #arrival: Arrival | undefined
  #hash: Hash = createHash('sha256')
  #closes = false
  #isEcho = false
  /** The head of an echo is sent, its end is not. */
  #isEchoing = false
  #isTunnel = false

  constructor(socket: net.Socket, engine: ParserEngine, number: number) {
    this.#socket = socket
    this.#number = number
    this.#parser = new MessageParser('request', engine, this, defaultRequestLimits)
    socket.on('data', (bytes) => this.#onData(bytes))
    socket.on('drain', () => socket.resume())
    socket.on('end', () => socket.end())
    socket.on('error', () => socket.destroy())
  }

  dispose(): void {
    this.#parser.dispose()
  }

  onHead(head: RequestHead): void {
    const target = head.target
    this.#requests++
    this.#hash = createHash('sha256')
    this.#closes = head.connection.close || (head.minorVersion === 0 && !head.connection.keepAlive)
    this.#isEcho = target === '/echo' || target.startsWith('/echo?') || target.startsWith('/echo/')
    this.#arrival = {
      method: head.method,
      target,
      version: `1.${head.minorVersion}`,
      fields: pairs(head.toRawFields()),
      rawHead: head.raw,
      framing: head.bodyKind,
      contentLength: head.contentLength < 0 ? null : head.contentLength,
      bodyBytes: 0,
      bodySha256: '',
      trailers: [],
      connection: this.#number,
      request: this.#requests,
    }
    if (offersEcho(this.#arrival) && head.connection.upgrade && head.bodyKind === BodyKind.NONE) {
      this.#isTunnel = true
      this.#socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
      return
    }
    if (head.expectsContinue) this.#socket.write('HTTP/1.1 100 Continue\r\n\r\n')
    if (this.#isEcho) this.#beginEcho(head)
  }

  onBody(bytes: Uint8Array, start: number, end: number): void {
    const arrival = this.#arrival!
    arrival.bodyBytes += end - start
    if (!this.#isEcho) {
      this.#hash.update(bytes.subarray(start, end))
      return
    }
    if (arrival.method === 'HEAD') return
    if (arrival.framing === BodyKind.CHUNKED) this.#socket.write(encodeChunkHead(end - start), 'latin1')
    // Back-pressure: an echo that is not read is not fed either.
    if (!this.#socket.write(Buffer.from(bytes.subarray(start, end)))) this.#socket.pause()
    if (arrival.framing === BodyKind.CHUNKED) this.#socket.write('\r\n', 'latin1')
  }

  onTrailers(trailers: TrailerSection): void {
    this.#arrival!.trailers = pairs([...trailers.rawFields])
  }

  onMessageComplete(): void {
    const arrival = this.#arrival!
    this.#isEchoing = false
    if (this.#isTunnel) return
    if (this.#isEcho) {
      if (arrival.framing === BodyKind.CHUNKED && arrival.method !== 'HEAD') this.#socket.write(lastChunk, 'latin1')
    } else {
      arrival.bodySha256 = this.#hash.digest('hex')
      const body = Buffer.from(render(arrival))
      const head = this.#head(200, 'OK', `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n`)
      this.#socket.write(arrival.method === 'HEAD' ? Buffer.from(head, 'latin1') : Buffer.concat([Buffer.from(head, 'latin1'), body]))
    }
    if (this.#closes) this.#socket.end()
  }

  #onData(bytes: Buffer): void {
    if (this.#isTunnel) return this.#echo(bytes)
    let at = 0
    try {
      while (at < bytes.length && !this.#closesNow) {
        at += this.#parser.execute(bytes, at)
        if (this.#isTunnel) return this.#echo(bytes.subarray(at))
        if (this.#parser.state === ParserState.COMPLETE) {
          if (this.#closes) return
          this.#parser.resume()
        }
      }
    } catch (error) {
      // Out of parser slots, which maxConnections prevents: one connection pays, not the process.
      if (!(error instanceof ParseError)) return void this.#socket.destroy()
      // An echo that is cut has no end that could be taken for a whole one.
      if (this.#isEchoing) return void this.#socket.resetAndDestroy()
      const body = `${error.message}\n`
      this.#closes = true
      this.#socket.end(this.#head(400, 'Bad Request', `Content-Type: text/plain\r\nContent-Length: ${body.length}\r\n`) + body, 'latin1')
    }
  }

  get #closesNow(): boolean {
    return this.#socket.writableEnded
  }

  #echo(bytes: Buffer): void {
    if (bytes.length > 0 && !this.#socket.write(bytes)) this.#socket.pause()
  }

  #beginEcho(head: RequestHead): void {
    this.#isEchoing = true
    const type = head.toRawFields().find((_, index, list) => index % 2 === 1 && list[index - 1]!.toLowerCase() === 'content-type')
    const framing =
      head.bodyKind === BodyKind.CHUNKED ? 'Transfer-Encoding: chunked\r\n' : `Content-Length: ${Math.max(0, head.contentLength)}\r\n`
    this.#socket.write(this.#head(200, 'OK', `Content-Type: ${type ?? 'application/octet-stream'}\r\n${framing}`), 'latin1')
  }

  #head(status: number, reason: string, fields: string): string {
    return `HTTP/1.1 ${status} ${reason}\r\nServer: eproxy-origin\r\nDate: ${new Date().toUTCString()}\r\n${fields}${this.#closes ? 'Connection: close\r\n' : ''}\r\n`
  }
}

/** JSON with a line for each member and for each field. */
function render(arrival: Arrival): string {
  const members = Object.entries(arrival).map(([name, value]: [string, unknown]) => {
    const isList = Array.isArray(value) && value.length > 0
    return `  ${JSON.stringify(name)}: ${isList ? `[\n    ${value.map((item) => JSON.stringify(item)).join(',\n    ')}\n  ]` : JSON.stringify(value)}`
  })
  return `{\n${members.join(',\n')}\n}\n`
}

function pairs(flat: readonly string[]): [name: string, value: string][] {
  const list: [string, string][] = []
  for (let i = 0; i < flat.length; i += 2) list.push([flat[i]!, flat[i + 1]!])
  return list
}

function offersEcho({ fields }: Arrival): boolean {
  return fields.some(
    ([name, value]) => name.toLowerCase() === 'upgrade' && value.split(',').some((protocol) => protocol.trim().toLowerCase() === 'echo'),
  )
}

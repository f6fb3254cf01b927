/**
 * An origin whose behaviour a test writes down as a script: one async function for each connection, which reads what it wants when it
 * wants and sends any octets. A script that waits for more when the proxy has ended the connection ends quietly, and the connection with
 * it; anything else that it throws fails the test. After its script a connection stays open for the test to use.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { patiently, until } from './patience.ts'
import { fieldOf, readChunks } from './raw-client.ts'
import { Wire, WireEnded } from './wire.ts'

export type Script = (connection: OriginConnection, index: number) => Promise<void>

export interface OriginRequest {
  readonly method: string
  readonly target: string
  /** Request line and fields with their line ends. */
  readonly head: string
  /** Without chunk framing; '' until it was read. */
  readonly body: string
  readonly trailers: string
  field(name: string): string
}

export class OriginConnection extends Wire {
  /** What was read with `head` and `request`. */
  readonly heads: string[] = []

  /** The head of the next request, whenever it comes. Rejects with WireEnded. */
  async head(): Promise<OriginRequest> {
    const head = await this.until('\r\n\r\n', true)
    this.heads.push(head)
    const [method = '', target = ''] = head.split(' ')
    return { method, target, head, body: '', trailers: '', field: (name) => fieldOf(head, name) }
  }

  /** The next request with its body. Rejects with WireEnded. */
  async request(): Promise<OriginRequest> {
    const request = await this.head()
    if (request.field('Transfer-Encoding') === 'chunked') return { ...request, ...(await readChunks(this)) }
    return { ...request, body: await this.take(Number(request.field('Content-Length'))) }
  }

  /** A complete response of known length. `fields`: whole lines. */
  respond(status: number, body: string, fields = ''): void {
    this.send(`HTTP/1.1 ${status} Reason\r\nContent-Length: ${body.length}\r\n${fields}\r\n${body}`)
  }
}

export interface OriginOptions {
  /** `ip:port`, `[v6]:port` or `unix:path`. Default: a free port on 127.0.0.1. */
  readonly listen?: string
}

export class ScriptedOrigin {
  /** As an upstream of the proxy is given. */
  address = ''
  /** All that were ever accepted. */
  readonly connections: OriginConnection[] = []
  readonly #server: Server
  readonly #script: Script
  readonly #faults: unknown[] = []

  /** Closed when the test is over. */
  static async start(t: TestContext, script: Script, { listen = '127.0.0.1:0' }: OriginOptions = {}): Promise<ScriptedOrigin> {
    const origin = new ScriptedOrigin(script)
    t.after(() => origin.#close())
    await origin.#listen(listen)
    return origin
  }

  private constructor(script: Script) {
    this.#script = script
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#onConnection(socket))
  }

  /** The heads of all requests, connection after connection. */
  get heads(): readonly string[] {
    return this.connections.flatMap((connection) => connection.heads)
  }

  get bytesReceived(): number {
    return this.connections.reduce((sum, connection) => sum + connection.bytesReceived, 0)
  }

  /** The connection of that number, from 0, when it has been accepted. */
  async connection(index = 0): Promise<OriginConnection> {
    await until(
      () => this.connections.length > index,
      () => `connection ${index} to the origin; there are ${this.connections.length}`,
    )
    return this.connections[index]!
  }

  async #listen(address: string): Promise<void> {
    const colon = address.lastIndexOf(':')
    if (address.startsWith('unix:')) this.#server.listen({ path: address.slice('unix:'.length) })
    else this.#server.listen({ host: address.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(address.slice(colon + 1)) })
    await once(this.#server, 'listening')
    const bound = this.#server.address() as AddressInfo | string
    if (typeof bound === 'string') this.address = address
    else this.address = bound.family === 'IPv6' ? `[${bound.address}]:${bound.port}` : `${bound.address}:${bound.port}`
  }

  #onConnection(socket: Socket): void {
    const connection = new OriginConnection(socket)
    this.connections.push(connection)
    this.#script(connection, this.connections.length - 1).catch((error: unknown) => {
      // The proxy has ended the connection, and an ordinary origin does the same.
      if (error instanceof WireEnded) connection.end()
      else this.#faults.push(error)
    })
  }

  async #close(): Promise<void> {
    for (const connection of this.connections) connection.destroy()
    if (this.#server.listening) {
      this.#server.close()
      await patiently(once(this.#server, 'close'), () => 'the origin to close')
    }
    assert.deepEqual(this.#faults, [], 'a script of the origin failed')
  }
}

/** Answers every request, when it is complete, with 200 and this body. */
export function answering(body = 'ok', fields = ''): Script {
  return async (connection) => {
    for (;;) {
      await connection.request()
      connection.respond(200, body, fields)
    }
  }
}

/** Answers every request by what `answer` makes of it. */
export function answeringWith(answer: (request: OriginRequest, connection: OriginConnection) => void): Script {
  return async (connection) => {
    for (;;) answer(await connection.request(), connection)
  }
}

/** Reads nothing but heads and says nothing. */
export const silent: Script = async (connection) => {
  for (;;) await connection.head()
}

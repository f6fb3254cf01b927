/** An origin that answers when the test says so. */
import { once } from 'node:events'
import http from 'node:http'
import type net from 'node:net'

export class SlowOrigin implements AsyncDisposable {
  readonly #server: http.Server

  static async start(): Promise<SlowOrigin> {
    const server = http.createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new SlowOrigin(server)
  }

  private constructor(server: http.Server) {
    this.#server = server
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port
  }

  /** Resolves when a request has come, with the function that answers it. */
  async nextRequest(): Promise<(body: string) => void> {
    const [, response] = (await once(this.#server, 'request')) as [http.IncomingMessage, http.ServerResponse]
    return (body) => response.end(body)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

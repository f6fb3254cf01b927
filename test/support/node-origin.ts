/** node:http as an origin: counts its connections and requests, and ends all of them when it is given back. */
import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

export class NodeOrigin implements AsyncDisposable {
  readonly server: Server
  connections = 0
  requests = 0

  private constructor(server: Server) {
    this.server = server
    server.on('connection', () => this.connections++)
    server.on('request', () => this.requests++)
  }

  static async start(onRequest: RequestListener): Promise<NodeOrigin> {
    const origin = new NodeOrigin(createServer(onRequest))
    origin.server.listen(0, '127.0.0.1')
    await once(origin.server, 'listening')
    return origin
  }

  /** As an upstream of the proxy. */
  get address(): string {
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.server, 'close')
    this.server.close()
    this.server.closeAllConnections()
    await closed
  }
}

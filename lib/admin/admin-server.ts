/**
 * The socket of the admin listener and the HTTP server on it: opened at an address, left for another one, closed. What is answered is the
 * admin listener's business. It uses node:http on purpose: what shows how the proxy is doing must not depend on the code that it shows.
 */
import { chmodSync } from 'node:fs'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ProxyError } from '../core/errors.ts'
import { formatAddress, type Address } from '../core/options.ts'

const connectionsMax = 128
/** Answers that are under way when a server is left for another one. */
const leaveMs = 5_000

export interface AdminServerEvents {
  onRequest(request: IncomingMessage, response: ServerResponse): void
  onError(error: Error): void
}

export class AdminServer {
  readonly where: Address
  readonly #server: Server
  readonly #events: AdminServerEvents
  #leaveTimer: NodeJS.Timeout | undefined
  #isLeft = false

  constructor(where: Address, events: AdminServerEvents) {
    this.where = where
    this.#events = events
    this.#server = createServer(
      { maxHeaderSize: 16_384, headersTimeout: 5_000, requestTimeout: 10_000, keepAliveTimeout: 5_000, connectionsCheckingInterval: 1_000 },
      (request, response) => {
        if (this.#isLeft) response.shouldKeepAlive = false
        // The connection that a change of the address came through.
        response.once('close', () => {
          if (this.#isLeft) this.#server.closeIdleConnections()
        })
        events.onRequest(request, response)
      },
    )
    this.#server.maxConnections = connectionsMax
  }

  /** Resolves with the address as it can be connected to. Rejects with ProxyError ERR_EPROXY_LISTEN. */
  async listen(): Promise<string> {
    const { where } = this
    const server = this.#server
    server.listen(where.kind === 'unix' ? { path: where.path } : { host: where.host, port: where.port })
    try {
      await once(server, 'listening')
    } catch (error) {
      throw new ProxyError(
        'ERR_EPROXY_LISTEN',
        `the admin listener cannot listen on ${formatAddress(where)}: ${(error as Error).message}`,
        error,
      )
    }
    if (server.listenerCount('error') === 0) server.on('error', (error) => this.#events.onError(error))
    if (where.kind === 'unix') {
      // Who may open the socket file may ask; it is as good as an address that only this user can reach.
      chmodSync(where.path, 0o600)
      return formatAddress(where)
    }
    const { address, family, port } = server.address() as AddressInfo
    return family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`
  }

  /** Accepts no more; it can listen again. */
  release(): void {
    if (this.#server.listening) this.#server.close()
  }

  /** Accepts no more, and answers what was asked. Resolves when that is done, unless it is closed before. */
  leave(): Promise<void> {
    this.#isLeft = true
    const isReleased = !this.#server.listening
    return new Promise((resolve) => {
      this.#leaveTimer = setTimeout(() => {
        this.#server.closeAllConnections()
        resolve()
      }, leaveMs)
      this.#server.once('close', () => {
        clearTimeout(this.#leaveTimer)
        resolve()
      })
      if (!isReleased) this.#server.close()
      this.#server.closeIdleConnections()
    })
  }

  async close(): Promise<void> {
    clearTimeout(this.#leaveTimer)
    const closed = this.#server.listening ? once(this.#server, 'close') : undefined
    this.release()
    this.#server.closeAllConnections()
    await closed
  }
}

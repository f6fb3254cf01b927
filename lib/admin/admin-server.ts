/**
 * The socket of the admin listener and the HTTP server on it: opened at an address, left for another one, closed. What is answered is the
 * admin listener's business. It uses node:http on purpose: what shows how the proxy is doing must not depend on the code that it shows.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { ProxyError } from '../core/errors.ts'
import { formatAddress, type Address } from '../core/options.ts'
import { removeStaleSocket } from '../net/stale-socket.ts'

const connectionsMax = 128
/** Requests of one connection that wait for their answers; who is honest asks for one after the other. */
const pipelinedMax = 4
/** For a peer that takes none of its answer, or says nothing. */
const silenceMsMax = 30_000
/** Answers that are under way when a server is left for another one. */
const leaveMs = 5_000

export interface AdminServerEvents {
  onRequest(request: IncomingMessage, response: ServerResponse): void
  onError(error: Error): void
  /** It reads events: it is not in the way of others, and stays. */
  isWatching(socket: Socket): boolean
}

export class AdminServer {
  readonly where: Address
  readonly #server: Server
  readonly #events: AdminServerEvents
  /** The oldest one first, with how many of its requests are not answered yet. */
  readonly #connections = new Map<Socket, number>()
  #leaveTimer: NodeJS.Timeout | undefined
  #isLeft = false

  constructor(where: Address, events: AdminServerEvents) {
    this.where = where
    this.#events = events
    this.#server = createServer(
      { maxHeaderSize: 16_384, headersTimeout: 5_000, requestTimeout: 10_000, keepAliveTimeout: 5_000, connectionsCheckingInterval: 1_000 },
      (request, response) => {
        if (!this.#isOrderly(request.socket, response)) return void request.socket.destroy()
        if (this.#isLeft) response.shouldKeepAlive = false
        // The connection that a change of the address came through.
        response.once('close', () => {
          if (this.#isLeft) this.#server.closeIdleConnections()
        })
        events.onRequest(request, response)
      },
    )
    this.#server.setTimeout(silenceMsMax)
    this.#server.on('connection', (socket) => this.#onConnection(socket))
  }

  /** Resolves with the address as it can be connected to. Rejects with ProxyError ERR_EPROXY_LISTEN. */
  async listen(): Promise<string> {
    const { where } = this
    const server = this.#server
    try {
      if (where.kind === 'unix') await removeStaleSocket(where.path)
      this.#bind()
      await once(server, 'listening')
    } catch (error) {
      throw new ProxyError(
        'ERR_EPROXY_LISTEN',
        `the admin listener cannot listen on ${formatAddress(where)}: ${(error as Error).message}`,
        error,
      )
    }
    if (server.listenerCount('error') === 0) server.on('error', (error) => this.#events.onError(error))
    if (where.kind === 'unix') return formatAddress(where)
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

  /** Who may open a socket file may ask: it is for its owner alone from its first moment, and as good as an address that only this user can reach. */
  #bind(): void {
    const { where } = this
    if (where.kind === 'tcp') return void this.#server.listen({ host: where.host, port: where.port })
    const usual = process.umask(0o177)
    try {
      this.#server.listen({ path: where.path })
    } finally {
      process.umask(usual)
    }
  }

  /**
   * Of too many connections the oldest one goes, and not the newest: whoever asks after the health of the proxy is answered within
   * milliseconds, however many others hold on to theirs. Readers of events are as many as may be, and stay.
   */
  #onConnection(socket: Socket): void {
    this.#connections.set(socket, 0)
    socket.once('close', () => this.#connections.delete(socket))
    if (this.#connections.size <= connectionsMax) return
    for (const oldest of this.#connections.keys())
      if (!this.#events.isWatching(oldest)) {
        this.#connections.delete(oldest)
        return void oldest.destroy()
      }
  }

  /** False for a connection that asks on and on without waiting. */
  #isOrderly(socket: Socket, response: ServerResponse): boolean {
    const waiting = this.#connections.get(socket)
    if (waiting === undefined || waiting >= pipelinedMax) return false
    this.#connections.set(socket, waiting + 1)
    response.once('close', () => {
      const left = this.#connections.get(socket)
      if (left !== undefined) this.#connections.set(socket, left - 1)
    })
    return true
  }
}

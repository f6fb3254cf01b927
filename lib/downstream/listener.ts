/** One listening socket: accepts, counts nothing, decides nothing. It binds a socket of its own, or takes over one that is bound already. */
import net from 'node:net'
import { ProxyError } from '../core/errors.ts'
import { formatAddress, type Address } from '../core/options.ts'
import type { Accepted } from '../net/sockets.ts'
import { freeAccept, holdAccept } from '../net/listening-handle.ts'
import { removeStaleSocket } from '../net/stale-socket.ts'
import { handlesAvailable, takeHandles } from '../net/stream-handle.ts'

/** Connections that the kernel keeps for us while we are busy. */
const backlog = 4_096

interface FdServer {
  listen(options: { readonly fd: number }, backlog: number): unknown
}

export class Listener {
  readonly #server: net.Server
  /** As it was asked for. */
  readonly wanted: string
  #address = ''

  /**
   * `onAccepted` gets connections from which nothing was read yet: handles where they are wished and to be had, otherwise sockets. `onError`
   * gets what happens while listening, such as EMFILE.
   */
  constructor(wanted: string, usesHandles: boolean, onAccepted: (accepted: Accepted) => void, onError: (error: Error) => void) {
    const server = net.createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, onAccepted)
    this.#server = server
    this.wanted = wanted
    server.on('error', (error) => {
      if (server.listening) onError(error)
    })
    if (usesHandles && handlesAvailable) server.once('listening', () => takeHandles(server, onAccepted, onError))
  }

  /** As it can be connected to: `ip:port`, with the port that was chosen, or `unix:path`. */
  get address(): string {
    return this.#address
  }

  /** `fd` is a socket that is bound to that address. Rejects with ProxyError ERR_EPROXY_LISTEN; its cause is the system's error. */
  async listen(wanted: Address, signal?: AbortSignal, fd?: number): Promise<void> {
    try {
      signal?.throwIfAborted()
      if (wanted.kind === 'unix' && fd === undefined) await removeStaleSocket(wanted.path)
      await this.#bind(wanted, signal, fd)
    } catch (error) {
      throw new ProxyError(
        'ERR_EPROXY_LISTEN',
        `cannot listen on ${formatAddress(wanted)}: ${error instanceof Error ? error.message : String(error)}`,
        error,
      )
    }
    const bound = this.#server.address()
    if (wanted.kind === 'unix' || bound === null || typeof bound === 'string') this.#address = formatAddress(wanted)
    else this.#address = formatAddress({ kind: 'tcp', host: bound.address, port: bound.port })
  }

  /** Leaves new connections to others that have the same socket. False where that cannot be done. */
  hold(): boolean {
    return holdAccept(this.#server)
  }

  free(): void {
    freeAccept(this.#server)
  }

  /** Accepts no more. Connections that were accepted are not touched. */
  close(): void {
    this.#server.close()
  }

  #bind(wanted: Address, signal: AbortSignal | undefined, fd: number | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const server = this.#server
      const onAbort = (): void => {
        server.close()
        reject(signal?.reason as Error)
      }
      const onListening = (): void => {
        server.off('error', onError)
        signal?.removeEventListener('abort', onAbort)
        resolve()
      }
      const onError = (error: Error): void => {
        server.off('listening', onListening)
        signal?.removeEventListener('abort', onAbort)
        reject(error)
      }
      server.once('listening', onListening)
      server.once('error', onError)
      signal?.addEventListener('abort', onAbort, { once: true })
      // For a descriptor node takes the backlog from the second argument only, which its declarations do not know.
      if (fd !== undefined) (server as FdServer).listen({ fd }, backlog)
      else if (wanted.kind === 'unix') server.listen({ path: wanted.path, backlog })
      else if (wanted.host === '') server.listen({ port: wanted.port, backlog })
      else server.listen({ port: wanted.port, host: wanted.host, backlog })
    })
  }
}

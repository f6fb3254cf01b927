/** One listening socket: accepts, counts nothing, decides nothing. Stale socket files are removed, live ones are left alone. */
import { lstat, unlink } from 'node:fs/promises'
import net from 'node:net'
import { ProxyError } from '../core/errors.ts'
import { formatAddress, type Address } from '../core/options.ts'
import type { Accepted } from '../net/sockets.ts'
import { handlesAvailable, takeHandles } from '../net/stream-handle.ts'

/** Connections that the kernel keeps for us while we are busy. */
const backlog = 4_096

export class Listener {
  readonly #server: net.Server
  #address = ''

  /**
   * `onAccepted` gets connections from which nothing was read yet: handles where they are wished and to be had, otherwise sockets. `onError`
   * gets what happens while listening, such as EMFILE.
   */
  constructor(usesHandles: boolean, onAccepted: (accepted: Accepted) => void, onError: (error: Error) => void) {
    const server = net.createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, onAccepted)
    this.#server = server
    server.on('error', (error) => {
      if (server.listening) onError(error)
    })
    if (usesHandles && handlesAvailable) server.once('listening', () => takeHandles(server, onAccepted, onError))
  }

  /** As it can be connected to: `ip:port`, with the port that was chosen, or `unix:path`. */
  get address(): string {
    return this.#address
  }

  /** Rejects with ProxyError ERR_EPROXY_LISTEN; its cause is the system's error. */
  async listen(wanted: Address, signal?: AbortSignal): Promise<void> {
    try {
      signal?.throwIfAborted()
      if (wanted.kind === 'unix') await removeStaleSocket(wanted.path)
      await this.#bind(wanted, signal)
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

  /** Accepts no more. Connections that were accepted are not touched. */
  close(): void {
    this.#server.close()
  }

  #bind(wanted: Address, signal: AbortSignal | undefined): Promise<void> {
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
      if (wanted.kind === 'unix') server.listen({ path: wanted.path, backlog })
      else if (wanted.host === '') server.listen({ port: wanted.port, backlog })
      else server.listen({ port: wanted.port, host: wanted.host, backlog })
    })
  }
}

/** A socket file that nobody answers on was left behind by a process that was killed. */
async function removeStaleSocket(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined)
  if (found === undefined || !found.isSocket()) return
  const isLive = await new Promise<boolean>((resolve) => {
    const probe = net.connect({ path })
    probe.on('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED'))
    probe.once('connect', () => {
      // Leaves without a reset, which would look like a fault over there, and without keeping this process.
      probe.resume().end()
      probe.unref()
      resolve(true)
    })
  })
  if (!isLive) await unlink(path)
}

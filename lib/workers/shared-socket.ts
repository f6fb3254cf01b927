/**
 * A socket that the primary binds and its workers listen on: each inherits the descriptor, all accept from one queue. The primary keeps it
 * open for as long as the group lives, so that the queue, and every connection in it, outlives any worker. It never accepts: in node a
 * server that listens accepts, so the socket is only bound here, and workers start to listen.
 */
import dns from 'node:dns/promises'
import { ProxyError } from '../core/errors.ts'
import { formatAddress, parseListenAddress } from '../core/options.ts'
import { bindHandle, boundAddress, type BoundHandle } from '../net/listening-handle.ts'
import { removeStaleSocket } from '../net/stale-socket.ts'

export class SharedSocket {
  /** As the user wrote it. */
  readonly wanted: string
  /** As it can be connected to. */
  readonly address: string
  readonly #handle: BoundHandle

  /** Rejects with ProxyError ERR_EPROXY_OPTION or ERR_EPROXY_LISTEN; the cause of the latter is the system's error. */
  static async bind(text: string): Promise<SharedSocket> {
    const wanted = parseListenAddress(text)
    try {
      if (wanted.kind === 'unix') {
        await removeStaleSocket(wanted.path)
        return new SharedSocket(text, formatAddress(wanted), bindHandle(wanted.path, -1, -1))
      }
      const handle = await bindPort(wanted.host, wanted.port)
      try {
        return new SharedSocket(text, formatAddress({ kind: 'tcp', ...boundAddress(handle) }), handle)
      } catch (error) {
        handle.close()
        throw error
      }
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      throw new ProxyError('ERR_EPROXY_LISTEN', `cannot listen on ${formatAddress(wanted)}: ${why}`, error)
    }
  }

  private constructor(wanted: string, address: string, handle: BoundHandle) {
    this.wanted = wanted
    this.address = address
    this.#handle = handle
  }

  get fd(): number {
    return this.#handle.fd
  }

  /** The file of a unix socket goes with it. */
  close(): void {
    this.#handle.close()
  }
}

/** No host: every interface, with both protocols where the machine has IPv6, as node listens. */
async function bindPort(host: string, port: number): Promise<BoundHandle> {
  if (host === '') {
    try {
      return bindHandle('::', port, 6)
    } catch {
      return bindHandle('0.0.0.0', port, 4)
    }
  }
  const { address, family } = await dns.lookup(host)
  return bindHandle(address, port, family === 6 ? 6 : 4)
}

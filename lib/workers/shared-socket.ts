/**
 * A socket that the primary binds and its workers listen on: each inherits the descriptor, all accept from one queue. The primary keeps it
 * open for as long as the group lives, so that the queue, and every connection in it, outlives any worker. It never accepts: in node a
 * server that listens accepts, so the handle is only bound here (as node:cluster does it for SCHED_NONE), and workers start to listen.
 */
import dns from 'node:dns/promises'
import net from 'node:net'
import { getSystemErrorMap } from 'node:util'
import { ProxyError } from '../core/errors.ts'
import { formatAddress, parseListenAddress } from '../core/options.ts'
import { removeStaleSocket } from '../net/stale-socket.ts'

interface BoundHandle {
  readonly fd: number
  getsockname?(out: { address?: string; port?: number }): number
  close(): void
}

/** A number is an error of libuv. */
type CreateHandle = (address: string, port: number, family: 4 | 6 | -1) => BoundHandle | number

export class SharedSocket {
  /** As it can be connected to. */
  readonly address: string
  readonly #handle: BoundHandle

  /** Rejects with ProxyError ERR_EPROXY_OPTION or ERR_EPROXY_LISTEN; the cause of the latter is the system's error. */
  static async bind(text: string): Promise<SharedSocket> {
    const wanted = parseListenAddress(text)
    try {
      if (wanted.kind === 'unix') {
        await removeStaleSocket(wanted.path)
        return new SharedSocket(formatAddress(wanted), createHandle(wanted.path, -1, -1))
      }
      const handle = await bindPort(wanted.host, wanted.port)
      const bound: { address?: string; port?: number } = {}
      // What bind() did not report, such as EADDRINUSE, libuv reports here.
      throwIfError(handle.getsockname?.(bound) ?? 0)
      return new SharedSocket(formatAddress({ kind: 'tcp', host: bound.address ?? '', port: bound.port ?? 0 }), handle)
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      throw new ProxyError('ERR_EPROXY_LISTEN', `cannot listen on ${formatAddress(wanted)}: ${why}`, error)
    }
  }

  private constructor(address: string, handle: BoundHandle) {
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
      return createHandle('::', port, 6)
    } catch {
      return createHandle('0.0.0.0', port, 4)
    }
  }
  const { address, family } = await dns.lookup(host)
  return createHandle(address, port, family === 6 ? 6 : 4)
}

function createHandle(address: string, port: number, family: 4 | 6 | -1): BoundHandle {
  const { _createServerHandle: create } = net as typeof net & { _createServerHandle?: CreateHandle }
  if (create === undefined) throw new Error('this version of node cannot share a socket among processes; use one worker')
  const handle = create(address, port, family)
  if (typeof handle === 'number') throw systemError(handle)
  if (handle.fd >= 0) return handle
  handle.close()
  throw new Error('this system cannot share a socket among processes; use one worker')
}

function throwIfError(code: number): void {
  if (code < 0) throw systemError(code)
}

function systemError(errno: number): NodeJS.ErrnoException {
  const [code, description] = getSystemErrorMap().get(errno) ?? ['UNKNOWN', 'unknown error']
  return Object.assign(new Error(`bind ${code}: ${description}`), { code, errno, syscall: 'bind' })
}

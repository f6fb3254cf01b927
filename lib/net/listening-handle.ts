/**
 * Two things that node's servers do not offer and their handles do: a socket that is bound and not listened on, for other processes to
 * inherit (node:cluster makes its own so), and a listening socket that accepts nothing for a while, so that others who share it do.
 */
import net from 'node:net'
import { constants } from 'node:os'
import { systemError } from './stream-handle.ts'

export interface BoundHandle {
  readonly fd: number
  getsockname?(out: { address?: string; port?: number }): number
  close(): void
}

/** A number is an error of libuv. */
type CreateHandle = (address: string, port: number, family: 4 | 6 | -1) => BoundHandle | number

/** Port and family are -1 for the path of a socket file. Throws the system's error. */
export function bindHandle(address: string, port: number, family: 4 | 6 | -1): BoundHandle {
  const { _createServerHandle: create } = net as typeof net & { _createServerHandle?: CreateHandle }
  if (create === undefined) throw new Error('this version of node cannot share a socket among processes; use one worker')
  const handle = create(address, port, family)
  if (typeof handle === 'number') throw systemError(handle, 'bind', port === -1 ? address : '')
  if (handle.fd >= 0) return handle
  handle.close()
  throw new Error('this system cannot share a socket among processes; use one worker')
}

/** As it was bound, with the port that the system chose. Throws what bind() did not report, such as EADDRINUSE. */
export function boundAddress(handle: BoundHandle): { readonly host: string; readonly port: number } {
  const bound: { address?: string; port?: number } = {}
  const status = handle.getsockname?.(bound) ?? 0
  if (status < 0) throw systemError(status, 'bind')
  return { host: bound.address ?? '', port: bound.port ?? 0 }
}

const alreadyReading = -constants.errno.EALREADY

interface ListeningHandle {
  readStart?(): number
  readStop?(): number
}

/**
 * Accepts nothing until `freeAccept`. To libuv a listening socket is a stream whose input are connections; one that was opened from a
 * descriptor may be "read", which changes nothing but that it can be stopped. False where that is not so.
 */
export function holdAccept(server: net.Server): boolean {
  const handle = handleOf(server)
  const status = handle?.readStart?.()
  return (status === 0 || status === alreadyReading) && handle?.readStop?.() === 0
}

export function freeAccept(server: net.Server): void {
  handleOf(server)?.readStart?.()
}

function handleOf(server: net.Server): ListeningHandle | null | undefined {
  return (server as unknown as { _handle?: ListeningHandle | null })._handle
}

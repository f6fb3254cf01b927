/**
 * The descriptor of a connected socket, for who has to write when no turn of the event loop is left: at the end of the process. Node has
 * no public way to it; where the one that it has is gone, there is none (-1).
 */
import type net from 'node:net'

/** The socket must not read: only who reads can find an end or an error, upon which node closes the descriptor by itself. */
export function descriptorOf(socket: net.Socket): number {
  const { _handle: handle } = socket as unknown as { readonly _handle?: { readonly fd?: unknown } | null }
  return typeof handle?.fd === 'number' ? handle.fd : -1
}

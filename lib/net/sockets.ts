/** Which of the two kinds of socket a connection gets: the one place that knows both. */
import net from 'node:net'
import type { Address } from '../core/options.ts'
import type { ByteSocket, ReadOptions, SocketHandler } from './byte-socket.ts'
import { HandleSocket } from './handle-socket.ts'
import { handlesAvailable, type StreamHandle } from './stream-handle.ts'
import { StreamSocket } from './stream-socket.ts'

/** What a listener accepts: a handle, or a socket that nobody has read from. */
export type Accepted = StreamHandle | net.Socket

export function acceptSocket(accepted: Accepted, read: ReadOptions, handlerOf: (socket: ByteSocket) => SocketHandler): ByteSocket {
  if (accepted instanceof net.Socket) return StreamSocket.accept(accepted, read, handlerOf)
  return HandleSocket.accept(accepted, read, handlerOf)
}

/** `usesHandles` says what is wished; where that is not to be had, the connection is a stream. */
export function connectSocket(
  address: Address,
  usesHandles: boolean,
  read: ReadOptions,
  handlerOf: (socket: ByteSocket) => SocketHandler,
): ByteSocket {
  if (usesHandles && handlesAvailable) return HandleSocket.connect(address, read, handlerOf)
  return StreamSocket.connect(address, read, handlerOf)
}

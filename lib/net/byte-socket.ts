/** A duplex byte stream as the engine sees it: what a real socket and a simulated one have in common. */
import type { BulkBuffers } from './bulk-buffers.ts'

/** Called by the socket, never during a call into it. */
export interface SocketHandler {
  /** The connection that was asked for stands. */
  onConnect(): void
  /** Octets [start, end) have come. `bytes` is borrowed: valid only during this call. */
  onData(bytes: Buffer, start: number, end: number): void
  /** The peer has sent FIN: nothing more comes. */
  onEnd(): void
  /** Everything that was written is with the kernel. */
  onDrain(): void
  /** The socket is gone. Exactly once, last. `error` says why, when there is a reason other than that both sides had ended. */
  onClose(error: Error | undefined): void
  /** One of the calls above threw: a fault of our own. The connection is to be given up. */
  onFault(): void
}

export interface ReadOptions {
  /** Every read goes here, but for those of sockets that have much to say. */
  readonly buffer: Buffer
  readonly bulk: BulkBuffers
  /** After so many bytes others get a turn of the event loop. */
  readonly turnBytes: number
  /** Takes the exceptions that a handler throws, and tells the handler. */
  onFault(error: unknown, handler: SocketHandler): void
}

export interface ByteSocket {
  /** Takes all of it. Strings are latin-1. Returns whether nothing is left over: if something is, hold the source, and leave `data` as it is, until onDrain. */
  write(data: string | Buffer): boolean
  /** Whether `bytes`, which onData was given, are this socket's alone: what was worked through may be changed, and written as it lies. */
  owns(bytes: Buffer): boolean
  /** `data` was not taken at once by another socket: where it lies in a buffer of this one, nothing more is read into that. */
  partWith(data: string | Buffer): void
  /** Written and not yet with the kernel, in bytes; falls as the peer takes them. */
  readonly unsentBytes: number
  /** The peer's FIN has been read, and the handler is about to be told. */
  readonly isEnding: boolean
  pause(): void
  resume(): void
  /** Sends FIN behind what was written. */
  end(): void
  /** Closes at once; what was not sent is lost. */
  destroy(): void
  /** Closes at once with RST, so that the peer cannot take what it got for complete. */
  reset(): void
  /** Probes of an idle connection, for tunnels. */
  keepAlive(): void
  /** `ip:port`, `[ip6]:port`, `unix`, or `unknown` when the peer had left before it was asked for. */
  readonly remote: string
  readonly remoteAddress: string
}

/** The client's connection, seen from the exchange. */
import type { ByteSocket } from '../net/byte-socket.ts'
import type { Hold } from '../net/hold.ts'

export interface ClientSide {
  readonly socket: ByteSocket
  readonly hold: Hold
  /** The client has sent FIN: nothing more comes from it. */
  readonly hasEnded: boolean
  /** Sends a part of the response. Returns whether the kernel has all of it. */
  write(data: string | Buffer): boolean
  /** The rest of the request body may come now: the client was told to go on, or the proxy can take it. */
  awaitBody(): void
  /** Bytes go through as they are from now on. Returns what was read ahead of the switch, if anything. */
  becomeTunnel(): Buffer | undefined
  /** The exchange is over. `next`: another request may come; `close`: after what was written; `reset`: at once, and visibly cut. */
  onExchangeEnd(then: 'next' | 'close' | 'reset'): void
}

/** The client's connection, seen from the exchange. */
import { contradiction } from '../core/assert.ts'
import type { ByteSocket } from '../net/byte-socket.ts'
import type { Hold } from '../net/hold.ts'
import type { ClientMemo } from '../policy/head-policy.ts'
import type { RequestingClient } from '../upstream/connection.ts'

/**
 * What becomes of the client's connection. `next`: another request may come; `close`: it ends behind what was written; `done`: the same, and the
 * client has said itself that it sends nothing more (RFC 9112 section 9.6); `reset`: at once, and visibly cut.
 */
export type AfterExchange = 'next' | 'close' | 'done' | 'reset'

export interface ClientSide extends RequestingClient {
  readonly socket: ByteSocket
  readonly hold: Hold
  /** The client has sent FIN: nothing more comes from it. */
  readonly hasEnded: boolean
  /** No other request is answered after the current one. */
  readonly isRetired: boolean
  /** An upstream connection was reserved for it, and may still be. */
  hasReserved: boolean
  /** Null until a request was told of the client. */
  memo: ClientMemo | null
  /** Sends a part of the response. Returns whether the kernel has all of it. */
  write(data: string | Buffer): boolean
  /** The rest of the request body may come now: the client was told to go on, or the proxy can take it. */
  awaitBody(): void
  /** Bytes go through as they are from now on. Returns what was read ahead of the switch, if anything. */
  becomeTunnel(): Buffer | undefined
  onExchangeEnd(then: AfterExchange): void
}

function refuseUse(): never {
  contradiction('an exchange that is over uses its client')
}

/** The client of an exchange that is over. */
export const nobody: ClientSide = {
  get socket(): ByteSocket {
    return refuseUse()
  },
  get hold(): Hold {
    return refuseUse()
  },
  hasEnded: true,
  isRetired: true,
  hasReserved: false,
  memo: null,
  write: refuseUse,
  awaitBody: refuseUse,
  becomeTunnel: refuseUse,
  retire: refuseUse,
  onExchangeEnd: refuseUse,
}

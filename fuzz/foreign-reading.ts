/** What a parser that is not ours makes of a stream of messages: the common form of the second opinions. */

export interface ForeignMessage {
  readonly method: string
  readonly target: string
  readonly status: number
  readonly minorVersion: number
  /** Name and value, alternating. */
  readonly rawFields: string[]
  readonly rawTrailers: string[]
  body: string
  complete: boolean
  /** The connection may carry another message behind this one. */
  persists: boolean
}

export interface ForeignReading {
  readonly messages: readonly ForeignMessage[]
  /** llhttp's code for the fault, '' without one. */
  readonly fault: string
  /** Offsets behind each complete message, where the reader was asked for them. */
  readonly ends: readonly number[]
}

export interface ReadingOptions {
  /** Whether the response of this number, interim ones not counted, answers HEAD. */
  readonly isToHead?: (response: number) => boolean
  /** The connection has ended cleanly behind the bytes. */
  readonly hasEnded?: boolean
  /** Give one octet at a time, to see where messages end. Not needed with undici's. */
  readonly byOctet?: boolean
  /** Stop behind a 101, and behind a request that asks for an upgrade: what follows is not HTTP. */
  readonly stopsAtUpgrade?: boolean
}

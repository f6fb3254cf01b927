/** Flow control with reasons: a source is read only while nobody holds it. A bit mask, printed by name. */
import type { ByteSocket } from './byte-socket.ts'

export const HoldReason = {
  /** The other side does not take the bytes as fast as they come. */
  SINK_FULL: 1,
  /** There is no upstream connection yet to write to. */
  NO_SINK: 2,
  /** A pipelined request waits for the one before it. */
  PIPELINED: 4,
  /** This peer has had its share of this turn of the event loop. */
  TURN: 8,
  /** The socket is closing. */
  CLOSING: 16,
} as const
export type HoldReason = (typeof HoldReason)[keyof typeof HoldReason]

export class Hold {
  readonly #socket: ByteSocket
  #reasons = 0

  constructor(socket: ByteSocket) {
    this.#socket = socket
  }

  get isHeld(): boolean {
    return this.#reasons !== 0
  }

  has(reason: HoldReason): boolean {
    return (this.#reasons & reason) !== 0
  }

  hold(reason: HoldReason): void {
    if (this.#reasons === 0) this.#socket.pause()
    this.#reasons |= reason
  }

  free(reason: HoldReason): void {
    if (this.#reasons === 0) return
    this.#reasons &= ~reason
    if (this.#reasons === 0) this.#socket.resume()
  }

  /** Names of the reasons, for logs and tests. */
  toString(): string {
    const names = Object.entries(HoldReason).filter(([, bit]) => (this.#reasons & bit) !== 0)
    return names.map(([name]) => name).join('+')
  }
}

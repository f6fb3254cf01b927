/**
 * One end of a connection under the hand of a test: octets go out as they are given, what comes in is kept until the test takes it, and
 * how the other end finished (FIN or RST) is told apart. It knows no HTTP. It owns its socket and never closes it on its own.
 */
import { createHash } from 'node:crypto'
import type { Socket } from 'node:net'
import { patiently } from './patience.ts'

/** How the peer ended its side; 'here' when this end was closed before the peer said anything. */
export type Ending = 'fin' | 'reset' | 'here'

/** The peer is gone, and what was waited for has not come. */
export class WireEnded extends Error {
  readonly ending: Ending
  constructor(ending: Ending, wanted: string, unread: string) {
    super(`the peer ended (${ending}) before ${wanted}; unread: ${JSON.stringify(unread.slice(0, 500))}`)
    this.name = 'WireEnded'
    this.ending = ending
  }
}

const pieceBytes = 65_536

export class Wire {
  readonly socket: Socket
  /** Come and not yet taken, latin-1. */
  unread = ''
  bytesReceived = 0
  ending: Ending | undefined
  /** Waits that are looked at again with every event. */
  readonly #waits = new Set<() => void>()
  #sink: ((bytes: Buffer) => void) | undefined

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (bytes: Buffer) => {
      this.bytesReceived += bytes.length
      if (this.#sink === undefined) this.unread += bytes.toString('latin1')
      else this.#sink(bytes)
      this.#lookAgain()
    })
    socket.on('end', () => this.#onEnding('fin'))
    socket.on('error', () => this.#onEnding('reset'))
    socket.on('close', () => this.#onEnding('here'))
  }

  send(data: string | Buffer): void {
    if (typeof data === 'string') this.socket.write(data, 'latin1')
    else this.socket.write(data)
  }

  /** Takes and returns everything up to the end of the first match. Rejects with WireEnded. `isPatient`: waits as long as it takes. */
  async until(pattern: string | RegExp, isPatient = false): Promise<string> {
    let end = -1
    const find = (): boolean => {
      end = matchEnd(this.unread, pattern)
      return end >= 0
    }
    await this.#wait(find, typeof pattern === 'string' ? JSON.stringify(pattern) : String(pattern), isPatient)
    return this.#take(end)
  }

  /** Takes so many octets. Rejects with WireEnded. */
  async take(bytes: number): Promise<string> {
    await this.#wait(() => this.unread.length >= bytes, `${bytes} bytes`)
    return this.#take(bytes)
  }

  /** SHA-256 of the next so many octets, which are not kept. Rejects with WireEnded. */
  async digest(bytes: number): Promise<string> {
    const hash = createHash('sha256')
    let left = bytes
    const feed = (data: Buffer): void => {
      const taken = Math.min(left, data.length)
      hash.update(data.subarray(0, taken))
      left -= taken
      if (taken < data.length) this.unread += data.toString('latin1', taken)
    }
    const before = Buffer.from(this.unread, 'latin1')
    this.unread = ''
    feed(before)
    this.#sink = feed
    try {
      await this.#wait(() => left === 0, `${bytes} bytes`)
    } finally {
      this.#sink = undefined
    }
    return hash.digest('hex')
  }

  /**
   * Sends `bytes` in pieces, each when the kernel has taken the one before it, and stops early when the peer is gone. `onPiece` hears how
   * much the kernel has taken so far.
   */
  async pour(bytes: Buffer, onPiece: (sentBytes: number) => void = () => {}): Promise<void> {
    for (let at = 0; at < bytes.length && this.socket.writable; at += pieceBytes) {
      const piece = bytes.subarray(at, at + pieceBytes)
      const isTaken = await new Promise<boolean>((resolve) => {
        this.socket.write(piece, (error) => resolve(error === undefined || error === null))
      })
      if (!isTaken) return
      onPiece(at + piece.length)
    }
  }

  /** The peer has sent FIN or RST. This end stays as it is. */
  async ended(): Promise<Ending> {
    await patiently(
      this.#next(() => this.ending !== undefined),
      () => `the peer to end; ${this.#describe()}`,
    )
    return this.ending!
  }

  /** The peer has sent FIN or RST, and this end has closed too, as an ordinary peer does. */
  async closed(): Promise<Ending> {
    const ending = await this.ended()
    this.socket.end()
    return ending
  }

  /** Sends FIN. */
  end(): void {
    this.socket.end()
  }

  /** Sends RST. A unix socket has none: it is closed. */
  reset(): void {
    if (this.socket.remoteAddress === undefined) this.socket.destroy()
    else this.socket.resetAndDestroy()
  }

  destroy(): void {
    this.socket.destroy()
  }

  pause(): void {
    this.socket.pause()
  }

  resume(): void {
    this.socket.resume()
  }

  #take(end: number): string {
    const taken = this.unread.slice(0, end)
    this.unread = this.unread.slice(end)
    return taken
  }

  /** Resolves when `isHere` holds; rejects with WireEnded when it does not and the peer is gone. */
  async #wait(isHere: () => boolean, wanted: string, isPatient = false): Promise<void> {
    let found = false
    const event = this.#next(() => (found = isHere()) || this.ending !== undefined)
    await (isPatient ? event : patiently(event, () => `${wanted}; ${this.#describe()}`))
    if (!found) throw new WireEnded(this.ending!, wanted, this.unread)
  }

  #next(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!condition()) return
        this.#waits.delete(look)
        resolve()
      }
      this.#waits.add(look)
      look()
    })
  }

  #onEnding(ending: Ending): void {
    this.ending ??= ending
    this.#lookAgain()
  }

  #lookAgain(): void {
    for (const look of [...this.#waits]) look()
  }

  #describe(): string {
    return `${this.bytesReceived} bytes have come, unread: ${JSON.stringify(this.unread.slice(0, 500))}`
  }
}

function matchEnd(text: string, pattern: string | RegExp): number {
  if (typeof pattern === 'string') {
    const at = text.indexOf(pattern)
    return at < 0 ? -1 : at + pattern.length
  }
  const match = pattern.exec(text)
  return match === null ? -1 : match.index + match[0].length
}

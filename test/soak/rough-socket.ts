/**
 * A connection in the hands of a peer that does not behave: it sends what it likes as slowly as it likes, reads or does not, and leaves by FIN, by RST or
 * without a word. Every wait ends when the connection is gone or the crowd is told to stop, when the socket is destroyed,
 * so that no behaviour outlives the run. It keeps
 * nothing of what it reads but the first status line. It owns its socket.
 */
import type { Socket } from 'node:net'
import type { SeededRandom } from '../support/seeded-random.ts'
import type { Pace } from './pace.ts'

export type Leaving = 'reset' | 'fin' | 'destroy'

export class RoughSocket {
  readonly socket: Socket
  readonly random: SeededRandom
  readonly pace: Pace
  bytesReceived = 0
  isConnected = false
  /** How the other side ended. */
  ending: 'fin' | 'reset' | undefined
  /** The first bytes that came, latin-1. */
  start = ''
  /** Called with every piece that comes. */
  onPiece: ((piece: Buffer) => void) | undefined
  readonly #looks = new Set<() => void>()

  constructor(socket: Socket, random: SeededRandom, pace: Pace) {
    this.socket = socket
    this.random = random
    this.pace = pace
    socket.on('data', (piece: Buffer) => {
      this.bytesReceived += piece.length
      if (this.start.length < 12) this.start += piece.toString('latin1', 0, 12)
      this.onPiece?.(piece)
      this.lookAgain()
    })
    // One that was accepted is connected already.
    this.isConnected = !socket.connecting
    socket.on('connect', () => {
      this.isConnected = true
      this.lookAgain()
    })
    socket.on('drain', () => this.lookAgain())
    socket.on('end', () => {
      this.ending ??= 'fin'
      this.lookAgain()
    })
    socket.on('error', () => {
      this.ending ??= 'reset'
      socket.destroy()
    })
    const cancel = pace.onEnd(() => socket.destroy())
    socket.on('close', () => {
      cancel()
      this.ending ??= 'reset'
      this.lookAgain()
    })
  }

  /** Nothing more comes, or nobody wants it. */
  get isOver(): boolean {
    return this.ending !== undefined || this.socket.destroyed || this.pace.isOver
  }

  /** The status of the first answer, '' without one. */
  get status(): string {
    return /^HTTP\/1\.1 ([0-9]{3})/.exec(this.start)?.[1] ?? ''
  }

  /** Resolves with whether `condition` came to hold: false when the connection or the run is over, or `msMax` have passed. */
  async wait(condition: () => boolean, msMax: number): Promise<boolean> {
    if (condition()) return true
    if (this.isOver) return false
    return await new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        this.#looks.delete(look)
        cancel()
        resolve(condition())
      }
      const look = (): void => {
        if (condition() || this.isOver) done()
      }
      const timer = setTimeout(done, msMax)
      const cancel = this.pace.onEnd(done)
      this.#looks.add(look)
    })
  }

  /** So many milliseconds, or fewer. */
  async rest(ms: number): Promise<void> {
    await this.wait(() => false, ms)
  }

  /** Sends and waits until the kernel has it. Resolves with whether it may go on. */
  async send(data: string | Buffer, msMax = 10_000): Promise<boolean> {
    if (!this.socket.writable || this.pace.isOver) return false
    const flushed = typeof data === 'string' ? this.socket.write(data, 'latin1') : this.socket.write(data)
    if (flushed) return !this.isOver
    return await this.wait(() => !this.socket.writableNeedDrain, msMax)
  }

  /** Sends octet by octet, with a rest behind each. */
  async drip(text: string, restMs: () => number): Promise<boolean> {
    for (const octet of text) {
      if (!(await this.send(octet))) return false
      await this.rest(restMs())
    }
    return !this.isOver
  }

  /** Sends the same thing again and again, until the other side has enough of it or `timesMax` are reached. */
  async repeat(make: (index: number) => string | Buffer, timesMax: number): Promise<void> {
    for (let index = 0; index < timesMax; index++) {
      if (!(await this.send(make(index), 2_000))) return
      // So that an end from the other side is seen.
      if (index % 64 === 63) await this.rest(1)
    }
  }

  /** The head of an answer has begun to come. */
  answered(msMax: number): Promise<boolean> {
    return this.wait(() => this.start.length >= 12, msMax)
  }

  /** The other side has ended. */
  gone(msMax: number): Promise<boolean> {
    return this.wait(() => this.ending !== undefined, msMax)
  }

  leave(way: Leaving): void {
    const { socket } = this
    // Node loses a socket that is reset while its end is on the way: no 'close' comes.
    if (socket.destroyed || (way !== 'fin' && socket.writableEnded)) return void socket.destroy()
    if (way === 'fin') socket.end()
    else if (way === 'reset') socket.resetAndDestroy()
    else socket.destroy()
  }

  /** Whatever its state: it is closed when this resolves. */
  async close(): Promise<void> {
    const { socket } = this
    if (socket.closed) return
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
    socket.destroy()
    await closed
  }

  lookAgain(): void {
    for (const look of [...this.#looks]) look()
  }
}

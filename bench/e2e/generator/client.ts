/**
 * One connection of the load generator: sends bytes, tells when an answer is complete. An answer is known by its end, which is cheap and
 * enough where one request is on its way at a time; that it is a 200 is checked, the rest was compared byte by byte before the load.
 * All connections read into one buffer.
 */
import { connect, type Socket } from 'node:net'

export interface ClientUser {
  onAnswer(client: Client, isRight: boolean): void
  /** It ended or failed; nothing more comes of it. */
  onEnd(client: Client): void
}

const shared = Buffer.alloc(65_536)
const noBytes = Buffer.alloc(0)
const okBytes = Buffer.from('HTTP/1.1 200')

export class Client {
  readonly #socket: Socket
  readonly #user: ClientUser
  readonly #answerEnd: Buffer
  #isBegun = false
  /** The answer under way began as a right one does. */
  #isOk = false
  #hasEnded = false
  /** The last that has come of an answer: its end may be in two pieces. */
  #tail = noBytes
  /** For its user: when the request on its way was due, in microseconds of the user's clock. */
  dueMicros = 0
  /** For its user: how many bytes of the head on its way are sent. */
  sentBytes = 0

  constructor(port: number, answerEnd: Buffer, user: ClientUser, onConnected: (client: Client) => void) {
    this.#user = user
    this.#answerEnd = answerEnd
    this.#socket = connect({
      port,
      host: '127.0.0.1',
      noDelay: true,
      onread: {
        buffer: shared,
        callback: (length) => {
          this.#onBytes(shared.subarray(0, length))
          return true
        },
      },
    })
    this.#socket.once('connect', () => onConnected(this))
    // 'close' follows, and counts it.
    this.#socket.on('error', () => {})
    this.#socket.once('close', () => {
      this.#hasEnded = true
      user.onEnd(this)
    })
  }

  get hasEnded(): boolean {
    return this.#hasEnded
  }

  send(bytes: Buffer | string): void {
    this.#socket.write(bytes, 'latin1')
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #onBytes(bytes: Buffer): void {
    if (!this.#isBegun) {
      this.#isBegun = true
      this.#isOk = bytes.length >= okBytes.length && bytes.compare(okBytes, 0, okBytes.length, 0, okBytes.length) === 0
    }
    const wanted = this.#answerEnd
    const end = bytes.length >= wanted.length ? bytes : Buffer.concat([this.#tail, bytes])
    if (end.length < wanted.length || end.compare(wanted, 0, wanted.length, end.length - wanted.length) !== 0) {
      this.#tail = Buffer.from(end.subarray(Math.max(0, end.length - wanted.length)))
      return
    }
    this.#tail = noBytes
    this.#isBegun = false
    this.#user.onAnswer(this, this.#isOk)
  }
}

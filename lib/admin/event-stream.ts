/**
 * Those who read `/events`: each gets what happens from when it came, as server-sent events. What a reader does not take is held for it up
 * to a bound, and who falls behind further is let go: it comes back by itself, and asks for the present state then. It owns the responses.
 */
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** A tab that sleeps, or a terminal that was stopped. */
const unreadBytesMax = 1_048_576

export class EventStream {
  readonly #readers = new Set<ServerResponse>()
  readonly #readersMax: number
  readonly #onChange: (readers: number) => void

  /** `onChange` is told how many readers there are, after each that comes or goes. */
  constructor(readersMax: number, onChange: (readers: number) => void) {
    this.#readersMax = readersMax
    this.#onChange = onChange
  }

  get readers(): number {
    return this.#readers.size
  }

  /** Whether a reader is at the other end of a connection. */
  has(socket: Socket): boolean {
    for (const reader of this.#readers) if (reader.socket === socket) return true
    return false
  }

  get isFull(): boolean {
    return this.#readers.size >= this.#readersMax
  }

  /** The response is this object's from here on. */
  add(response: ServerResponse, first: readonly (readonly [name: string, data: object])[]): void {
    this.#readers.add(response)
    response.once('close', () => {
      this.#readers.delete(response)
      this.#onChange(this.#readers.size)
    })
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
    // A reader that lost us asks again after this many ms.
    response.write('retry: 2000\n\n')
    for (const [name, data] of first) response.write(encode(name, data))
    this.#onChange(this.#readers.size)
  }

  send(name: string, data: object): void {
    if (this.#readers.size === 0) return
    const text = encode(name, data)
    for (const reader of this.#readers) {
      if (reader.writableLength > unreadBytesMax) reader.destroy()
      else reader.write(text)
    }
  }

  close(): void {
    for (const reader of this.#readers) reader.end()
  }
}

/** JSON has no line end in it, so that one field of data is enough. */
function encode(name: string, data: object): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`
}

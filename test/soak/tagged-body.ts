/** Bodies that belong to one tag: framed for the wire on one side, checked by length and SHA-256 on the other. They own no socket. */
import { createHash, type Hash } from 'node:crypto'
import type { Socket } from 'node:net'
import { describePayload, makeBlocks } from '../support/payload.ts'
import type { SeededRandom } from '../support/seeded-random.ts'

export type BodyFraming = 'none' | 'length' | 'chunked' | 'close'

/** The fields that announce a body, whole lines. */
export function framingFields(framing: BodyFraming, bytes: number): string {
  if (framing === 'length') return `Content-Length: ${bytes}\r\n`
  if (framing === 'chunked') return 'Transfer-Encoding: chunked\r\n'
  return framing === 'close' ? 'Connection: close\r\n' : ''
}

/** The body on the wire, in pieces. A chunked one ends with the trailer `X-End: tag`. */
export function* frameBody(tag: string, bytes: number, framing: BodyFraming, random: SeededRandom): Generator<Buffer> {
  if (framing === 'none') return
  for (const block of makeBlocks(bytes, tag)) {
    if (framing !== 'chunked') {
      yield block
      continue
    }
    for (let at = 0; at < block.length;) {
      const piece = block.subarray(at, at + random.integer(1, block.length))
      yield Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')])
      at += piece.length
    }
  }
  if (framing === 'chunked') yield Buffer.from(`0\r\nX-End: ${tag}\r\n\r\n`)
}

/** Takes a body as it comes. */
export class BodyIntake {
  bytes = 0
  readonly #hash: Hash = createHash('sha256')

  take(piece: Buffer): void {
    this.bytes += piece.length
    this.#hash.update(piece)
  }

  /** Once, when all has come. */
  checksum(): string {
    return this.#hash.digest('hex')
  }
}

/** SHA-256 of the body of that tag. */
export function checksumOf(tag: string, bytes: number): string {
  return describePayload(bytes, tag).checksum
}

/** Writes the pieces as fast as the socket takes them. Resolves with whether all of them went out: false when the socket is gone. */
export async function pour(socket: Socket, pieces: Iterable<Buffer>): Promise<boolean> {
  for (const piece of pieces) {
    if (!socket.writable) return false
    if (!socket.write(piece)) await roomOrEnd(socket)
  }
  return socket.writable
}

function roomOrEnd(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off('drain', done)
      socket.off('close', done)
      resolve()
    }
    if (socket.destroyed) return resolve()
    socket.on('drain', done)
    socket.on('close', done)
  })
}

/**
 * Bodies to be recognised: blocks of noise, each with its number and, when there is one, the tag of its message, so that a byte that is
 * lost, repeated, swapped or meant for another changes the checksum; and the checksum of what arrives.
 */
import { createHash } from 'node:crypto'
import { SeededRandom } from './seeded-random.ts'

const blockBytes = 65_536
const noise = makeNoise()

/** The same in every process: one may send what another checks. */
function makeNoise(): Buffer {
  const random = new SeededRandom(1)
  return Buffer.from(Uint8Array.from({ length: blockBytes }, () => random.integer(0, 255)))
}

/** The blocks of a body of `bytes` bytes. */
export function* makeBlocks(bytes: number, tag = ''): Generator<Buffer> {
  for (let at = 0; at < bytes; at += blockBytes) {
    const block = Buffer.from(noise.subarray(0, Math.min(blockBytes, bytes - at)))
    if (block.length >= 4) {
      block.writeUInt32LE(at / blockBytes, 0)
      block.write(tag, 4, 'latin1')
    }
    yield block
  }
}

/** A body in one piece. */
export function makePayload(bytes: number, tag = ''): Buffer {
  return Buffer.concat([...makeBlocks(bytes, tag)])
}

export interface Received {
  readonly bytes: number
  readonly checksum: string
}

/** What a body should be on arrival. */
export function describePayload(bytes: number, tag = ''): Received {
  const hash = createHash('sha256')
  for (const block of makeBlocks(bytes, tag)) hash.update(block)
  return { bytes, checksum: hash.digest('hex') }
}

/** Reads a body to its end. Rejects when it is cut. */
export async function receive(body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<Received> {
  const hash = createHash('sha256')
  let bytes = 0
  for await (const chunk of body) {
    hash.update(chunk)
    bytes += chunk.length
  }
  return { bytes, checksum: hash.digest('hex') }
}

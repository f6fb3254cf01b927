/**
 * Keys of limits as 64 bits: the rounds of HalfSipHash-1-3 under a secret of this process. Who does not know the secret cannot choose keys that fall on
 * each other, or into one bucket of a table; that is why it is no simpler function. Two keys that meet all the same (one pair in 2^64) share
 * a limit. The result is in two fields, so that no object is made for a request.
 */
import { randomBytes } from 'node:crypto'
import { readAddress } from '../route/networks.ts'

/** Keeps addresses and texts apart. */
const addressTag = 0xad0

const words = new Uint32Array(4)

export class KeyHasher {
  /** Of the last key. */
  high = 0
  low = 0
  readonly #secretLow: number
  readonly #secretHigh: number

  constructor(secret: Buffer = randomBytes(8)) {
    this.#secretLow = secret.readInt32LE(0)
    this.#secretHigh = secret.readInt32LE(4)
  }

  /** IPv6 by its first `ipv6Prefix` bits. What is no address (the peer of a unix socket) counts as the text that it is. */
  hashAddress(text: string, ipv6Prefix: number): void {
    const kind = readAddress(text, words)
    if (kind === 0) return this.hashText(text)
    if (kind === 4) return this.#hashWords(words, 3)
    maskWords(words, ipv6Prefix)
    this.#hashWords(words, 0)
  }

  hashText(text: string): void {
    let v0 = this.#secretLow
    let v1 = this.#secretHigh ^ 0xee
    let v2 = 0x6c796765 ^ v0
    let v3 = 0x74656462 ^ this.#secretHigh
    const { length } = text
    for (let i = 0; i <= length; i += 2) {
      // The last word has the length in it, so that no text is the beginning of another one.
      const word =
        i + 1 < length ? text.charCodeAt(i) | (text.charCodeAt(i + 1) << 16) : (i < length ? text.charCodeAt(i) : 0) | (length << 16)
      v3 ^= word
      // One round of HalfSipHash, written out: a call would have to return four numbers.
      v0 = (v0 + v1) | 0
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
      v0 = (v0 << 16) | (v0 >>> 16)
      v2 = (v2 + v3) | 0
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
      v0 = (v0 + v3) | 0
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
      v2 = (v2 + v1) | 0
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
      v2 = (v2 << 16) | (v2 >>> 16)
      v0 ^= word
    }
    this.#finish(v0, v1, v2, v3)
  }

  #hashWords(source: Uint32Array, from: number): void {
    let v0 = this.#secretLow
    let v1 = this.#secretHigh ^ 0xee
    let v2 = 0x6c796765 ^ v0 ^ addressTag
    let v3 = 0x74656462 ^ this.#secretHigh
    // IPv6 has four words where IPv4 has one; what they begin with tells them apart.
    v2 ^= from
    for (let i = from; i < 4; i++) {
      const word = source[i]! | 0
      v3 ^= word
      v0 = (v0 + v1) | 0
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
      v0 = (v0 << 16) | (v0 >>> 16)
      v2 = (v2 + v3) | 0
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
      v0 = (v0 + v3) | 0
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
      v2 = (v2 + v1) | 0
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
      v2 = (v2 << 16) | (v2 >>> 16)
      v0 ^= word
    }
    this.#finish(v0, v1, v2, v3)
  }

  /** SipHash would run three rounds more for the other half. Nobody ever sees the result: both halves come from the same state. */
  #finish(a: number, b: number, c: number, d: number): void {
    let v0 = a
    let v1 = b
    let v2 = c ^ 0xee
    let v3 = d
    for (let round = 0; round < 3; round++) {
      v0 = (v0 + v1) | 0
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
      v0 = (v0 << 16) | (v0 >>> 16)
      v2 = (v2 + v3) | 0
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
      v0 = (v0 + v3) | 0
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
      v2 = (v2 + v1) | 0
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
      v2 = (v2 << 16) | (v2 >>> 16)
    }
    this.high = v0 ^ v2
    this.low = v1 ^ v3
  }
}

/** The network that an address counts as, as one text for all ways to write it: for those who have another secret, or none. */
export function formatClientNetwork(address: string, ipv6Prefix: number): string {
  const kind = readAddress(address, words)
  if (kind === 0) return address
  if (kind === 4) return [24, 16, 8, 0].map((shift) => (words[3]! >>> shift) & 0xff).join('.')
  maskWords(words, ipv6Prefix)
  return `${Array.from(words, (word) => word.toString(16).padStart(8, '0')).join('')}/${ipv6Prefix}`
}

/** Keeps the first `prefix` bits of four words. */
function maskWords(address: Uint32Array, prefix: number): void {
  for (let i = 0; i < 4; i++) {
    const bits = prefix - 32 * i
    if (bits <= 0) address[i] = 0
    else if (bits < 32) address[i] = address[i]! & (0xffffffff << (32 - bits))
  }
}

/** Chance that an input decides, octet by octet, for as long as it lasts; then the seed goes on. What a mutator changes is what happens. */
import { SeededRandom } from '../test/support/seeded-random.ts'

export class ByteRandom extends SeededRandom {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array, seed: number) {
    super(seed)
    this.#bytes = bytes
  }

  /** An octet gives the upper eight bits, which are all that a choice among few depends on; the seed gives the rest. */
  override next(): number {
    const rest = super.next()
    // The base class draws while it is made, when there are no octets yet.
    if (!(#bytes in this) || this.#at === this.#bytes.length) return rest
    return (this.#bytes[this.#at++]! + rest) / 256
  }
}

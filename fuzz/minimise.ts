/**
 * Makes an input that breaks an invariant as short and as plain as it can be while the same thing goes wrong: takes away runs of lines, then
 * runs of octets, and writes what is left in letters where the octets do not matter.
 */
import { performance } from 'node:perf_hooks'
import type { Input } from './corpus.ts'
import { signatureOf, type Runner } from './runner.ts'

const runsMax = 8_000
const msMax = 10_000

/** The chance inside a run is read in another way when the input changes: a shorter input may go wrong with another seed only. */
const otherSeeds = [1, 2, 3]

const CR = 0x0d
const LF = 0x0a
const plainOctet = 0x78

export function minimise(runner: Runner, { data, seed }: Input, signature: string): Input {
  return new Minimiser(runner, signature, data, seed).run()
}

class Minimiser {
  readonly #runner: Runner
  readonly #signature: string
  readonly #until = performance.now() + msMax
  #runs = 0
  #data: Uint8Array
  #seed: number

  constructor(runner: Runner, signature: string, data: Uint8Array, seed: number) {
    this.#runner = runner
    this.#signature = signature
    this.#data = data
    this.#seed = seed
  }

  run(): Input {
    this.#shrink(lineEndsOf(this.#data))
    this.#shrink(Array.from(this.#data, (_, at) => at + 1))
    this.#simplify()
    return { data: this.#data, seed: this.#seed }
  }

  /** Delta debugging: takes away ever fewer of the parts, which end at `ends`, until not one of them can go. */
  #shrink(allEnds: readonly number[]): void {
    let ends = allEnds
    for (let count = Math.ceil(ends.length / 2); count >= 1;) {
      let shrunk = false
      for (let at = 0; at < ends.length;) {
        if (this.#isOver) return
        const from = at === 0 ? 0 : ends[at - 1]!
        const to = ends[Math.min(at + count, ends.length) - 1]!
        const rest = new Uint8Array(this.#data.length - (to - from))
        rest.set(this.#data.subarray(0, from))
        rest.set(this.#data.subarray(to), from)
        if (this.#take(rest)) {
          ends = [...ends.slice(0, at), ...ends.slice(at + count).map((end) => end - (to - from))]
          shrunk = true
        } else at += count
      }
      if (count > 1) count = Math.ceil(count / 2)
      else if (!shrunk) return
    }
  }

  #simplify(): void {
    for (let at = 0; at < this.#data.length && !this.#isOver; at++) {
      const octet = this.#data[at]!
      if ((octet >= 0x20 && octet < 0x7f) || octet === CR || octet === LF) continue
      const plainer = Uint8Array.from(this.#data)
      plainer[at] = plainOctet
      this.#take(plainer)
    }
  }

  get #isOver(): boolean {
    return this.#runs >= runsMax || performance.now() > this.#until
  }

  /** The candidate becomes the input when the same thing goes wrong. */
  #take(data: Uint8Array): boolean {
    for (const seed of [this.#seed, ...otherSeeds]) {
      this.#runs++
      const error = this.#runner.run({ data, seed })
      if (error === undefined || signatureOf(error) !== this.#signature) continue
      this.#data = data
      this.#seed = seed
      return true
    }
    return false
  }
}

/** Behind each LF, and at the end. */
function lineEndsOf(data: Uint8Array): number[] {
  const ends: number[] = []
  for (const [at, octet] of data.entries()) if (octet === LF || at === data.length - 1) ends.push(at + 1)
  return ends
}

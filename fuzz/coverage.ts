/**
 * What a run reached: one counter for each edge of our own JavaScript (the modules get theirs when they are loaded, see instrument.ts) and
 * one for each step of llhttp from one state to another. A feature is a counter together with the order of magnitude of its value: to go
 * round a loop once and to go round it many times are two things.
 */

/** llhttp steps come first in the map, in the order in which they were first seen. */
const stepsMax = 2_048
const countersMax = 32_768

/** A feature is a counter times this, plus the magnitude of its value. */
export const magnitudes = 8

const llhttpStatesMax = 512

/** Features are numbers below this. */
export const featuresMax = countersMax * magnitudes

/** Values 1, 2, 3, 4-7, 8-15, 16-31, 32-127 and the rest. */
const magnitudeOf = Uint8Array.from({ length: 256 }, (_, value) =>
  value < 4 ? Math.max(0, value - 1) : value < 8 ? 3 : value < 16 ? 4 : value < 32 ? 5 : value < 128 ? 6 : 7,
)

/** How much was reached, as numbers. */
export interface CoverageFigures {
  readonly edges: number
  /** Edges in the modules that are loaded; nobody reaches all of them through one target. */
  readonly edgesTotal: number
  readonly llhttpStates: number
  readonly llhttpSteps: number
}

/** What exactly was reached, to be united with that of other threads: counters of edges, and steps as pairs of states. */
export interface Reached {
  readonly edges: Int32Array
  readonly llhttpSteps: Int32Array
}

export class CoverageMap {
  /** Features of the last run: the first `featureCount` of them. Valid until the next `collect`. */
  readonly features = new Int32Array(countersMax)
  featureCount = 0
  readonly #counters = new Uint8Array(countersMax)
  readonly #words = new Uint32Array(this.#counters.buffer)
  /** Magnitudes seen of each counter, one bit each. */
  readonly #seen = new Uint8Array(countersMax)
  #countersUsed = stepsMax
  /** The counter of a step, plus one, at [from * llhttpStatesMax + to]. */
  readonly #stepCounters = new Uint16Array(llhttpStatesMax * llhttpStatesMax)
  readonly #steps: number[] = []
  readonly #statesSeen = new Set<number>()
  #edgesSeen = 0
  #stepsSeen = 0

  /** Counters for the edges of one module, which adds to them for as long as it lives. */
  createModuleCounters(edges: number): Uint8Array {
    const from = this.#countersUsed
    if (from + edges > countersMax) throw new Error(`more than ${countersMax} edges`)
    this.#countersUsed += edges
    return this.#counters.subarray(from, this.#countersUsed)
  }

  noteLlhttpStep(from: number, to: number): void {
    const pair = from * llhttpStatesMax + to
    let counter = this.#stepCounters[pair]! - 1
    if (counter < 0) {
      counter = this.#steps.length
      if (counter === stepsMax) return
      this.#steps.push(pair)
      this.#stepCounters[pair] = counter + 1
    }
    this.#counters[counter] = (this.#counters[counter]! % 255) + 1
  }

  get figures(): CoverageFigures {
    return {
      edges: this.#edgesSeen,
      edgesTotal: this.#countersUsed - stepsMax,
      llhttpStates: this.#statesSeen.size,
      llhttpSteps: this.#stepsSeen,
    }
  }

  get reached(): Reached {
    const edges: number[] = []
    for (let at = stepsMax; at < this.#countersUsed; at++) if (this.#seen[at] !== 0) edges.push(at)
    return { edges: Int32Array.from(edges), llhttpSteps: Int32Array.from(this.#steps.filter((_, counter) => this.#seen[counter] !== 0)) }
  }

  /** Forgets what was counted since the last `collect`: by whatever ran in between, and is not to count. */
  discard(): void {
    this.#counters.fill(0, 0, this.#countersUsed)
  }

  /** Nothing was ever reached. */
  reset(): void {
    this.discard()
    this.#seen.fill(0)
    this.#statesSeen.clear()
    this.#edgesSeen = 0
    this.#stepsSeen = 0
  }

  /** Turns what was counted into features and starts anew. */
  collect(): void {
    const counters = this.#counters
    const words = this.#words
    const { features } = this
    const wordsUsed = (this.#countersUsed + 3) >> 2
    let count = 0
    for (let word = 0; word < wordsUsed; word++) {
      if (words[word] === 0) continue
      for (let at = word << 2; at < (word << 2) + 4; at++) {
        const value = counters[at]!
        if (value === 0) continue
        const magnitude = magnitudeOf[value]!
        features[count++] = at * magnitudes + magnitude
        const seen = this.#seen[at]!
        if (seen === 0) this.#noteFirst(at)
        this.#seen[at] = seen | (1 << magnitude)
      }
      words[word] = 0
    }
    this.featureCount = count
  }

  #noteFirst(counter: number): void {
    if (counter >= stepsMax) {
      this.#edgesSeen++
      return
    }
    this.#stepsSeen++
    this.#statesSeen.add(this.#steps[counter]! % llhttpStatesMax)
  }
}

/** The figures of several threads together. */
export function unite(parts: readonly { readonly coverage: CoverageFigures; readonly reached: Reached }[]): CoverageFigures {
  const steps = new Set(parts.flatMap(({ reached }) => [...reached.llhttpSteps]))
  return {
    edges: new Set(parts.flatMap(({ reached }) => [...reached.edges])).size,
    edgesTotal: Math.max(0, ...parts.map(({ coverage }) => coverage.edgesTotal)),
    llhttpStates: new Set([...steps].map((pair) => pair % llhttpStatesMax)).size,
    llhttpSteps: steps.size,
  }
}

/**
 * The inputs worth going on from. For every feature that was ever reached, the corpus holds the shortest input that reaches it, and nothing
 * else: it is always minimal in this sense, and bounded by the number of features. An input is its bytes and the seed of its chance.
 */
import type { SeededRandom } from '../test/support/seeded-random.ts'
import { featuresMax, magnitudes } from './coverage.ts'

export interface Input {
  readonly data: Uint8Array
  readonly seed: number
}

interface Entry extends Input {
  /** All features of the run, those that belong to other entries too. */
  readonly features: Int32Array
  /** Features for which this is the shortest input. An entry that has none left goes. */
  owned: number
  /** Where it stands among the entries. */
  index: number
  /** How much the run did, as far as the counters tell: time itself would be another one each time. */
  readonly cost: number
  /** How often it was chosen to go on from. */
  picks: number
}

/** What a feature says about how often a place was passed, by its magnitude. */
const passes = [1, 2, 3, 5, 11, 23, 60, 160]

/** Of so many entries, drawn by lot, the most promising one is chosen. */
const candidates = 3

export class Corpus {
  readonly #entries: Entry[] = []
  readonly #owners: (Entry | undefined)[] = Array.from({ length: featuresMax })
  /** In how many runs each feature was reached. */
  readonly #runs = new Uint32Array(featuresMax)

  get size(): number {
    return this.#entries.length
  }

  get inputs(): readonly Input[] {
    return this.#entries
  }

  /** Takes an input in when it reaches something new, or does as a shorter one for all that an entry is there for. */
  consider(data: Uint8Array, seed: number, features: Int32Array, featureCount: number): boolean {
    let isNew = false
    let shorterThan: Map<Entry, number> | undefined
    for (let i = 0; i < featureCount; i++) {
      const feature = features[i]!
      this.#runs[feature]!++
      const owner = this.#owners[feature]
      if (owner === undefined) isNew = true
      else if (data.length < owner.data.length) {
        shorterThan ??= new Map()
        shorterThan.set(owner, (shorterThan.get(owner) ?? 0) + 1)
      }
    }
    if (!isNew && (shorterThan === undefined || ![...shorterThan].some(([owner, count]) => count === owner.owned))) return false
    this.#add(Uint8Array.from(data), seed, features.slice(0, featureCount))
    return true
  }

  /** An input that reaches what few runs reach, that was not chosen often, and that is soon done. The corpus must not be empty. */
  pick(random: SeededRandom): Input {
    let best: Entry | undefined
    let bestScore = Number.POSITIVE_INFINITY
    for (let i = 0; i < candidates; i++) {
      const entry = this.#entries[random.integer(0, this.#entries.length - 1)]!
      const score = this.#rarity(entry) * (entry.picks + 1) * entry.cost
      if (best === undefined || score < bestScore) {
        best = entry
        bestScore = score
      }
    }
    best!.picks++
    return best!
  }

  /** Runs that reached the rarest feature of an entry. */
  #rarity(entry: Entry): number {
    let least = Number.MAX_SAFE_INTEGER
    for (const feature of entry.features) {
      if (this.#owners[feature] === entry && this.#runs[feature]! < least) least = this.#runs[feature]!
    }
    return least
  }

  #add(data: Uint8Array, seed: number, features: Int32Array): void {
    const cost = features.reduce((sum, feature) => sum + passes[feature % magnitudes]!, 0)
    const entry: Entry = { data, seed, features, cost, owned: 0, index: this.#entries.length, picks: 0 }
    this.#entries.push(entry)
    for (const feature of features) {
      const owner = this.#owners[feature]
      if (owner !== undefined && owner.data.length <= data.length) continue
      this.#owners[feature] = entry
      entry.owned++
      if (owner !== undefined && --owner.owned === 0) this.#remove(owner)
    }
  }

  #remove(entry: Entry): void {
    const last = this.#entries.pop()!
    if (last === entry) return
    last.index = entry.index
    this.#entries[entry.index] = last
  }
}

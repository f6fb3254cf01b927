/**
 * What one limit knows of its keys: for each the theoretical arrival time (TAT) of the generic cell rate algorithm, in typed arrays of bounded
 * size. It decides nothing. A key is 64 bits (see KeyHasher).
 *
 * The table is made of buckets of eight slots, so looking a key up costs the same however full it is. A key whose TAT has passed is as good as
 * one that was never there: its slot is free. When a bucket has no free slot the table grows, and at its full size the key with the earliest
 * TAT, the one with the least to its account, is forgotten. So a flood of keys that come once pushes out its like: to push out a key that is
 * over its limit all seven others of its bucket have to be nearly over theirs, and which keys share a bucket is secret. What somebody with
 * more addresses than slots gains is that keys with little to their account start afresh. It never makes a key refused.
 */

const slotsOfBucket = 8
const slotsMin = 1_024
/** 1 MiB for a limit of one process, twice as much for one that is shared. */
export const slotsMax = 65_536

export class RateTable {
  /** By slot; 0 where none was used. In units of the limit. */
  tats: Float64Array
  #highs: Int32Array
  #lows: Int32Array
  #bucketMask: number
  readonly #isShared: boolean
  readonly #slotsMax: number

  // Of a limit that is shared through a store; otherwise of no length.
  /** Requests paid for at the store and not yet used. */
  leases: Int32Array
  /** When what is left of a lease is given up, in ms. */
  leaseEnds: Float64Array
  /** Requests let through and not yet told to the store. */
  debts: Int32Array
  /** 1: the store has been asked and has not answered. */
  asked: Uint8Array

  constructor(isShared: boolean, most = slotsMax, slots = Math.min(slotsMin, most)) {
    this.#isShared = isShared
    this.#slotsMax = most
    this.#bucketMask = slots / slotsOfBucket - 1
    this.tats = new Float64Array(slots)
    this.#highs = new Int32Array(slots)
    this.#lows = new Int32Array(slots)
    const shared = isShared ? slots : 0
    this.leases = new Int32Array(shared)
    this.leaseEnds = new Float64Array(shared)
    this.debts = new Int32Array(shared)
    this.asked = new Uint8Array(shared)
  }

  get slots(): number {
    return this.tats.length
  }

  /** The slot of a key, or -1. */
  find(high: number, low: number): number {
    const first = (low & this.#bucketMask) * slotsOfBucket
    for (let slot = first; slot < first + slotsOfBucket; slot++) {
      if (this.#highs[slot] === high && this.#lows[slot] === low) return slot
    }
    return -1
  }

  /** The slot of a key, which is given one if it has none. `now` is in units of the limit. */
  slotOf(high: number, low: number, now: number): number {
    const highs = this.#highs
    const lows = this.#lows
    const first = (low & this.#bucketMask) * slotsOfBucket
    for (let slot = first; slot < first + slotsOfBucket; slot++) {
      if (highs[slot] === high && lows[slot] === low) return slot
    }
    return this.#install(high, low, now, first)
  }

  #install(high: number, low: number, now: number, first: number): number {
    const { tats } = this
    let earliest = first
    for (let slot = first + 1; slot < first + slotsOfBucket; slot++) {
      if (tats[slot]! < tats[earliest]!) earliest = slot
    }
    if (tats[earliest]! > now && this.slots < this.#slotsMax) {
      this.#grow(now)
      return this.#install(high, low, now, (low & this.#bucketMask) * slotsOfBucket)
    }
    this.#highs[earliest] = high
    this.#lows[earliest] = low
    tats[earliest] = 0
    if (this.#isShared) {
      this.leases[earliest] = 0
      this.leaseEnds[earliest] = 0
      this.debts[earliest] = 0
      this.asked[earliest] = 0
    }
    return earliest
  }

  /** Twice the buckets: each is split in two by one more bit of its keys, so every key finds a place. */
  #grow(now: number): void {
    const bigger = new RateTable(this.#isShared, this.#slotsMax, this.slots * 2)
    for (let slot = 0; slot < this.slots; slot++) {
      if (this.tats[slot]! <= now) continue
      const place = bigger.#install(this.#highs[slot]!, this.#lows[slot]!, now, (this.#lows[slot]! & bigger.#bucketMask) * slotsOfBucket)
      bigger.tats[place] = this.tats[slot]!
      if (!this.#isShared) continue
      bigger.leases[place] = this.leases[slot]!
      bigger.leaseEnds[place] = this.leaseEnds[slot]!
      bigger.debts[place] = this.debts[slot]!
      bigger.asked[place] = this.asked[slot]!
    }
    this.tats = bigger.tats
    this.#highs = bigger.#highs
    this.#lows = bigger.#lows
    this.#bucketMask = bigger.#bucketMask
    this.leases = bigger.leases
    this.leaseEnds = bigger.leaseEnds
    this.debts = bigger.debts
    this.asked = bigger.asked
  }
}

/** Which server comes next: shares of the load, and what moves when the servers change. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { chooseByHash, chooseLeastConnections, chooseOfTwo, chooseRoundRobin, hashText } from '../../lib/route/balance.ts'
import { SeededRandom } from '../support/seeded-random.ts'

const weightLists = fc.array(fc.nat(5), { minLength: 1, maxLength: 6 }).filter((weights) => weights.some((weight) => weight > 0))
const numbers = (values: readonly number[]): Float64Array => Float64Array.from(values)
const zeros = (count: number): Float64Array => new Float64Array(count)
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)
const seedsOf = (...names: readonly string[]): Uint32Array => Uint32Array.from(names, hashText)
const keys = Array.from({ length: 6_000 }, (_, index) => hashText(`192.0.2.${index % 256} ${index}`))

test('in turn, every server comes as often as its weight says in every round', () => {
  fc.assert(
    fc.property(weightLists, (weights) => {
      const credits = zeros(weights.length)
      const counts = weights.map(() => 0)
      for (let round = 0; round < 2; round++) for (let i = 0; i < sum(weights); i++) counts[chooseRoundRobin(numbers(weights), credits)]!++
      assert.deepEqual(
        counts,
        weights.map((weight) => 2 * weight),
      )
    }),
  )
})

test('in turn, equal servers come in the order of the list, and a heavy one is spread over the round', () => {
  const run = (weights: readonly number[], count: number): number[] => {
    const credits = zeros(weights.length)
    return Array.from({ length: count }, () => chooseRoundRobin(numbers(weights), credits))
  }
  assert.deepEqual(run([1, 1, 1], 6), [0, 1, 2, 0, 1, 2])
  assert.deepEqual(run([5, 1, 1], 7), [0, 0, 1, 0, 2, 0, 0])
})

test('of the least loaded, no choice leaves a server with more exchanges for its weight than another would have had', () => {
  fc.assert(
    fc.property(weightLists, fc.nat(60), (weights, count) => {
      const active = zeros(weights.length)
      const credits = zeros(weights.length)
      for (let i = 0; i < count; i++) {
        const chosen = chooseLeastConnections(numbers(weights), active, credits)
        assert(weights[chosen]! > 0)
        for (const [other, weight] of weights.entries())
          if (weight > 0) assert(active[chosen]! / weights[chosen]! <= active[other]! / weight)
        active[chosen]!++
      }
    }),
  )
})

test('of the least loaded, servers that are all idle take turns by weight', () => {
  const credits = zeros(2)
  const chosen = Array.from({ length: 8 }, () => chooseLeastConnections(numbers([3, 1]), zeros(2), credits))
  assert.equal(chosen.filter((index) => index === 0).length, 6)
})

test('of two by chance, the one with fewer exchanges for its weight is taken', () => {
  const load = fc.tuple(fc.integer({ min: 1, max: 5 }), fc.nat(20))
  fc.assert(
    fc.property(load, load, fc.integer(), ([weight, active], [otherWeight, otherActive], seed) => {
      const random = new SeededRandom(seed)
      const chosen = chooseOfTwo(numbers([weight, otherWeight]), numbers([active, otherActive]), () => random.next())
      const ratios = [active / weight, otherActive / otherWeight]
      assert(ratios[chosen]! <= ratios[1 - chosen]!)
    }),
  )
})

test('of two by chance, idle servers get their share, and one that hangs gets hardly anything', () => {
  const random = new SeededRandom(7)
  const count = 20_000
  const shares = (weights: readonly number[], active: readonly number[]): number[] => {
    const counts = weights.map(() => 0)
    for (let i = 0; i < count; i++) counts[chooseOfTwo(numbers(weights), numbers(active), () => random.next())]!++
    return counts.map((times) => times / count)
  }
  const idle = shares([1, 2, 0, 5], [0, 0, 0, 0])
  for (const [index, share] of [1 / 8, 2 / 8, 0, 5 / 8].entries()) assert(Math.abs(idle[index]! - share) < 0.02, `${index}: ${idle[index]}`)
  assert.equal(shares([1, 1, 1], [0, 50, 0])[1], 0)
})

test('of two by chance, each draw falls on a server that may be chosen, whatever chance says', () => {
  const fraction = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true })
  fc.assert(
    fc.property(weightLists, fraction, fraction, (weights, one, other) => {
      const draws = [one, other]
      const chosen = chooseOfTwo(numbers(weights), zeros(weights.length), () => draws.shift() ?? 0)
      assert(weights[chosen]! > 0)
    }),
  )
})

test('where no server has a weight there is none to choose', () => {
  for (const weights of [numbers([]), numbers([0, 0])]) {
    assert.equal(chooseRoundRobin(weights, zeros(2)), -1)
    assert.equal(chooseLeastConnections(weights, zeros(2), zeros(2)), -1)
    assert.equal(
      chooseOfTwo(weights, zeros(2), () => 0.5),
      -1,
    )
    assert.equal(chooseByHash(weights, seedsOf('a', 'b'), 1), -1)
  }
})

test('by hash, a server gets the share of the keys that its weight is of all weights', () => {
  const counts = [0, 0, 0, 0]
  for (const key of keys) counts[chooseByHash(numbers([1, 2, 0, 3]), seedsOf('a:1', 'b:1', 'c:1', 'd:1'), key)]!++
  for (const [index, share] of [1 / 6, 2 / 6, 0, 3 / 6].entries())
    assert(Math.abs(counts[index]! / keys.length - share) < 0.03, `${index}: ${counts[index]}`)
})

test('by hash, a server that joins takes keys from all others, about its share, and none moves between the others', () => {
  const before = seedsOf('a:1', 'b:1', 'c:1', 'd:1')
  const after = seedsOf('a:1', 'b:1', 'c:1', 'd:1', 'e:1')
  let moved = 0
  for (const key of keys) {
    const old = chooseByHash(numbers([1, 1, 1, 1]), before, key)
    const now = chooseByHash(numbers([1, 1, 1, 1, 1]), after, key)
    if (old === now) continue
    assert.equal(now, 4)
    moved++
  }
  assert(Math.abs(moved / keys.length - 1 / 5) < 0.03, `${moved} of ${keys.length} moved`)
})

test('by hash, only keys of a server that goes move, and only to one that becomes heavier', () => {
  const names = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 12 }), { minLength: 2, maxLength: 8 })
  fc.assert(
    fc.property(names, fc.nat(), fc.integer(), (servers, which, key) => {
      const seeds = seedsOf(...servers)
      const even = numbers(servers.map(() => 1))
      const other = which % servers.length
      const old = chooseByHash(even, seeds, key)
      const without = chooseByHash(even.with(other, 0), seeds, key)
      if (old !== other) assert.equal(without, old)
      else assert.notEqual(without, other)
      const heavier = chooseByHash(even.with(other, 3), seeds, key)
      if (heavier !== old) assert.equal(heavier, other)
    }),
  )
})

/** The table of a limit: bounded, and who is over a limit is not pushed out by those who come once. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RateTable } from '../../lib/limit/rate-table.ts'
import { SeededRandom } from '../support/seeded-random.ts'

const some = (random: SeededRandom): number => (random.next() * 0x1_0000_0000) | 0

test('a key keeps its slot and what is in it while the table grows to its bound', () => {
  const table = new RateTable(true, 4_096)
  const random = new SeededRandom(1)
  const keys = Array.from({ length: 1_500 }, () => [some(random), some(random)] as const)
  for (const [i, [high, low]] of keys.entries()) {
    const slot = table.slotOf(high, low, 10)
    table.tats[slot] = 1_000 + i
    table.debts[slot] = i
    table.leases[slot] = 2 * i
    table.leaseEnds[slot] = i + 0.5
    table.asked[slot] = i & 1
  }
  assert(table.slots > 1_024 && table.slots <= 4_096)
  const kept = keys.filter(([high, low]) => table.find(high, low) >= 0)
  assert(kept.length > 1_450, `${kept.length} of 1500 keys are in ${table.slots} slots`)
  for (const [i, [high, low]] of keys.entries()) {
    const slot = table.find(high, low)
    if (slot < 0) continue
    assert.equal(table.slotOf(high, low, 10), slot)
    assert.deepEqual(
      [table.tats[slot], table.debts[slot], table.leases[slot], table.leaseEnds[slot], table.asked[slot]],
      [1_000 + i, i, 2 * i, i + 0.5, i & 1],
    )
  }
})

test('a key whose time has passed gives its slot away, and the next owner starts with nothing', () => {
  const table = new RateTable(true, 8)
  for (let i = 0; i < 8; i++) {
    const slot = table.slotOf(i, 0, 0)
    table.tats[slot] = 100 + i
    table.debts[slot] = 5
    table.leases[slot] = 5
    table.asked[slot] = 1
  }
  const slot = table.slotOf(99, 0, 100)
  assert.equal(table.find(0, 0), -1)
  assert.deepEqual([table.tats[slot], table.debts[slot], table.leases[slot], table.asked[slot]], [0, 0, 0, 0])
})

test('a flood of keys stays within the bound and does not push out keys that owe more', () => {
  const table = new RateTable(false, 1_024)
  const random = new SeededRandom(2)
  const owing = Array.from({ length: 200 }, () => [some(random), some(random)] as const)
  for (const [high, low] of owing) table.tats[table.slotOf(high, low, 0)] = 1_000
  const before = owing.filter(([high, low]) => table.find(high, low) >= 0)
  for (let i = 0; i < 100_000; i++) table.tats[table.slotOf(some(random), some(random), 0)] = 10
  assert.equal(table.slots, 1_024)
  // Only where eight of them fell into one bucket one of them is gone, and that was so before the flood.
  for (const [high, low] of before) assert.equal(table.tats[table.find(high, low)], 1_000)
  assert(before.length >= 198)
})

test('whatever comes, a key that was given a slot is found there, and no two keys share one', () => {
  const key = fc.tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 0, max: 3 }))
  fc.assert(
    fc.property(fc.array(fc.tuple(key, fc.nat(50), fc.nat(30)), { maxLength: 300 }), (steps) => {
      const table = new RateTable(false, 32)
      const last = new Map<string, number>()
      let now = 1
      for (const [[high, low], later, cost] of steps) {
        now += later
        const slot = table.slotOf(high, low, now)
        assert.equal(table.find(high, low), slot)
        const tat = table.tats[slot]!
        // Either what was there, or nothing: forgotten.
        assert(tat === 0 || tat === last.get(`${high} ${low}`))
        table.tats[slot] = Math.max(tat, now) + cost
        last.set(`${high} ${low}`, Math.max(tat, now) + cost)
      }
    }),
  )
})

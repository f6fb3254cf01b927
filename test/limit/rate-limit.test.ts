/** A limit by itself, against a reference that keeps whole numbers of any size. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { RateLimitOptions } from '../../lib/core/service-options.ts'
import { RateLimit } from '../../lib/limit/rate-limit.ts'

function makeLimit(requests: number, perMs: number, burst: number): RateLimit {
  const options: RateLimitOptions = { requests, perMs, burst, key: { kind: 'client' }, ipv6Prefix: 64, shared: false }
  return new RateLimit('test', options, null)
}

function take(limit: RateLimit, nowMs: number, key = 1): boolean {
  return limit.take(key, 1, 'client', '192.0.2.1', nowMs)
}

/** The definition, in units of 1/requests ms: no rounding, no bound. */
class Reference {
  readonly #tats = new Map<number, bigint>()
  readonly #requests: bigint
  readonly #perMs: bigint
  readonly #burst: bigint

  constructor(requests: number, perMs: number, burst: number) {
    this.#requests = BigInt(requests)
    this.#perMs = BigInt(perMs)
    this.#burst = BigInt(burst)
  }

  take(key: number, nowMs: number): boolean {
    const now = BigInt(nowMs) * this.#requests
    const known = this.#tats.get(key) ?? 0n
    const tat = known > now ? known : now
    if (tat - now > (this.#burst - 1n) * this.#perMs) return false
    this.#tats.set(key, tat + this.#perMs)
    return true
  }
}

test('a burst at once, then one for each interval, and after a rest the burst again', () => {
  const limit = makeLimit(10, 1_000, 5)
  for (let i = 0; i < 5; i++) assert(take(limit, 50))
  assert(!take(limit, 50))
  assert.equal(limit.retryAfterMs, 100)
  assert.equal(limit.remaining, 0)
  assert(!take(limit, 149))
  assert(take(limit, 150))
  assert(!take(limit, 150))
  for (let i = 0; i < 5; i++) assert(take(limit, 10_000))
  assert(!take(limit, 10_000))
  assert.deepEqual(limit.counts.allowed, { local: 11, shared: 0 })
  assert.deepEqual(limit.counts.limited, { local: 4, shared: 0 })
})

test('what remains and until when is told after each decision', () => {
  const limit = makeLimit(60, 60_000, 3)
  const seen = [0, 0, 0, 0].map(() => [take(limit, 0), limit.remaining, limit.resetMs])
  assert.deepEqual(seen, [
    [true, 2, 1_000],
    [true, 1, 2_000],
    [true, 0, 3_000],
    [false, 0, 3_000],
  ])
})

test('it decides as the definition does, for any rate, over any time', () => {
  const rate = fc.record({
    requests: fc.integer({ min: 1, max: 100_000 }),
    perMs: fc.integer({ min: 1, max: 86_400_000 }),
    burst: fc.integer({ min: 1, max: 20 }),
  })
  const step = fc.record({
    key: fc.integer({ min: 1, max: 5 }),
    part: fc.integer({ min: 0, max: 300 }),
    times: fc.integer({ min: 1, max: 8 }),
  })
  // Up to three years after the process began.
  fc.assert(
    fc.property(rate, fc.integer({ min: 0, max: 1e11 }), fc.array(step, { maxLength: 100 }), ({ requests, perMs, burst }, start, steps) => {
      // Beyond 2^53 units the account is right but for a part of a millionth of a millisecond, and need not agree to the last unit.
      fc.pre(start * requests < 2 ** 52)
      const limit = makeLimit(requests, perMs, burst)
      const reference = new Reference(requests, perMs, burst)
      let now = start
      for (const { key, part, times } of steps) {
        now += Math.round((part / 100) * (perMs / requests))
        for (let i = 0; i < times; i++) assert.equal(take(limit, now, key), reference.take(key, now), `at ${now - start} ms`)
      }
    }),
  )
})

test('it does not drift: after a million requests at its limit it has let through neither one more nor one less', () => {
  const limit = makeLimit(7, 1_000, 1)
  const reference = new Reference(7, 1_000, 1)
  let allowed = 0
  let expected = 0
  for (let i = 0; i < 1_000_000; i++) {
    // No interval of the limit is a whole number of steps.
    const now = 987_654_321 + i * 100
    if (take(limit, now)) allowed++
    if (reference.take(1, now)) expected++
  }
  assert.equal(allowed, expected)
})

test('a request that another limit has refused does not count', () => {
  const limit = makeLimit(1, 1_000, 2)
  assert(take(limit, 0))
  assert(take(limit, 0))
  limit.giveBack(1, 1)
  assert(take(limit, 0))
  assert(!take(limit, 0))
  limit.giveBack(1, 1)
  assert(!take(limit, 0), 'nothing was taken, so nothing is given back')
})

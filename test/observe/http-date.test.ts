/** The Date field: right to the second, and made once a second. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Clock } from '../../lib/core/timers.ts'
import { HttpDate } from '../../lib/observe/http-date.ts'

/** A monotonic clock and a wall clock that can be set apart from each other. */
class TwoClocks implements Clock {
  monotonicMs: number
  wallMs: number
  wallReadings = 0

  constructor(monotonicMs: number, wallMs: number) {
    this.monotonicMs = monotonicMs
    this.wallMs = wallMs
  }

  now(): number {
    return this.monotonicMs
  }

  wallNow(): number {
    this.wallReadings++
    return this.wallMs
  }

  pass(ms: number): void {
    this.monotonicMs += ms
    this.wallMs += ms
  }

  refresh(): void {}

  schedule(): () => void {
    throw new Error('a date needs no timer')
  }

  defer(): void {
    throw new Error('a date needs no turn of the loop')
  }
}

test('the form is that of RFC 9110 section 5.6.7', () => {
  // The example of the RFC.
  assert.equal(new HttpDate(new TwoClocks(0, Date.UTC(1994, 10, 6, 8, 49, 37))).now(), 'Sun, 06 Nov 1994 08:49:37 GMT')
  assert.equal(new HttpDate(new TwoClocks(0, Date.UTC(2024, 1, 29, 23, 59, 59, 999))).now(), 'Thu, 29 Feb 2024 23:59:59 GMT')
})

test('the second changes when that of the wall clock does, not a second after the first call', () => {
  const clock = new TwoClocks(123, Date.UTC(2025, 0, 1) + 900)
  const date = new HttpDate(clock)
  assert.equal(date.now(), 'Wed, 01 Jan 2025 00:00:00 GMT')
  clock.pass(99)
  assert.equal(date.now(), 'Wed, 01 Jan 2025 00:00:00 GMT')
  clock.pass(1)
  assert.equal(date.now(), 'Wed, 01 Jan 2025 00:00:01 GMT')
})

test('the wall clock is read once a second, however often the date is asked for', () => {
  const clock = new TwoClocks(0, Date.UTC(2025, 0, 1))
  const date = new HttpDate(clock)
  for (let i = 0; i < 1_000; i++) {
    date.now()
    clock.pass(1)
  }
  assert.equal(clock.wallReadings, 1)
  date.now()
  assert.equal(clock.wallReadings, 2)
})

test('a wall clock that is set forward or back is believed within a second', () => {
  const clock = new TwoClocks(0, Date.UTC(2025, 0, 1))
  const date = new HttpDate(clock)
  date.now()
  for (const hours of [5, -48]) {
    clock.wallMs += hours * 3_600_000
    clock.pass(1_000)
    assert.equal(date.now(), new Date(clock.wallMs).toUTCString())
  }
})

test('at any time the date is that of the wall clock', () => {
  fc.assert(
    fc.property(fc.nat(1e12), fc.nat(4e12), fc.array(fc.nat(2_500), { maxLength: 40 }), (monotonicMs, wallMs, steps) => {
      const clock = new TwoClocks(monotonicMs, wallMs)
      const date = new HttpDate(clock)
      for (const ms of steps) {
        clock.pass(ms)
        assert.equal(date.now(), new Date(clock.wallMs).toUTCString())
      }
    }),
  )
})

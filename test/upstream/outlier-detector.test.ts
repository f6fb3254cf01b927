/** When a server is to be ejected, and for how long. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { OutlierDetector } from '../../lib/upstream/outlier-detector.ts'

const options = {
  consecutive: 3,
  failureShare: 0.5,
  requests: 10,
  windowMs: 10_000,
  ejectMs: 1_000,
  ejectMaxMs: 6_000,
  ejectShareMax: 1,
}

test('so many failures in a row are enough, and a success between them begins the row anew', () => {
  const detector = new OutlierDetector(options)
  assert.equal(detector.onFailure(0), '')
  assert.equal(detector.onFailure(1), '')
  detector.onSuccess(2)
  assert.equal(detector.onFailure(3), '')
  assert.equal(detector.onFailure(4), '')
  assert.equal(detector.onFailure(5), '3 failures in a row')
})

test('too large a share of the exchanges of a window is enough, once there were enough of them', () => {
  const detector = new OutlierDetector({ ...options, consecutive: 100 })
  for (let i = 0; i < 4; i++) {
    detector.onSuccess(i)
    assert.equal(detector.onFailure(i), '')
  }
  assert.equal(detector.onFailure(4), '')
  assert.equal(detector.onFailure(5), '6 of 10 exchanges failed')
})

test('what is older than the window does not count', () => {
  const detector = new OutlierDetector({ ...options, consecutive: 100 })
  for (let i = 0; i < 9; i++) assert.equal(detector.onFailure(0), '')
  // In the window there would be ten failures of ten.
  assert.equal(detector.onFailure(10_000), '')
  assert.equal(new OutlierDetector({ ...options, consecutive: 100, requests: 1 }).onFailure(1e12), '1 of 1 exchanges failed')
})

test('the time out doubles up to its limit, and each window that the server has stayed in takes one doubling back', () => {
  const detector = new OutlierDetector(options)
  const times: number[] = []
  let now = 0
  for (let i = 0; i < 5; i++) {
    const ms = detector.eject(now)
    times.push(ms)
    now += ms
  }
  assert.deepEqual(times, [1_000, 2_000, 4_000, 6_000, 6_000])
  // It was doubled four times; two windows in which it stayed in leave it at three.
  assert.equal(detector.eject(now + 20_000), 6_000)
  now += 20_000 + 6_000
  assert.equal(detector.eject(now + 1_000_000), 1_000)
})

test('after an ejection one failure is enough, until the server has served once; then what was held against it is forgotten', () => {
  const detector = new OutlierDetector(options)
  for (let i = 0; i < 3; i++) detector.onFailure(0)
  detector.eject(0)
  assert.equal(detector.onFailure(1_000), 'it failed again after its ejection')
  assert.equal(detector.eject(1_000), 2_000)
  detector.onSuccess(3_000)
  assert.equal(detector.onFailure(3_001), '')
  assert.equal(detector.onFailure(3_002), '')
  assert.equal(detector.onFailure(3_003), '3 failures in a row')
})

test('counted in tenths, the window is never longer than it is, and at most a tenth shorter', () => {
  const step = fc.tuple(fc.nat(3_000), fc.boolean())
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const detector = new OutlierDetector({ ...options, consecutive: 1_000 })
      const seen: { at: number; failed: boolean }[] = []
      let now = 0
      for (const [ms, failed] of steps) {
        now += ms
        seen.push({ at: now, failed })
        if (!failed) {
          detector.onSuccess(now)
          continue
        }
        // The tenth of the window that is on, and the nine before it.
        const recent = seen.filter(({ at }) => Math.floor(at / 1_000) > Math.floor(now / 1_000) - 10)
        assert(recent.every(({ at }) => at > now - 10_000) && seen.every((one) => recent.includes(one) || one.at <= now - 9_000))
        const failures = recent.filter((one) => one.failed).length
        const isTooMuch = recent.length >= 10 && failures > recent.length / 2
        assert.equal(detector.onFailure(now), isTooMuch ? `${failures} of ${recent.length} exchanges failed` : '')
      }
    }),
  )
})

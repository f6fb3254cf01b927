import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ProxyError } from '../../lib/core/errors.ts'
import { formatDuration, formatSize, parseDuration, parseSize } from '../../lib/core/units.ts'

test('reads durations in every unit and in compound form', () => {
  const cases: [string, number][] = [
    ['0', 0],
    ['0s', 0],
    ['250ms', 250],
    ['10s', 10_000],
    ['2m', 120_000],
    ['1h', 3_600_000],
    ['7d', 604_800_000],
    ['1h30m', 5_400_000],
    ['1d1h1m1s1ms', 90_061_001],
    ['90m', 5_400_000],
  ]
  for (const [text, ms] of cases) assert.equal(parseDuration(text), ms, text)
})

test('refuses what is not a duration', () => {
  for (const text of [
    '',
    ' ',
    's',
    '-5s',
    '+5s',
    '1.5s',
    '5 s',
    '5sec',
    '5S',
    '1e3s',
    'NaN',
    'Infinity',
    '0x10s',
    '30m1h',
    '1s1s',
    '10s ',
    '10s\n',
    '٣s',
  ]) {
    assert.throws(() => parseDuration(text), isOptionError(/duration/), JSON.stringify(text))
  }
})

test('names the units when a duration comes without one', () => {
  assert.throws(() => parseDuration('30'), isOptionError(/unit is missing; there are d, h, m, s, ms \(for example 30s\)/))
})

test('refuses numbers that JavaScript cannot count exactly', () => {
  assert.equal(parseDuration('9007199254740991ms'), Number.MAX_SAFE_INTEGER)
  assert.throws(() => parseDuration('9007199254740992ms'), isOptionError(/too long/))
  assert.throws(() => parseDuration(`${'9'.repeat(400)}s`), isOptionError(/too long/))
  assert.equal(parseSize('9007199254740991'), Number.MAX_SAFE_INTEGER)
  assert.throws(() => parseSize('8388608g'), isOptionError(/too large/))
  assert.throws(() => parseSize('9'.repeat(400)), isOptionError(/too large/))
})

test('reads sizes, with k as 1024', () => {
  const cases: [string, number][] = [
    ['0', 0],
    ['512', 512],
    ['64k', 65_536],
    ['64K', 65_536],
    ['1m', 1_048_576],
    ['1g', 1_073_741_824],
  ]
  for (const [text, bytes] of cases) assert.equal(parseSize(text), bytes, text)
})

test('refuses what is not a size', () => {
  for (const text of ['', 'k', '-1', '-1k', '1.5k', '1 k', '1kb', '1t', '1e3', 'NaN', 'Infinity', '0x10', '64k\n']) {
    assert.throws(() => parseSize(text), isOptionError(/size/), JSON.stringify(text))
  }
})

test('writes durations and sizes as people do', () => {
  const durations: [number, string][] = [
    [0, '0'],
    [250, '250ms'],
    [1_500, '1500ms'],
    [60_000, '60s'],
    [75_000, '75s'],
    [300_000, '5m'],
    [3_600_000, '1h'],
    [5_400_000, '1h30m'],
    [86_400_000, '1d'],
  ]
  for (const [ms, text] of durations) assert.equal(formatDuration(ms), text)
  const sizes: [number, string][] = [
    [0, '0'],
    [1_000, '1000'],
    [65_536, '64k'],
    [1_048_576, '1m'],
    [1_073_741_824, '1g'],
    [1_073_742_848, '1048577k'],
  ]
  for (const [bytes, text] of sizes) assert.equal(formatSize(bytes), text)
})

test('reads back what it wrote', () => {
  const whole = fc.oneof(
    fc.maxSafeNat(),
    fc.nat(10_000_000),
    fc.nat(10_000).map((count) => count * 60_000),
    fc.nat(10_000).map((count) => count * 1024),
  )
  fc.assert(fc.property(whole, (ms) => assert.equal(parseDuration(formatDuration(ms)), ms)))
  fc.assert(fc.property(whole, (bytes) => assert.equal(parseSize(formatSize(bytes)), bytes)))
})

test('refuses or reads any text, and never returns nonsense', () => {
  const text = fc.oneof(fc.string(), fc.stringMatching(/^[-+.0-9dhmskg ]{0,24}$/))
  for (const parse of [parseDuration, parseSize]) {
    fc.assert(
      fc.property(text, (input) => {
        let value = 0
        try {
          value = parse(input)
        } catch (error) {
          assert.ok(error instanceof ProxyError)
          return
        }
        assert.ok(Number.isSafeInteger(value) && value >= 0)
      }),
    )
  }
})

function isOptionError(message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof ProxyError)
    assert.equal(error.code, 'ERR_EPROXY_OPTION')
    assert.match(error.message, message)
    return true
  }
}

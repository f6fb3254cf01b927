import assert from 'node:assert/strict'
import test from 'node:test'
import { resolveSupervision } from '../../lib/core/options.ts'
import { decideRestart, judgeSilence } from '../../lib/workers/restart-policy.ts'

const supervision = resolveSupervision({ restartMin: 100, restartMax: 1_000, hang: 5_000, kill: 30_000 })

test('the wait doubles with every end in a row, up to a limit', () => {
  const waits: number[] = []
  let endsBefore = 0
  for (let end = 0; end < 6; end++) {
    const decision = decideRestart({ endsBefore, servedMs: 10, othersServe: true }, supervision)
    assert.equal(decision.kind, 'restart')
    waits.push(decision.waitMs)
    endsBefore = decision.ends
  }
  assert.deepEqual(waits, [100, 200, 400, 800, 1_000, 1_000])
})

test('one that served for long begins anew', () => {
  const decision = decideRestart({ endsBefore: 9, servedMs: 60_000, othersServe: false }, supervision)
  assert.deepEqual(decision, { kind: 'restart', ends: 1, waitMs: 100 })
})

test('it is given up only when starts fail again and again and nobody serves', () => {
  const end = { endsBefore: 7, servedMs: 0, othersServe: false }
  assert.equal(decideRestart(end, supervision).kind, 'give-up')
  assert.equal(decideRestart({ ...end, endsBefore: 6 }, supervision).kind, 'restart')
  assert.equal(decideRestart({ ...end, othersServe: true }, supervision).kind, 'restart')
  assert.equal(decideRestart({ ...end, servedMs: 1 }, supervision).kind, 'restart')
})

test('silence is logged once, then ends in a kill, unless that is switched off', () => {
  assert.equal(judgeSilence(4_999, false, supervision), 'wait')
  assert.equal(judgeSilence(5_000, false, supervision), 'log')
  assert.equal(judgeSilence(5_000, true, supervision), 'wait')
  assert.equal(judgeSilence(30_000, true, supervision), 'kill')
  assert.equal(judgeSilence(1e9, true, { ...supervision, kill: 0 }), 'wait')
})

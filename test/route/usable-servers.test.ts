/** Which servers may be chosen at all. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { selectUsable, ServerMark, slowStartShare } from '../../lib/route/usable-servers.ts'

const { ADMITTED, BACKUP, HEALTHY, REACHABLE, TRIED } = ServerMark
const up = ADMITTED | HEALTHY | REACHABLE
const sick = ADMITTED | REACHABLE
const refusing = ADMITTED | HEALTHY
const out = HEALTHY | REACHABLE

function select(marks: readonly number[], panicShare = 0): [string, ...number[]] {
  const selected = new Uint8Array(marks.length)
  return [selectUsable(Uint8Array.from(marks), panicShare, selected), ...selected]
}

test('servers that are up are used; backups only when no other is', () => {
  assert.deepEqual(select([up, sick, up, up | BACKUP]), ['usable', 1, 0, 1, 0])
  assert.deepEqual(select([sick, refusing, up | BACKUP, sick | BACKUP]), ['backup', 0, 0, 1, 0])
  assert.deepEqual(select([out, up | BACKUP]), ['backup', 0, 1])
})

test('servers that refused connections are tried when there is nothing else; those that are unhealthy are not', () => {
  assert.deepEqual(select([refusing, sick, refusing | BACKUP]), ['last-resort', 1, 0, 0])
  assert.deepEqual(select([sick, refusing | BACKUP]), ['last-resort', 0, 1])
  assert.deepEqual(select([sick, out]), ['none', 0, 0])
  assert.deepEqual(select([]), ['none'])
})

test('with too few usable, health is not looked at; what somebody has taken out stays out', () => {
  assert.deepEqual(select([up, sick, sick, out], 0.5), ['panic', 1, 1, 1, 0])
  assert.deepEqual(select([up, sick, out, out], 0.5), ['usable', 1, 0, 0, 0])
  assert.deepEqual(select([out], 1), ['none', 0])
})

test('panic is no reason to ask servers that have just refused a connection, as long as another can be reached', () => {
  const dead = ADMITTED
  // Nothing speaks against them but that: this is no panic.
  assert.deepEqual(select([refusing, refusing, up], 0.5), ['usable', 0, 0, 1])
  assert.deepEqual(select([dead, dead, up], 0.5), ['panic', 0, 0, 1])
  assert.deepEqual(select([dead, sick, up], 0.5), ['panic', 0, 1, 1])
  assert.deepEqual(select([sick, refusing], 0.5), ['panic', 1, 0])
  assert.deepEqual(select([refusing, refusing], 0.5), ['last-resort', 1, 1])
  assert.deepEqual(select([dead, dead], 0.5), ['panic', 1, 1])
  assert.deepEqual(select([dead, dead]), ['none', 0, 0])
})

test('a usable backup stands in for servers that are all down, panic or not', () => {
  assert.deepEqual(select([sick, sick, up | BACKUP], 0.5), ['backup', 0, 0, 1])
  assert.deepEqual(select([sick, sick | BACKUP], 0.5), ['panic', 1, 0])
})

test('what was tried is not selected again and counts all the same', () => {
  assert.deepEqual(select([up | TRIED, up, sick]), ['usable', 0, 1, 0])
  assert.deepEqual(select([up | TRIED, up | BACKUP]), ['backup', 0, 1])
  assert.deepEqual(select([up | TRIED, sick]), ['none', 0, 0])
  // Two of three are usable: this is no panic, only a request that has been there.
  assert.deepEqual(select([up | TRIED, up, sick], 0.5), ['usable', 0, 1, 0])
  assert.deepEqual(select([up | TRIED, sick], 0.5), ['panic', 0, 1])
})

test('a selection is of admitted servers that were not tried, and is empty only when it says so', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(31), { maxLength: 8 }), fc.double({ min: 0, max: 1, noNaN: true }), (marks, panicShare) => {
      const [selection, ...selected] = select(marks, panicShare)
      for (const [index, isSelected] of selected.entries()) if (isSelected === 1) assert.equal(marks[index]! & (ADMITTED | TRIED), ADMITTED)
      assert.equal(selected.includes(1), selection !== 'none')
      if (selection === 'usable' || selection === 'backup')
        for (const [index, isSelected] of selected.entries())
          assert.equal(isSelected === 1, marks[index] === (selection === 'usable' ? up : up | BACKUP))
      // With panic there is no reason left to serve nobody, as long as somebody is admitted.
      if (panicShare > 0) assert.equal(selection === 'none', !marks.some((mark) => (mark & (ADMITTED | TRIED)) === ADMITTED))
    }),
  )
})

test('a server that gets warm has a tenth of its weight at first, then its part of the time, then all', () => {
  assert.equal(slowStartShare(0, 10_000), 0.1)
  assert.equal(slowStartShare(5_000, 10_000), 0.5)
  assert.equal(slowStartShare(10_000, 10_000), 1)
  assert.equal(slowStartShare(0, 0), 1)
  assert.equal(slowStartShare(Number.POSITIVE_INFINITY, 10_000), 1)
})

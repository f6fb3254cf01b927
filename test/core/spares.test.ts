/** Parts that are lent: the same one comes back, and a burst is not kept for ever. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Spares } from '../../lib/core/spares.ts'

test('a part that was given back is the next one that is taken, and no new one is made', () => {
  let made = 0
  const spares = new Spares(() => ({ number: ++made }), 2)
  const first = spares.take()
  const second = spares.take()
  assert.notEqual(first, second)
  spares.give(first)
  assert.equal(spares.take(), first)
  assert.equal(made, 2)
})

test('no more parts are kept than was said', () => {
  let made = 0
  const spares = new Spares(() => ({ number: ++made }), 2)
  const parts = [spares.take(), spares.take(), spares.take()]
  for (const part of parts) spares.give(part)
  spares.take()
  spares.take()
  assert.equal(made, 3)
  spares.take()
  assert.equal(made, 4)
})

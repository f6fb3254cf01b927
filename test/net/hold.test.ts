/** Flow control with reasons: the socket is paused by the first and resumed by the last. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ByteSocket } from '../../lib/net/byte-socket.ts'
import { Hold, HoldReason } from '../../lib/net/hold.ts'

function watch(): { hold: Hold; calls: string[] } {
  const calls: string[] = []
  const socket = { pause: () => calls.push('pause'), resume: () => calls.push('resume') } as unknown as ByteSocket
  return { hold: new Hold(socket), calls }
}

test('the first reason pauses and the last one resumes, each once', () => {
  const { hold, calls } = watch()
  hold.hold(HoldReason.SINK_FULL)
  hold.hold(HoldReason.SINK_FULL)
  hold.hold(HoldReason.NO_SINK)
  assert.equal(hold.toString(), 'SINK_FULL+NO_SINK')
  hold.free(HoldReason.SINK_FULL)
  assert.deepEqual(calls, ['pause'])
  assert(hold.isHeld && hold.has(HoldReason.NO_SINK) && !hold.has(HoldReason.SINK_FULL))
  hold.free(HoldReason.NO_SINK)
  assert.deepEqual(calls, ['pause', 'resume'])
  assert.equal(hold.isHeld, false)
})

test('to free what is not held does nothing', () => {
  const { hold, calls } = watch()
  hold.free(HoldReason.PIPELINED)
  hold.hold(HoldReason.NO_SINK)
  hold.free(HoldReason.PIPELINED)
  assert.deepEqual(calls, ['pause'])
  assert.equal(hold.toString(), 'NO_SINK')
})

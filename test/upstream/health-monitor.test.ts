/** Checks one after the other: when they come, and what a server is taken for. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseUpstreamAddress } from '../../lib/core/options.ts'
import type { HealthOptions } from '../../lib/core/service-options.ts'
import { HealthMonitor } from '../../lib/upstream/health-monitor.ts'
import { UpstreamStage } from '../support/upstream-stage.ts'

const options: HealthOptions = {
  kind: 'http',
  path: '/',
  host: '',
  intervalMs: 5_000,
  timeoutMs: 2_000,
  rise: 2,
  fall: 3,
  statuses: [[200, 399]],
  body: '',
}

class Monitored {
  readonly stage = new UpstreamStage()
  readonly answers: boolean[] = []
  readonly monitor: HealthMonitor

  constructor(more: Partial<HealthOptions> = {}) {
    this.monitor = new HealthMonitor(parseUpstreamAddress('10.0.0.1:80'), { ...options, ...more }, this.stage.environment, ({ isGood }) =>
      this.answers.push(isGood),
    )
  }

  /** The check that is under way ends like this. */
  readonly answer = (isGood: boolean): void => {
    const index = this.stage.sockets.length - 1
    if (isGood) {
      this.stage.connect(index)
      this.stage.say(index, 'HTTP/1.1 204 No Content\r\n\r\n')
    } else this.stage.refuse(index)
    this.stage.closeSockets()
  }

  readonly end = (): void => {
    this.monitor.stop()
    this.stage.closeSockets()
    this.stage.assertEmpty()
  }
}

test('the first check comes at once, and then one in each interval', () => {
  const { stage, monitor, answer, end } = new Monitored()
  assert.equal(stage.sockets.length, 0)
  stage.clock.advance(100)
  assert.equal(stage.sockets.length, 1)
  answer(true)
  assert.deepEqual(monitor.lastCheck, { isGood: true, reason: 'status 204', status: 204, ms: 0, at: stage.clock.wallNow() })
  stage.clock.advance(4_900)
  assert.equal(stage.sockets.length, 1)
  stage.clock.advance(200)
  assert.equal(stage.sockets.length, 2)
  end()
})

test('a check that takes longer than the interval is waited for', () => {
  const { stage, answers, end } = new Monitored({ intervalMs: 1_000, timeoutMs: 3_500 })
  stage.clock.advance(3_500)
  assert.equal(stage.sockets.length, 1)
  stage.clock.advance(1_200)
  assert.deepEqual(answers, [false])
  assert.equal(stage.sockets.length, 2)
  end()
})

test('a shorter interval counts at once, and what the server is taken for stays', () => {
  const { stage, monitor, answer, end } = new Monitored({ intervalMs: 600_000 })
  stage.clock.advance(100)
  answer(false)
  assert.equal(monitor.isDown, true)
  monitor.update({ ...options, intervalMs: 1_000 })
  assert.equal(monitor.isDown, true)
  stage.clock.advance(1_100)
  assert.equal(stage.sockets.length, 2)
  end()
})

test('it is down after so many bad answers in a row, and up after so many good ones, as a count by hand says', () => {
  fc.assert(
    fc.property(
      fc.array(fc.boolean(), { maxLength: 40 }),
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 1, max: 4 }),
      (list, rise, fall) => {
        const { stage, monitor, answer, end } = new Monitored({ rise, fall })
        assert.equal(monitor.isDown, false)
        let expected: boolean | undefined
        for (const [index, isGood] of list.entries()) {
          stage.clock.advance(index === 0 ? 100 : 5_000)
          answer(isGood)
          const wanted = isGood ? rise : fall
          const last = list.slice(Math.max(0, index + 1 - wanted), index + 1)
          if (expected === undefined || (last.length === wanted && last.every((one) => one === isGood))) expected = !isGood
          assert.equal(monitor.isDown, expected)
        }
        end()
      },
    ),
  )
})

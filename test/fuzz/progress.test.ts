import assert from 'node:assert/strict'
import { test } from 'node:test'
import { count, describeStanding, minutes, ProgressDisplay } from '../../fuzz/progress.ts'

const standing = {
  runs: 12_345,
  ms: 5_000,
  corpusSize: 6,
  findings: 1,
  coverage: { edges: 3, edgesTotal: 40, llhttpStates: 2, llhttpSteps: 7 },
}

/** What is on the screen after all that was written, as far as lines are erased upwards. */
class Screen {
  readonly isTTY: boolean
  readonly columns = 60
  text = ''

  constructor(isTTY: boolean) {
    this.isTTY = isTTY
  }

  write(text: string): void {
    for (const [piece, lines, plain] of text.matchAll(/\x1b\[([0-9]+)A\x1b\[J|([^\x1b]+)/g)) {
      if (lines === undefined) this.text += plain ?? piece
      else
        this.text = this.text
          .split('\n')
          .slice(0, -1 - Number(lines))
          .concat('')
          .join('\n')
    }
  }
}

test('a line says how far a campaign is, and what it reached', () => {
  assert.equal(
    describeStanding('smuggling', standing, 60_000),
    'smuggling 0:05/1:00  findings 1  12,345 runs  2,469/s  edges 3/40  llhttp 2/253, 7 steps  corpus 6',
  )
  assert.deepEqual([minutes(0), minutes(65_000), minutes(3_725_000)], ['0:00', '1:05', '1:02:05'])
  assert.equal(count(1_234_567), '1,234,567')
})

test('on a terminal, a line for each campaign is written again and again, and cut to its width', () => {
  const screen = new Screen(true)
  const display = new ProgressDisplay(screen, () => 0)
  for (let i = 0; i < 3; i++) for (const name of ['one', 'two']) display.update(name, standing, 60_000)
  assert.equal(screen.text, ['one', 'two'].map((name) => `${describeStanding(name, standing, 60_000).slice(0, 59)}\n`).join(''))
  display.say('something stays')
  display.remove('one')
  assert.equal(screen.text, `something stays\n${describeStanding('two', standing, 60_000).slice(0, 59)}\n`)
  display.remove('two')
  assert.equal(screen.text, 'something stays\n')
})

test('elsewhere there is a line now and then, without escape sequences', () => {
  let now = 0
  const screen = new Screen(false)
  const display = new ProgressDisplay(screen, () => now)
  for (; now < 40_000; now += 1_000) display.update('one', standing, 60_000)
  assert.equal(screen.text, `${describeStanding('one', standing, 60_000)}\n`.repeat(2))
  display.say('something stays')
  assert(screen.text.endsWith('\nsomething stays\n'))
})

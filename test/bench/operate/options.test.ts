/** The command line of the operations run. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventTable } from '../../../bench/operate/events.ts'
import { UsageError } from '../../../bench/command.ts'
import { readOptions, usage } from '../../../bench/operate/options.ts'

test('without options every event happens, in the order of the table', () => {
  assert.deepEqual(readOptions([]), { requestsPerSecond: 300, settleSeconds: 3, events: eventTable, jsonPath: null, logPath: null })
})

test('events are chosen by a part of their name', () => {
  assert.deepEqual(
    readOptions(['--only', 'bad file,hangs'])?.events.map(({ name }) => name),
    ['a bad file', 'Redis hangs'],
  )
})

test('what cannot be meant is refused', () => {
  for (const args of [['--rate', '0'], ['--rate', '1e3'], ['--settle', '61'], ['--only', 'earthquake'], ['--nope'], ['stray']])
    assert.throws(() => readOptions(args), UsageError, args.join(' '))
  assert.equal(readOptions(['--help']), null)
})

test('the help names every event', () => {
  for (const { name } of eventTable) assert.ok(usage.includes(name), name)
})

import assert from 'node:assert/strict'
import test from 'node:test'
import { UsageError } from '../../../bench/command.ts'
import { partTable, readOptions } from '../../../bench/e2e/options.ts'
import { peerTable } from '../../../bench/e2e/peers.ts'
import { workloadTable } from '../../../bench/e2e/workloads.ts'

test('without options everything is measured, beside everybody', () => {
  const options = readOptions([])
  assert(options !== null)
  assert.deepEqual(options.workloads, workloadTable)
  assert.deepEqual(
    options.parts,
    partTable.map(({ name }) => name),
  )
  assert.deepEqual(options.peers, peerTable)
})

test('--quick measures the workloads with a target beside the native proxies', () => {
  const options = readOptions(['--quick', '--rounds', '2'])
  assert(options !== null)
  assert(options.workloads.length > 0 && options.workloads.every(({ isTarget }) => isTarget))
  assert.deepEqual(options.parts, [])
  assert.deepEqual(
    options.peers.map(({ name }) => name),
    ['eproxy', 'nginx', 'haproxy'],
  )
  assert.equal(options.rounds, 2)
})

test('names are taken in the order of the table, each once, and eproxy always takes part', () => {
  const options = readOptions(['--workloads', 'idle,post-4k,small-get,post-4k', '--peers', 'net-pipe,nginx'])
  assert.deepEqual(
    options?.workloads.map(({ name }) => name),
    ['small-get', 'post-4k'],
  )
  assert.deepEqual(options?.parts, ['idle'])
  assert.deepEqual(
    options?.peers.map(({ name }) => name),
    ['eproxy', 'nginx', 'net-pipe'],
  )
  assert.deepEqual(
    readOptions(['--peers', 'none'])?.peers.map(({ name }) => name),
    ['eproxy'],
  )
})

test('--compare takes two commits and no peers', () => {
  assert.deepEqual(readOptions(['--compare', 'HEAD~1', '.'])?.compared, ['HEAD~1', '.'])
  assert.throws(() => readOptions(['--compare', 'HEAD']), UsageError)
  assert.throws(() => readOptions(['--compare', 'a', 'b', 'c']), UsageError)
  assert.throws(() => readOptions(['--compare', 'a', 'b', '--peers', 'nginx']), UsageError)
})

test('what cannot be meant is refused, and the message says what can', () => {
  for (const [args, pattern] of [
    [['--workloads', 'small'], /does not know "small"; there are small-get, /],
    [['--peers', 'caddy'], /does not know "caddy"; there are eproxy, /],
    [['--rounds', '0'], /--rounds must be a whole number from 1 to 100, not "0"/],
    [['--seconds', '1.5'], /--seconds must be a whole number/],
    [['--access-log', 'yes'], /--access-log must be off, on or both/],
    [['stray'], /"stray" is no option/],
    [['--nope'], /--nope/],
  ] as const) {
    assert.throws(
      () => readOptions(args),
      (error) => error instanceof UsageError && pattern.test(error.message),
      args.join(' '),
    )
  }
  assert.equal(readOptions(['--help']), null)
})

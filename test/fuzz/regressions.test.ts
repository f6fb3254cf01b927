/** Everything that a fuzz campaign ever found stays fixed; and the way from a finding to a file and back works. */
import assert from 'node:assert/strict'
import { readdirSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { runCampaign } from '../../fuzz/campaign.ts'
import { registry } from '../../fuzz/registry.ts'
import { loadRegressions, regressionsFolder, replay, writeRegression } from '../../fuzz/regressions.ts'
import { expect, type FuzzTarget } from '../../fuzz/target.ts'
import { TemporaryFolder } from '../support/temporary-folder.ts'

const targets = registry.map(({ target }) => target)

for (const regression of loadRegressions(regressionsFolder, targets)) {
  test(`what was found once stays fixed: ${regression.file}`, () => {
    assert.equal(
      replay(regression)?.error.message,
      undefined,
      `see npm run fuzz -- ${regression.target.name} --replay fuzz/corpus/regressions/${regression.file}`,
    )
  })
}

test('every target has a name of its own, invariants and two canaries', () => {
  assert.equal(new Set(targets.map(({ name }) => name)).size, targets.length)
  for (const { target, canaries } of registry) {
    assert(target.invariants.length > 0, target.name)
    assert(canaries.length >= 2, target.name)
    // A file name begins with the name of its target: no name may be the beginning of another.
    assert(!targets.some(({ name }) => name !== target.name && name.startsWith(`${target.name}-`)), target.name)
  }
})

/** Does not like an "x" behind an "a"; what stands around them does not matter. */
const picky: FuzzTarget = {
  name: 'picky',
  invariants: ['there is no x behind an a'],
  run(data, random) {
    expect(random.integer(0, 9) >= 0, () => 'chance is out of its range')
    const a = data.indexOf(0x61)
    expect(a < 0 || !data.subarray(a).includes(0x78), () => `an x at ${data.indexOf(0x78)}`)
  },
}

test('a finding is made as short as it can be, written once, and replayed from its file', () => {
  using folder = new TemporaryFolder()
  const seeds = [Buffer.from('no fault here'), Buffer.from('some text with a letter x in it'), Buffer.from('another a and another x')]
  const { findings, runs } = runCampaign({ target: picky, seeds, seed: 1, timeMs: 60_000, runsMax: 200, findingsMax: 5 })
  assert.equal(runs, 200)
  assert.equal(findings.length, 1, 'one fault is one finding, however many inputs show it')
  const [finding] = findings
  assert.equal(Buffer.from(finding!.data).toString('latin1'), 'ax')
  assert.equal(finding!.foundBytes, seeds[1]!.length)

  assert(writeRegression(folder.path, finding!).isNew)
  assert(!writeRegression(folder.path, { ...finding!, seed: 77 }).isNew, 'the same fault is not written twice')
  assert.deepEqual(readdirSync(folder.path), [`picky-x-${finding!.seed}.bin`])
  const [regression] = loadRegressions(folder.path, [...targets, picky])
  assert.equal(regression!.seed, finding!.seed)
  assert.match(replay(regression!)!.error.message, /an x at 1/)
  assert.equal(replay({ ...regression!, target: { ...picky, run() {} } }), undefined)
})

test('a campaign repeats itself with the same seed', () => {
  const inputs = (seed: number): string[] => {
    const seen: string[] = []
    const recorder: FuzzTarget = {
      name: 'recorder',
      invariants: [],
      run: (data, random) => void seen.push(`${random.next()} ${Buffer.from(data).toString('latin1')}`),
    }
    runCampaign({
      target: recorder,
      seeds: [Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n')],
      seed,
      timeMs: 60_000,
      runsMax: 100,
      findingsMax: 1,
    })
    return seen
  }
  assert.deepEqual(inputs(7), inputs(7))
  assert.notDeepEqual(inputs(7), inputs(8))
})

test('a file that names no target is an error, not a file that is never looked at', () => {
  using folder = new TemporaryFolder()
  writeFileSync(folder.file('nobody-knows-1.bin'), '')
  assert.throws(() => loadRegressions(folder.path, targets), /nobody-knows-1\.bin/)
})

for (const { target, canaries } of registry) {
  test(`${target.name} runs, and holds, for the simplest inputs`, () => {
    const seeds = [
      Buffer.alloc(0),
      Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n'),
      Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'),
    ]
    const { findings } = runCampaign({ target, seeds, seed: 1, timeMs: 60_000, runsMax: 20, findingsMax: 1 })
    assert.deepEqual(
      findings.map(({ error }) => error.message),
      [],
    )
    assert(canaries.every((canary) => canary.target.name === target.name))
  })
}

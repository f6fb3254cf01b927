/** A campaign that sees what its runs reach gets where a blind one does not, and the same seed gives the same campaign. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runCampaign, type CampaignPlan, type CampaignResult } from '../../fuzz/campaign.ts'
import { Corpus } from '../../fuzz/corpus.ts'
import { CoverageMap } from '../../fuzz/coverage.ts'
import { expect, type FuzzTarget } from '../../fuzz/target.ts'

const depth = 10

/** One door behind the other: each opens for an octet beyond ASCII, and only then can the next one be seen. */
function makeCorridor(coverage: CoverageMap): FuzzTarget {
  const counters = coverage.createModuleCounters(depth + 1)
  return {
    name: 'corridor',
    invariants: ['nobody gets to the end'],
    run(data) {
      let door = 0
      for (; door < depth && data[door]! >= 0x80; door++) counters[door]!++
      counters[door]!++
      expect(door < depth, () => 'somebody is at the end')
    },
  }
}

function explore(seed: number, isGuided: boolean, plan: Partial<CampaignPlan> = {}): CampaignResult & { corpus: Corpus; doors: number } {
  const coverage = new CoverageMap()
  const corpus = new Corpus()
  const result = runCampaign({
    target: makeCorridor(coverage),
    seeds: [Buffer.from('abcdefghijklmnopqrstuvwxyz')],
    seed,
    timeMs: 60_000,
    runsMax: 30_000,
    findingsMax: 1,
    coverage,
    ...(isGuided && { corpus }),
    ...plan,
  })
  return { ...result, corpus, doors: coverage.figures.edges }
}

test('coverage leads where chance does not', () => {
  const guided = explore(1, true)
  assert.equal(guided.findings.length, 1)
  assert.equal(guided.findings[0]!.data.length, depth, 'and what was found is as short as it can be')
  const blind = explore(1, false)
  assert.deepEqual(blind.findings, [])
  assert.equal(blind.runs, 30_000)
  assert(blind.doors < guided.doors, `${blind.doors} doors opened blindly`)
})

test('a guided campaign repeats itself with the same seed', () => {
  const once = explore(3, true, { runsMax: 2_000 })
  const again = explore(3, true, { runsMax: 2_000 })
  assert.deepEqual(again.corpus.inputs, once.corpus.inputs)
  assert.notDeepEqual(explore(4, true, { runsMax: 2_000 }).corpus.inputs, once.corpus.inputs)
})

test('a campaign goes on from what earlier ones have left', () => {
  const before = explore(1, true, { runsMax: 2_000, findingsMax: 9 })
  assert(before.corpus.size > 1)
  const inputs = [...before.corpus.inputs]
  // Only the seed and what is known, as it is.
  const after = explore(2, true, { inputs, runsMax: 1 + inputs.length })
  assert.equal(after.doors, Math.max(...inputs.map(({ data }) => doorsOf(data))) + 1)
})

function doorsOf(data: Uint8Array): number {
  const closed = data.findIndex((octet) => octet < 0x80)
  return closed < 0 ? data.length : closed
}

test('a run that goes wrong is told as it happens, and is not something to go on from', () => {
  const told: string[] = []
  const { corpus } = explore(1, true, { onFinding: ({ signature }) => void told.push(signature) })
  assert.deepEqual(told, ['Violation: somebody is at the end'])
  assert(corpus.inputs.every(({ data }) => doorsOf(data) < depth))
})

test('a campaign ends when it is told to', () => {
  const { runs } = explore(1, true, { runsMax: Number.POSITIVE_INFINITY, findingsMax: Number.POSITIVE_INFINITY, onProgress: () => false })
  assert(runs > 0)
})

/** Whatever a campaign does to its thread: it is a finding, and the others go on. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Assignment } from '../../fuzz/assignment.ts'
import { Crew } from '../../fuzz/crew.ts'

const threadUrl = new URL('../support/fuzz-thread.js', import.meta.url)

function assign(target: string): Assignment {
  return { target, index: 0, seed: 1, timeMs: 60_000, findingsMax: 1, isGuided: true, cache: 'none' }
}

/** What is told, in its order. */
async function work(
  targets: readonly string[],
  { jobs = 1, silenceMsMax = 60_000, onProgress = (_crew: Crew): void => {} } = {},
): Promise<string[]> {
  const log: string[] = []
  const crew = new Crew({
    jobs,
    threadUrl,
    silenceMsMax,
    heapMegabytesMax: 64,
    observer: {
      onProgress: () => onProgress(crew),
      onFinding: (_assignment, { target, name, data, seed }) =>
        void log.push(`${target}: ${name} of '${Buffer.from(data).toString()}' with seed ${seed}`),
      onRegression: () => {},
      onDone: ({ target }, outcomes) => void log.push(`${target} done in ${outcomes.length}`),
    },
  })
  await crew.run(targets.map(assign))
  return log
}

test('one campaign after the other, in their order', async () => {
  assert.deepEqual(await work(['one', 'two', 'three']), ['one done in 1', 'two done in 1', 'three done in 1'])
})

test('all are done, however many threads there are', async () => {
  const log = await work(['one', 'two', 'three', 'four'], { jobs: 3 })
  assert.deepEqual(log.sort(), ['four done in 1', 'one done in 1', 'three done in 1', 'two done in 1'])
})

for (const [target, name] of [
  ['spins', 'Hang'],
  ['throws', 'Death'],
  ['devours', 'Death'],
] as const) {
  test(`a run that ${target} is a finding with its input, and the next target has its turn`, async () => {
    // Only one that spins is to be taken for a hang, however slow the machine is.
    assert.deepEqual(await work([target, 'one'], name === 'Hang' ? { silenceMsMax: 2_000 } : {}), [
      `${target}: ${name} of 'input of ${target}' with seed 1`,
      `${target} done in 2`,
      'one done in 1',
    ])
  })
}

test('a crew that is stopped ends what runs and begins nothing else', async () => {
  assert.deepEqual(await work(['waits', 'one'], { onProgress: (crew) => crew.stop() }), ['waits done in 1'])
})

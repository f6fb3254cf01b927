/** In place of fuzz/thread.ts: a thread that does what the name of the target says. */
import { parentPort, workerData } from 'node:worker_threads'
import { Blackboard, type Assignment, type ThreadMessage } from '../../fuzz/assignment.ts'

const port = parentPort!
const blackboard = new Blackboard(workerData as SharedArrayBuffer)

port.on('message', ({ target, seed, timeMs }: Assignment) => {
  blackboard.begin({ data: Buffer.from(`input of ${target}`), seed })
  const standing = {
    runs: 1,
    ms: timeMs,
    corpusSize: 0,
    findings: 0,
    coverage: { edges: 0, edgesTotal: 0, llhttpStates: 0, llhttpSteps: 0 },
  }
  port.postMessage({ kind: 'progress', standing } satisfies ThreadMessage)
  // Only the first time: the thread that takes its place has another seed.
  if (seed === 1 && target === 'spins') for (;;);
  if (seed === 1 && target === 'throws') throw new Error('nobody catches this')
  if (seed === 1 && target === 'devours') for (const held: number[][] = []; ; held.push(Array.from({ length: 100_000 }, () => 0)));
  while (target === 'waits' && !blackboard.isStopped);
  port.postMessage({
    kind: 'done',
    outcome: { ...standing, slowestMs: 0, slowestBytes: 0, reached: { edges: new Int32Array(0), llhttpSteps: new Int32Array(0) } },
  } satisfies ThreadMessage)
})

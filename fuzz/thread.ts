/**
 * The thread in which campaigns run, one after the other: it can be ended from outside when a run does not come back, and takes nobody with
 * it when it runs out of memory. It prints nothing; of files it writes those of the working corpus only.
 */
import { join } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import { llhttpSha256 } from '../native-free-parser/wasm/llhttp-bytes.ts'
import { Blackboard, type Assignment, type FoundFault, type Outcome, type ThreadMessage } from './assignment.ts'
import { runCampaign } from './campaign.ts'
import { cacheFolder, CorpusFolder } from './corpus-folder.ts'
import { Corpus, type Input } from './corpus.ts'
import { CoverageMap } from './coverage.ts'
import { instrument } from './instrument.ts'
import { loadRegressions, regressionsFolder, replay } from './regressions.ts'
import { signatureOf } from './runner.ts'

const saveMs = 60_000

const port = parentPort!
const blackboard = new Blackboard(workerData as SharedArrayBuffer)
const coverage = new CoverageMap()
instrument(coverage, llhttpSha256)
// Only now, and not by a static import: these modules load the product.
const { registry } = await import('./registry.ts')
const { loadSeedCorpus } = await import('./seed-corpus.ts')

port.on('message', (assignment: Assignment) => {
  if (assignment.canary === undefined) replayRegressions(assignment.target)
  tell({ kind: 'done', outcome: perform(assignment) })
})

function tell(message: ThreadMessage): void {
  port.postMessage(message)
}

const known = new Map<string, Set<string>>()

/** What was found before comes first; it is told, and not found again. */
function replayRegressions(name: string): void {
  const signatures = new Set<string>()
  known.set(name, signatures)
  const targets = registry.map(({ target }) => target)
  for (const regression of loadRegressions(regressionsFolder, targets)) {
    if (regression.target.name !== name) continue
    blackboard.begin(regression)
    const wrong = replay(regression)
    if (wrong === undefined) continue
    const fault = describe(name, wrong.error, { data: regression.data, seed: wrong.seed }, regression.data.length)
    signatures.add(fault.signature)
    tell({ kind: 'regression', file: regression.file, fault })
  }
}

function perform({ target: name, canary, seed, timeMs, runsMax, findingsMax, isGuided, cache }: Assignment): Outcome {
  const { target, seeds, canaries } = registry.find((registration) => registration.target.name === name)!
  const regressions = loadRegressions(
    regressionsFolder,
    registry.map((registration) => registration.target),
  ).filter((regression) => regression.target === target)
  const folder = cache === 'none' ? undefined : new CorpusFolder(join(cacheFolder, name))
  const corpus = isGuided ? new Corpus() : undefined
  coverage.reset()
  let saved = 0
  const allSeeds = [...(canary === undefined ? regressions.map(({ data }) => data) : []), ...seeds(loadSeedCorpus())]
  const inputs = folder?.load() ?? []
  const result = runCampaign({
    target: canary === undefined ? target : canaries[canary]!.target,
    ...(canary === undefined ? { knownSignatures: known.get(name)! } : { intact: target }),
    seeds: allSeeds,
    inputs,
    seed,
    timeMs,
    ...(runsMax !== undefined && { runsMax }),
    findingsMax,
    coverage,
    ...(corpus !== undefined && { corpus }),
    onRun: (input) => blackboard.begin(input),
    onFinding: ({ error, data, seed: runSeed, foundBytes }) => {
      tell({ kind: 'finding', fault: describe(name, error, { data, seed: runSeed }, foundBytes) })
    },
    onProgress: (progress) => {
      if (corpus !== undefined && progress.ms - saved >= saveMs) {
        saved = progress.ms
        folder?.save(corpus.inputs, false)
      }
      tell({ kind: 'progress', standing: { ...progress, coverage: coverage.figures } })
      return !blackboard.isStopped
    },
  })
  // What was not run again is not known to be superfluous.
  if (corpus !== undefined) folder?.save(corpus.inputs, cache === 'owns' && result.runs >= allSeeds.length + inputs.length)
  return {
    runs: result.runs,
    ms: result.ms,
    slowestMs: result.slowestMs,
    slowestBytes: result.slowest.length,
    corpusSize: corpus?.size ?? 0,
    findings: result.findings.length,
    coverage: coverage.figures,
    reached: coverage.reached,
  }
}

function describe(target: string, error: Error, { data, seed }: Input, foundBytes: number): FoundFault {
  return {
    target,
    signature: signatureOf(error),
    name: error.name,
    message: error.message,
    stack: error.stack ?? '',
    data: Uint8Array.from(data),
    seed,
    foundBytes,
  }
}

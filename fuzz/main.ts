/**
 * The runner. It decides how long which target runs and says what was found:
 *
 *   npm run fuzz                                    lists the targets
 *   npm run fuzz -- TARGET [--time 60s] [--seed N]  one target; `all` for one after the other
 *   npm run fuzz:smoke                              all of them, a minute in all
 *   npm run fuzz:canary                             all of them against broken subjects, which have to be caught
 *
 * Exit status: 0 nothing found, 1 an invariant is broken or a canary was not caught, 2 wrong use.
 */
import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { parseDuration } from '../lib/core/units.ts'
import { runCampaign, signatureOf, type CampaignResult, type Finding } from './campaign.ts'
import { escapeOctets } from './octets.ts'
import { registry, type Registration } from './registry.ts'
import { loadRegressions, regressionsFolder, replay, writeRegression } from './regressions.ts'
import { loadSeedCorpus } from './seed-corpus.ts'

const findingsMax = 8
const smokeMs = 55_000
const canaryMsMax = 20_000

function main(argv: string[]): number {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      time: { type: 'string', default: '60s' },
      seed: { type: 'string' },
      smoke: { type: 'boolean', default: false },
      canary: { type: 'boolean', default: false },
    },
  })
  const seed = values.seed === undefined ? randomInt(0x7fff_ffff) : Number(values.seed)
  if (!Number.isSafeInteger(seed) || seed < 0) throw new Error(`--seed takes a whole number, not ${values.seed}`)
  if (values.smoke) return fuzz(registry, seed, smokeMs / registry.length)
  const [name] = positionals
  const chosen = name === 'all' || (name === undefined && values.canary) ? registry : registry.filter(({ target }) => target.name === name)
  if (chosen.length === 0) {
    list()
    if (name === undefined) return 0
    throw new Error(`there is no target ${name}`)
  }
  return values.canary ? catchCanaries(chosen, seed) : fuzz(chosen, seed, parseDuration(values.time))
}

function list(): void {
  for (const { target } of registry) console.log(`${target.name}\n${target.invariants.map((line) => `  - ${line}`).join('\n')}`)
}

function fuzz(chosen: readonly Registration[], seed: number, timeMs: number): number {
  const corpus = loadSeedCorpus()
  const regressions = loadRegressions(
    regressionsFolder,
    registry.map(({ target }) => target),
  )
  let found = 0
  for (const { target, seeds } of chosen) {
    const known = regressions.filter((regression) => regression.target === target)
    const knownSignatures = new Set<string>()
    for (const regression of known) {
      const error = replay(regression)
      if (error === undefined) continue
      found++
      knownSignatures.add(signatureOf(error))
      console.log(`${regression.file} is still wrong: ${error.message}`)
    }
    const result = runCampaign({
      target,
      seeds: [...known.map(({ data }) => data), ...seeds(corpus)],
      seed,
      timeMs,
      findingsMax,
      knownSignatures,
    })
    console.log(`${target.name}: ${describe(result)}, seed ${seed}`)
    for (const finding of result.findings) report(finding)
    found += result.findings.length
  }
  console.log(found === 0 ? 'nothing found' : `${found} found`)
  return found === 0 ? 0 : 1
}

function describe({ runs, ms, slowestMs, slowest }: CampaignResult): string {
  const rate = Math.round((runs * 1_000) / Math.max(1, ms))
  return `${runs} runs in ${(ms / 1_000).toFixed(1)} s (${rate}/s), slowest ${slowestMs.toFixed(0)} ms with ${slowest.length} bytes`
}

function report(finding: Finding): void {
  const path = writeRegression(regressionsFolder, finding)
  console.log(`\n  ${finding.error.name}: ${finding.error.message}`)
  console.log(`  run seed ${finding.seed}, ${finding.data.length} bytes of ${finding.foundBytes}:\n  '${escapeOctets(finding.data)}'`)
  if (finding.error.name !== 'Violation') console.log(`  ${finding.error.stack?.split('\n').slice(1, 6).join('\n  ')}`)
  console.log(path === undefined ? '  a file for this exists already\n' : `  written to ${path}\n`)
}

function catchCanaries(chosen: readonly Registration[], seed: number): number {
  const corpus = loadSeedCorpus()
  let missed = 0
  for (const { target, seeds, canaries } of chosen) {
    if (canaries.length === 0) {
      console.log(`${target.name}: no canary`)
      missed++
    }
    for (const canary of canaries) {
      const result = runCampaign({ target: canary.target, seeds: seeds(corpus), seed, timeMs: canaryMsMax, findingsMax: 1, intact: target })
      const [finding] = result.findings
      if (finding === undefined) missed++
      console.log(`${target.name}: ${canary.bug}: ${finding === undefined ? 'NOT CAUGHT' : 'caught'}, ${describe(result)}`)
      if (finding !== undefined) console.log(`  ${finding.signature}\n  '${escapeOctets(finding.data.subarray(0, 200))}'`)
    }
  }
  console.log(missed === 0 ? 'all canaries are caught' : `${missed} missed`)
  return missed === 0 ? 0 : 1
}

try {
  process.exitCode = main(process.argv.slice(2))
} catch (error) {
  console.error(`fuzz: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 2
}

/**
 * The command line: says which target runs how long, shows how it goes, writes down what was found. See `usage`.
 *
 * Exit status: 0 nothing found, 1 an invariant is broken or a canary was not caught, 2 wrong use.
 */
import { randomInt } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { basename, relative, resolve } from 'node:path'
import { performance } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { parseDuration } from '../lib/core/units.ts'
import type { Assignment, FoundFault, Outcome } from './assignment.ts'
import { Crew } from './crew.ts'
import { escapeOctets } from './octets.ts'
import { count, minutes, ProgressDisplay } from './progress.ts'
import { registry, type Registration } from './registry.ts'
import { regressionsFolder, replay, seedInName, writeRegression } from './regressions.ts'
import { Report } from './report.ts'

const usage = `npm run fuzz                           lists the targets and what must hold of each
npm run fuzz -- TARGET [OPTIONS]       one target
npm run fuzz -- --all [OPTIONS]        one target after the other, each for the whole time
npm run fuzz -- TARGET --replay FILE   one input again, as often as its chance matters
npm run fuzz:smoke                     all targets, two minutes in all, from the committed seeds only
npm run fuzz:canary [-- TARGET]        subjects that were broken on purpose, each of which has to be caught

  --time 60s     how long each target runs
  --runs N       ends after so many runs: with --fresh and --seed, the same campaign to the last run
  --seed N       of all chance; a random one when there is none
  --jobs N       threads: campaigns of one target with seeds N, N + 1, … or that many targets at a time
  --json FILE    writes a report as JSON, after each target anew; - is standard output
  --fresh        starts from the committed seeds and leaves the working corpus (fuzz/corpus/cache) alone
  --blind        makes inputs from the seeds only, to compare: what they reach is measured all the same`

const root = fileURLToPath(new URL('../../', import.meta.url))
const smokeMs = 100_000
const canaryMsMax = 60_000
const findingsMax = 50

interface Settings {
  readonly seed: number
  readonly timeMs: number
  readonly runsMax: number | undefined
  readonly jobs: number
  readonly json: string | undefined
  readonly isFresh: boolean
  readonly isGuided: boolean
}

async function main(argv: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      help: { type: 'boolean', short: 'h', default: false },
      all: { type: 'boolean', default: false },
      time: { type: 'string', default: '60s' },
      runs: { type: 'string' },
      seed: { type: 'string' },
      jobs: { type: 'string', default: '1' },
      json: { type: 'string' },
      fresh: { type: 'boolean', default: false },
      blind: { type: 'boolean', default: false },
      replay: { type: 'string' },
      smoke: { type: 'boolean', default: false },
      canary: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(usage)
    return 0
  }
  const [name, ...others] = positionals
  if (others.length > 0) throw new Error(`one target at a time, or --all: ${others.join(' ')} is too much`)
  if (values.all && name !== undefined) throw new Error('either a target or --all')
  const named = name === undefined ? undefined : find(name)
  if (values.replay !== undefined) return replayFile(values.replay, named, values.seed)
  const settings: Settings = {
    seed: values.seed === undefined ? randomInt(0x7fff_ffff) : wholeNumber('--seed', values.seed, 0, 0x7fff_ffff),
    timeMs: parseDuration(values.time),
    runsMax: values.runs === undefined ? undefined : wholeNumber('--runs', values.runs, 1, Number.MAX_SAFE_INTEGER),
    jobs: wholeNumber('--jobs', values.jobs, 1, 64),
    json: values.json,
    isFresh: values.fresh || values.smoke,
    isGuided: !values.blind,
  }
  if (values.canary) return catchCanaries(named === undefined ? registry : [named], settings)
  if (values.smoke) return fuzz(registry, { ...settings, timeMs: Math.floor((smokeMs * settings.jobs) / registry.length) })
  if (values.all) return fuzz(registry, settings)
  if (named === undefined) {
    list()
    return 0
  }
  return fuzz([named], settings)
}

function find(name: string): Registration {
  const found = registry.find(({ target }) => target.name === name)
  if (found === undefined) throw new Error(`there is no target ${name}; there are ${registry.map(({ target }) => target.name).join(', ')}`)
  return found
}

function wholeNumber(option: string, text: string, min: number, max: number): number {
  const value = Number(text)
  if (!/^[0-9]+$/.test(text) || value < min || value > max) throw new Error(`${option} takes a whole number from ${min} up, not ${text}`)
  return value
}

function list(): void {
  for (const { target } of registry) console.log(`${target.name}\n${target.invariants.map((line) => `  - ${line}`).join('\n')}`)
  console.log(`\n${usage}`)
}

async function fuzz(chosen: readonly Registration[], settings: Settings): Promise<number> {
  const { seed, timeMs, runsMax, jobs, json, isFresh, isGuided } = settings
  const assignments = chosen.flatMap(({ target }) =>
    // One target takes all threads, each with a seed of its own.
    Array.from({ length: chosen.length === 1 ? jobs : 1 }, (_, index): Assignment => {
      const cache = isFresh || !isGuided ? 'none' : index === 0 ? 'owns' : 'adds'
      return {
        target: target.name,
        index,
        seed: seed + index,
        timeMs,
        findingsMax,
        isGuided,
        cache,
        ...(runsMax !== undefined && { runsMax }),
      }
    }),
  )
  const report = new Report({ begun: new Date().toISOString(), node: process.version, seed, timeMs, isGuided })
  // In this order, whichever is done first.
  for (const { target } of chosen) report.of(target.name)
  const display = new ProgressDisplay(process.stderr, () => performance.now())
  const known = new Set<string>()
  const record = (fault: FoundFault, path: string, text: string): void => {
    if (known.has(`${fault.target} ${fault.signature}`)) return
    known.add(`${fault.target} ${fault.signature}`)
    report.of(fault.target).findings.push({ fault, path })
    display.say(text)
  }
  const crew = new Crew({
    jobs,
    observer: {
      onProgress: (assignment, standing) => display.update(nameOf(assignment), standing, assignment.timeMs),
      onFinding: (_assignment, fault) => {
        const { path, isNew } = writeRegression(regressionsFolder, fault)
        record(fault, path, describeFault(fault, isNew ? 'written to' : 'another input for what is called the same is in', path))
      },
      onRegression: (file, fault) => {
        const path = resolve(regressionsFolder, file)
        record(fault, path, describeFault(fault, 'is wrong again:', path))
      },
      onDone: (assignment, outcomes) => {
        report.add(assignment.target, outcomes)
        display.remove(nameOf(assignment))
        if (chosen.length > 1) display.say(`${assignment.target}: ${describeOutcomes(outcomes)}`)
        if (json !== undefined && json !== '-') writeFileSync(json, report.toJson(root))
      },
    },
  })
  console.error(`seed ${seed}, ${jobs === 1 ? 'one thread' : `${jobs} threads`}, ${isGuided ? 'guided by coverage' : 'blind'}`)
  await runToTheEnd(crew, assignments)
  if (json === '-') process.stdout.write(report.toJson(root))
  else console.log(report.describe())
  const found = report.findings.length
  console.error(found === 0 ? 'nothing found' : `${found} found; npm test replays them from now on`)
  return found === 0 ? 0 : 1
}

/** The first Ctrl-C ends what runs, with a report; the second one ends everything. */
async function runToTheEnd(crew: Crew, assignments: readonly Assignment[]): Promise<void> {
  const onSignal = (): void => {
    console.error('\nends with what there is; once more ends at once')
    crew.stop()
  }
  process.once('SIGINT', onSignal)
  process.once('SIGTERM', onSignal)
  await crew.run(assignments)
  process.off('SIGINT', onSignal)
  process.off('SIGTERM', onSignal)
}

/** Tells one campaign from the others that run at the same time. */
function nameOf({ target, canary, index, seed }: Assignment): string {
  if (canary !== undefined) return `${target} canary ${canary + 1}`
  return index > 0 ? `${target} (${seed})` : target
}

function describeOutcomes(outcomes: readonly Outcome[]): string {
  const runs = outcomes.reduce((sum, outcome) => sum + outcome.runs, 0)
  const ms = outcomes.reduce((sum, outcome) => sum + outcome.ms, 0)
  const slowest = outcomes.reduce((a, b) => (b.slowestMs > a.slowestMs ? b : a))
  return `${count(runs)} runs in ${minutes(ms)}, slowest ${slowest.slowestMs.toFixed(0)} ms with ${slowest.slowestBytes} bytes`
}

function describeFault(fault: FoundFault, what: string, path: string): string {
  const file = relative(root, path)
  return [
    '',
    `  ${fault.target}: ${fault.name}: ${fault.message}`,
    `  seed ${fault.seed}, ${fault.data.length} bytes${fault.data.length === fault.foundBytes ? '' : ` of ${fault.foundBytes}`}:`,
    `  '${escapeOctets(fault.data)}'`,
    // A violation says all itself; of other errors one wants to know where they come from.
    ...(fault.name === 'Violation' || fault.stack === '' ? [] : fault.stack.split('\n').slice(1, 6)),
    `  ${what} ${file}`,
    `  npm run fuzz -- ${fault.target} --replay ${file}`,
    '',
  ].join('\n')
}

async function catchCanaries(chosen: readonly Registration[], { seed, jobs }: Settings): Promise<number> {
  const caught = new Map<string, FoundFault>()
  let missed = 0
  const assignments = chosen.flatMap(({ target, canaries }) => {
    if (canaries.length === 0) {
      console.log(`${target.name}: no canary`)
      missed++
    }
    return canaries.map((_, canary): Assignment => {
      return { target: target.name, canary, index: 0, seed, timeMs: canaryMsMax, findingsMax: 1, isGuided: true, cache: 'none' }
    })
  })
  const display = new ProgressDisplay(process.stderr, () => performance.now())
  const crew = new Crew({
    jobs: Math.max(jobs, Math.min(2, availableParallelism())),
    observer: {
      onProgress: (assignment, standing) => display.update(nameOf(assignment), standing, assignment.timeMs),
      onFinding: (assignment, fault) => void caught.set(nameOf(assignment), fault),
      onRegression: () => {},
      onDone: (assignment, outcomes) => {
        const found = caught.get(nameOf(assignment))
        // A thread that was starved before its first input has shown nothing.
        const fault = found?.name === 'Hang' && outcomes.every(({ runs }) => runs === 0) ? undefined : found
        const { bug } = find(assignment.target).canaries[assignment.canary!]!
        display.remove(nameOf(assignment))
        display.say(`${assignment.target}: ${bug}: ${fault === undefined ? 'NOT CAUGHT' : 'caught'}, ${describeOutcomes(outcomes)}`)
        if (fault === undefined) missed++
        else display.say(`  ${fault.signature}\n  '${escapeOctets(fault.data.subarray(0, 200))}'`)
      },
    },
  })
  console.error(`seed ${seed}`)
  await runToTheEnd(crew, assignments)
  console.log(missed === 0 ? 'all canaries are caught' : `${missed} missed`)
  return missed === 0 ? 0 : 1
}

function replayFile(file: string, named: Registration | undefined, seedText: string | undefined): number {
  const owner = named ?? registry.find(({ target }) => basename(file).startsWith(`${target.name}-`))
  if (owner === undefined) throw new Error(`whose input is ${file}? Name the target: npm run fuzz -- TARGET --replay ${file}`)
  const seed = seedText === undefined ? (seedInName(basename(file)) ?? 0) : wholeNumber('--seed', seedText, 0, 0x7fff_ffff)
  const data = readFileSync(file)
  console.log(`${owner.target.name}, seed ${seed}, ${data.length} bytes:\n'${escapeOctets(data)}'\n`)
  const wrong = replay({ target: owner.target, seed, data })
  if (wrong === undefined) {
    console.log('every invariant holds')
    return 0
  }
  console.log(`with seed ${wrong.seed}: ${wrong.error.stack ?? wrong.error.message}`)
  return 1
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  console.error(`fuzz: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 2
}

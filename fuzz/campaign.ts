/**
 * One target, many inputs: makes them, runs them, learns from what they reach, and makes what breaks an invariant as short as it can. A run
 * depends on nothing but its bytes and its seed, so that every violation can be repeated; and a campaign depends on nothing but its plan, so
 * that the same seed gives the same inputs in the same order. Writes no file and prints nothing.
 */
import { performance } from 'node:perf_hooks'
import { SeededRandom } from '../test/support/seeded-random.ts'
import type { Corpus, Input } from './corpus.ts'
import type { CoverageMap } from './coverage.ts'
import { minimise } from './minimise.ts'
import { Mutator } from './mutator.ts'
import { Runner, signatureOf } from './runner.ts'
import type { FuzzTarget } from './target.ts'

/** The seed is that of the chance inside the run. */
export interface Finding extends Input {
  readonly target: string
  /** See signatureOf. */
  readonly signature: string
  readonly error: Error
  /** Before it was made shorter. */
  readonly foundBytes: number
}

export interface CampaignResult {
  readonly runs: number
  readonly ms: number
  readonly slowestMs: number
  readonly slowest: Uint8Array
  readonly findings: readonly Finding[]
}

/** Where a campaign stands. */
export interface CampaignProgress {
  readonly runs: number
  readonly ms: number
  readonly corpusSize: number
  readonly findings: number
}

export interface CampaignPlan {
  readonly target: FuzzTarget
  /** Written by people, and all of them used throughout, whatever they reach. */
  readonly seeds: readonly Uint8Array[]
  /** From earlier campaigns. */
  readonly inputs?: readonly Input[]
  readonly seed: number
  readonly timeMs: number
  readonly runsMax?: number
  /** Ends the campaign when so many different things went wrong. */
  readonly findingsMax: number
  /** What is known to be wrong already, and not told again. */
  readonly knownSignatures?: ReadonlySet<string>
  /** For canaries: what goes wrong with this one too was not planted, and does not count. */
  readonly intact?: FuzzTarget
  /** What the runs reach. Without it the campaign is blind. */
  readonly coverage?: CoverageMap
  /** Receives what reaches something new, and is what the campaign goes on from; without it, only the seeds are. */
  readonly corpus?: Corpus
  readonly onRun?: (input: Input) => void
  readonly onFinding?: (finding: Finding) => void
  /** Called now and then; the campaign ends when it returns false. */
  readonly onProgress?: (progress: CampaignProgress) => boolean
}

const progressMs = 100
/** How often the next input is made from a seed, when there is a corpus. */
const seedShare = 0.2
/** How often an input is run with the chance of the one that it was made from: what that one reached may depend on it. */
const sameChanceShare = 0.5

export function runCampaign(plan: CampaignPlan): CampaignResult {
  return new Campaign(plan).run()
}

class Campaign {
  readonly #plan: CampaignPlan
  readonly #runner: Runner
  readonly #intact: Runner | undefined
  readonly #random: SeededRandom
  readonly #mutator: Mutator
  readonly #findings = new Map<string, Finding>()
  #runs = 0
  #slowestMs = 0
  #slowest: Uint8Array = new Uint8Array(0)

  constructor(plan: CampaignPlan) {
    this.#plan = plan
    this.#runner = new Runner(plan.target, plan.onRun)
    this.#intact = plan.intact && new Runner(plan.intact, plan.onRun)
    this.#random = new SeededRandom(plan.seed)
    this.#mutator = new Mutator(this.#random, () => this.#pick().data)
  }

  run(): CampaignResult {
    const { timeMs, runsMax = Number.POSITIVE_INFINITY, findingsMax, onProgress } = this.#plan
    const begun = performance.now()
    let before = begun
    let told = begun
    this.#plan.coverage?.discard()
    while (before - begun < timeMs && this.#runs < runsMax && this.#findings.size < findingsMax) {
      const input = this.#next()
      this.#runs++
      const error = this.#runner.run(input)
      const now = performance.now()
      if (now - before > this.#slowestMs) {
        this.#slowestMs = now - before
        this.#slowest = input.data
      }
      this.#learn(input, error)
      before = now
      if (error !== undefined) {
        this.#judge(input, error)
        before = performance.now()
      }
      if (onProgress !== undefined && before - told >= progressMs) {
        told = before
        if (!onProgress({ ...this.#progress, ms: before - begun })) break
      }
    }
    return {
      runs: this.#runs,
      ms: before - begun,
      slowestMs: this.#slowestMs,
      slowest: this.#slowest,
      findings: [...this.#findings.values()],
    }
  }

  get #progress(): Omit<CampaignProgress, 'ms'> {
    return { runs: this.#runs, corpusSize: this.#plan.corpus?.size ?? 0, findings: this.#findings.size }
  }

  /** First the seeds and what earlier campaigns left, as they are. */
  #next(): Input {
    const { seeds, inputs = [] } = this.#plan
    const seedOfRun = this.#random.integer(0, 0x7fff_ffff)
    if (this.#runs < seeds.length) return { data: seeds[this.#runs]!, seed: seedOfRun }
    const known = inputs[this.#runs - seeds.length]
    if (known !== undefined) return known
    const base = this.#pick()
    const data = this.#mutator.mutate(base.data)
    return { data, seed: base.seed !== undefined && this.#random.chance(sameChanceShare) ? base.seed : seedOfRun }
  }

  #pick(): { readonly data: Uint8Array; readonly seed?: number } {
    const { seeds, corpus } = this.#plan
    if (corpus !== undefined && corpus.size > 0 && (seeds.length === 0 || !this.#random.chance(seedShare))) return corpus.pick(this.#random)
    return { data: seeds.length === 0 ? new Uint8Array(0) : this.#random.pick(seeds) }
  }

  /** A run that went wrong is a finding, not something to go on from. */
  #learn({ data, seed }: Input, error: Error | undefined): void {
    const { coverage, corpus } = this.#plan
    if (coverage === undefined) return
    coverage.collect()
    if (error === undefined) corpus?.consider(data, seed, coverage.features, coverage.featureCount)
  }

  #judge(input: Input, error: Error): void {
    const { target, knownSignatures, coverage, onFinding } = this.#plan
    const signature = signatureOf(error)
    if (!this.#findings.has(signature) && knownSignatures?.has(signature) !== true && this.#intact?.run(input) === undefined) {
      const shortest = minimise(this.#runner, input, signature)
      const finding = {
        ...shortest,
        target: target.name,
        signature,
        error: this.#runner.run(shortest) ?? error,
        foundBytes: input.data.length,
      }
      this.#findings.set(signature, finding)
      onFinding?.(finding)
    }
    // What ran beside the campaign does not count.
    coverage?.discard()
  }
}

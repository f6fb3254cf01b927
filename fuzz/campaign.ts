/**
 * One target, many inputs: makes them, runs them, and makes what breaks an invariant as short as it can. A run depends on nothing but its
 * bytes and its seed, so that every violation can be repeated. Writes no file and prints nothing.
 */
import { performance } from 'node:perf_hooks'
import { SeededRandom } from '../test/support/seeded-random.ts'
import { Mutator } from './mutator.ts'
import type { FuzzTarget } from './target.ts'

export interface Finding {
  readonly target: string
  /** What went wrong, without what changes from input to input: two findings with the same signature are one. */
  readonly signature: string
  readonly error: Error
  /** For the chance inside the run. */
  readonly seed: number
  readonly data: Uint8Array
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

export interface CampaignPlan {
  readonly target: FuzzTarget
  readonly seeds: readonly Uint8Array[]
  readonly seed: number
  readonly timeMs: number
  readonly runsMax?: number
  /** Ends the campaign when so many different things went wrong. */
  readonly findingsMax: number
  /** What is known to be wrong already, and not told again. */
  readonly knownSignatures?: ReadonlySet<string>
  /** For canaries: what goes wrong with this one too was not planted, and does not count. */
  readonly intact?: FuzzTarget
}

const minimiseRunsMax = 4_000
const minimiseMsMax = 10_000

export function runCampaign({
  target,
  seeds,
  seed,
  timeMs,
  runsMax = Number.POSITIVE_INFINITY,
  findingsMax,
  knownSignatures,
  intact,
}: CampaignPlan): CampaignResult {
  const findings = new Map<string, Finding>()
  const random = new SeededRandom(seed)
  const mutator = new Mutator(random, seeds)
  const begun = performance.now()
  let runs = 0
  let slowestMs = 0
  let slowest: Uint8Array = new Uint8Array(0)
  let before = begun
  while (before - begun < timeMs && runs < runsMax && findings.size < findingsMax) {
    // Seeds first, as they are.
    const data = runs < seeds.length ? seeds[runs]! : mutator.next()
    const runSeed = random.integer(0, 0x7fff_ffff)
    runs++
    const error = tryRun(target, data, runSeed)
    const now = performance.now()
    if (now - before > slowestMs) {
      slowestMs = now - before
      slowest = data
    }
    before = now
    if (error === undefined || (intact !== undefined && tryRun(intact, data, runSeed) !== undefined)) continue
    const signature = signatureOf(error)
    if (findings.has(signature) || knownSignatures?.has(signature) === true) continue
    const shortest = minimise(target, data, runSeed, signature)
    findings.set(signature, {
      target: target.name,
      signature,
      error: tryRun(target, shortest, runSeed) ?? error,
      seed: runSeed,
      data: shortest,
      foundBytes: data.length,
    })
    before = performance.now()
  }
  return { runs, ms: before - begun, slowestMs, slowest, findings: [...findings.values()] }
}

/** What the run throws; undefined when all is well. */
export function tryRun(target: FuzzTarget, data: Uint8Array, seed: number): Error | undefined {
  try {
    target.run(data, new SeededRandom(seed))
    return undefined
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}

/** The first line of the message without quoted text, rules and numbers kept only as their kind. */
export function signatureOf(error: Error): string {
  const line = error.message.split('\n')[0]!
  return `${error.name}: ${line
    .replace(/"(?:[^"\\]|\\.)*"?/g, '…')
    .replace(/[0-9]+(?: [0-9]+)*/g, 'N')
    .replace(/…(?:,…)+/g, '…')}`.slice(0, 160)
}

/** Delta debugging: takes away ever smaller pieces while the same thing goes wrong. */
export function minimise(target: FuzzTarget, data: Uint8Array, seed: number, signature: string): Uint8Array {
  const until = performance.now() + minimiseMsMax
  let runs = 0
  const isStillWrong = (candidate: Uint8Array): boolean => {
    runs++
    const error = tryRun(target, candidate, seed)
    return error !== undefined && signatureOf(error) === signature
  }
  let shortest = data
  for (let pieceBytes = Math.ceil(data.length / 2); pieceBytes >= 1;) {
    let shrunk = false
    for (let at = 0; at < shortest.length;) {
      if (runs >= minimiseRunsMax || performance.now() > until) return shortest
      const candidate = new Uint8Array(Math.max(0, shortest.length - Math.min(pieceBytes, shortest.length - at)))
      candidate.set(shortest.subarray(0, at))
      candidate.set(shortest.subarray(Math.min(shortest.length, at + pieceBytes)), at)
      if (isStillWrong(candidate)) {
        shortest = candidate
        shrunk = true
      } else at += pieceBytes
    }
    // At single octets, go round until nothing more can be taken away.
    if (pieceBytes > 1) pieceBytes = Math.ceil(pieceBytes / 2)
    else if (!shrunk) break
  }
  return shortest
}

/**
 * Latency at a fixed rate. First wrk finds how many small GETs each proxy can do; then each gets 60 % of what it can itself, and all get
 * the rate that is 60 % of what eproxy can: at the same rate latencies can be compared.
 */
import { cpuTimeBetween, cpuTimeOfTree } from '../process-figures.ts'
import { generate } from './generate.ts'
import type { RateResult } from './generator/plan.ts'
import { isFinished, runPart, type Entry, type PeerRun, type Run } from './run.ts'
import { runWrk } from './round.ts'
import { spread } from './summary.ts'
import { writeScript, type Workload } from './workloads.ts'

export const loadShare = 0.6
const connections = 64
const warmupSeconds = 0.5

export interface RateSample extends RateResult {
  readonly wantedPerSecond: number
  readonly cpuMicrosPerRequest: number
}

export interface OpenLoopRuns {
  /** What wrk got out of each, by name. */
  readonly saturation: Readonly<Record<string, number>>
  /** Each at its own share. */
  readonly own: readonly PeerRun<RateSample>[]
  /** The share of eproxy, for all that can do so much. */
  readonly same: readonly PeerRun<RateSample>[]
  readonly sameRate: number
  /** Who cannot. */
  readonly tooSlow: readonly string[]
}

export async function runOpenLoop(run: Run, workload: Workload, entries: readonly Entry[]): Promise<OpenLoopRuns> {
  const saturation = await measureSaturation(run, workload, entries)
  const rated = entries.filter((entry) => saturation[entry.name] !== undefined)
  const sameRate = Math.round((saturation[subjectOf(rated)?.name ?? ''] ?? 0) * loadShare)
  const own = await runRates(run, workload, rated, 'open loop, own rate', (entry) => Math.round(saturation[entry.name]! * loadShare))
  // Above nine tenths of what it can do, a queue grows that tells of nothing but the rate.
  const able = rated.filter((entry) => sameRate > 0 && sameRate <= saturation[entry.name]! * 0.9)
  const same = await runRates(run, workload, able, 'open loop, same rate', () => sameRate)
  return { saturation, own, same, sameRate, tooSlow: rated.filter((entry) => !able.includes(entry)).map((entry) => entry.name) }
}

export function openLoopSeconds(entries: number, rounds: number, seconds: number): number {
  return entries * (4 + 2 * (2 + rounds * (seconds + warmupSeconds + 0.3)))
}

async function measureSaturation(run: Run, workload: Workload, entries: readonly Entry[]): Promise<Record<string, number>> {
  const { processes, cores, wrkPath, directory } = run
  const load = { wrkPath, scriptPath: writeScript(workload, directory), connections, bytesPerRequest: null }
  const runs = await runPart<number>(run, {
    title: 'open loop, what each can do',
    entries,
    prepare: async ({ port, process }) => {
      await runWrk(processes, cores, { port, pid: process.pid }, { ...load, seconds: 1 })
    },
    rounds: 2,
    measure: async ({ port, process }) => {
      const result = await runWrk(processes, cores, { port, pid: process.pid }, { ...load, seconds: 1 })
      return (result.requests * 1_000_000) / result.durationMicros
    },
  })
  return Object.fromEntries(runs.filter(isFinished).map(({ name, rounds }) => [name, spread(rounds).median]))
}

/** CPU of all at one rate, which is the share of what the first can do: so the peers have as much to do for each. */
export async function runAtSameRate(
  run: Run,
  workload: Workload,
  entries: readonly Entry[],
  title: string,
): Promise<PeerRun<RateSample>[]> {
  const saturation = await measureSaturation(run, workload, entries.slice(0, 1))
  const rate = Math.round((saturation[entries[0]!.name] ?? 0) * loadShare)
  return rate === 0 ? [] : runRates(run, workload, entries, title, () => rate)
}

export function sameRateSeconds(entries: number, rounds: number, seconds: number): number {
  return 4 + entries * (2 + rounds * (seconds + warmupSeconds + 0.3))
}

function runRates(
  run: Run,
  workload: Workload,
  entries: readonly Entry[],
  title: string,
  rateOf: (entry: Entry) => number,
): Promise<PeerRun<RateSample>[]> {
  const { processes, cores, wrkPath, directory } = run
  const { seconds } = run.options
  const scriptPath = writeScript(workload, directory)
  return runPart<RateSample>(run, {
    title,
    entries,
    prepare: async ({ port, process }) => {
      await runWrk(processes, cores, { port, pid: process.pid }, { wrkPath, scriptPath, connections, seconds: 1, bytesPerRequest: null })
    },
    rounds: run.options.rounds,
    measure: async ({ port, process }, { entry }) => {
      const requestsPerSecond = rateOf(entry)
      const plan = {
        kind: 'rate',
        port,
        request: workload.request.toString('latin1'),
        answerEnd: workload.answer.unit.toString('latin1'),
        connections,
        requestsPerSecond,
        warmupSeconds,
        seconds,
      } as const
      const before = cpuTimeOfTree(process.pid)
      const result = await generate<'rate', RateResult>(run, plan, seconds + 15, (rate) => rate)
      const cpu = cpuTimeBetween(before, cpuTimeOfTree(process.pid))
      const sent = Math.floor((warmupSeconds + seconds) * requestsPerSecond)
      return { ...result, wantedPerSecond: requestsPerSecond, cpuMicrosPerRequest: (cpu.userMicros + cpu.systemMicros) / sent }
    },
  })
}

function subjectOf(entries: readonly Entry[]): Entry | undefined {
  return entries.find(({ peer }) => peer.kind === 'subject')
}

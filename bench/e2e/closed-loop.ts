/**
 * wrk against each proxy, round by round: a workload of the table, and the same with the access log on beside it. Each of so many
 * connections sends its next request when it has its answer.
 */
import { checkExchange } from './exchange.ts'
import { runPart, type Entry, type PeerRun, type Run } from './run.ts'
import { runRound, runWrk, type Load } from './round.ts'
import type { Round } from './summary.ts'
import { answerBytes, countedByBytes, writeScript, type Workload } from './workloads.ts'

const answerMs = 10_000

export interface WorkloadRuns {
  readonly name: string
  readonly doc: string
  readonly short: string
  readonly connections: number
  readonly isTarget: boolean
  readonly runs: readonly PeerRun<Round>[]
}

/** Thousands of connections are opened within the round, before most of its requests. */
export function roundSeconds({ connections }: Workload, seconds: number): number {
  return connections > 1_000 ? 2 * seconds : seconds
}

export async function runWorkload(run: Run, workload: Workload, entries: readonly Entry[]): Promise<WorkloadRuns> {
  const { options, processes, cores, wrkPath, directory } = run
  const connections = Math.min(workload.connections, run.connectionsMax)
  const scriptPath = writeScript(workload, directory)
  const bytesPerRequest = answerBytes(workload) >= countedByBytes ? answerBytes(workload) : null
  const loadOf = (seconds: number): Load => ({ wrkPath, scriptPath, connections, seconds, bytesPerRequest })
  const runs = await runPart<Round>(run, {
    title: workload.name,
    entries,
    prepare: async ({ port, process }) => {
      await checkExchange(port, workload, answerMs)
      if (options.warmupSeconds > 0) await runWrk(processes, cores, { port, pid: process.pid }, loadOf(options.warmupSeconds))
    },
    rounds: options.rounds,
    measure: ({ port, process }) => runRound(processes, cores, { port, pid: process.pid }, loadOf(roundSeconds(workload, options.seconds))),
  })
  return { name: workload.name, doc: workload.doc, short: workload.short, connections, isTarget: workload.isTarget, runs }
}

/**
 * What a byte costs that comes alone: heads of two lengths, one byte a write, at a rate that no proxy is busy with. A proxy that looks at what
 * it has again with every byte pays more for each byte of the longer head.
 */
import { cpuTimeBetween, cpuTimeOfTree } from '../process-figures.ts'
import { generate } from './generate.ts'
import type { DripResult } from './generator/plan.ts'
import { runPart, type Entry, type PeerRun, type Run } from './run.ts'

export const headSizes = [1_024, 8_192] as const
const connections = 16
const bytesPerSecond = 20_000
/** A long head takes 6.6 s on a connection, which is less than any of the proxies allows for one. */
const seconds = 4

export interface DripSample {
  readonly bytes: number
  readonly cpuMicrosPerByte: number
  readonly errors: number
}

export interface DripRuns {
  readonly headBytes: number
  readonly runs: readonly PeerRun<DripSample>[]
}

export async function runDrips(run: Run, entries: readonly Entry[]): Promise<DripRuns[]> {
  const results: DripRuns[] = []
  for (const headBytes of headSizes) {
    const runs = await runPart<DripSample>(run, {
      title: `drip, heads of ${headBytes} bytes`,
      entries,
      // The compiler of Node has to have seen the loop.
      prepare: async ({ port }) => void (await dripOnce(run, port, headSizes[0], 1)),
      rounds: dripRounds(run.options.rounds),
      measure: async ({ port, process }) => {
        const before = cpuTimeOfTree(process.pid)
        const result = await dripOnce(run, port, headBytes, seconds)
        const cpu = cpuTimeBetween(before, cpuTimeOfTree(process.pid))
        return { bytes: result.bytes, cpuMicrosPerByte: (cpu.userMicros + cpu.systemMicros) / result.bytes, errors: result.errors }
      },
    })
    results.push({ headBytes, runs })
  }
  return results
}

export function dripSeconds(entries: number, rounds: number): number {
  return entries * headSizes.length * (2.5 + dripRounds(rounds) * (seconds + 2.5))
}

/** Steadier than the others, and longer. */
function dripRounds(rounds: number): number {
  return Math.min(rounds, 2)
}

function dripOnce(run: Run, port: number, headBytes: number, planSeconds: number): Promise<DripResult> {
  const plan = { kind: 'drip', port, answerEnd: 'Hello, bench!', connections, headBytes, bytesPerSecond, seconds: planSeconds } as const
  return generate<'drip', DripResult>(run, plan, planSeconds + 20, (result) => {
    if (result.answers === 0) throw new Error(`no head was answered, with ${result.errors} errors`)
    return result
  })
}

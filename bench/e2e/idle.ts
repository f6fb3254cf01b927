/**
 * Resident memory for each client connection that is open and says nothing: a fresh process, warmed up, before and after so many
 * connections have each had one answer. What the kernel keeps for a socket is not in it, for anybody.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { residentBytesOfTree } from '../process-figures.ts'
import { generate } from './generate.ts'
import { runPart, type Entry, type PeerRun, type Run } from './run.ts'
import { runWrk } from './round.ts'
import { writeScript, type Workload } from './workloads.ts'

const connectionsWanted = 8_000
const settleMs = 500

export interface IdleSample {
  readonly connections: number
  readonly residentBeforeBytes: number
  readonly residentAfterBytes: number
  readonly bytesPerConnection: number
}

export async function runIdleConnections(run: Run, workload: Workload, entries: readonly Entry[]): Promise<readonly PeerRun<IdleSample>[]> {
  const { processes, cores, wrkPath, directory, options } = run
  const connections = Math.min(connectionsWanted, run.connectionsMax)
  const scriptPath = writeScript(workload, directory)
  const results = new Map<string, PeerRun<IdleSample>>()
  // Each round has a fresh process: the memory of connections that are gone would hide that of the next.
  for (let round = 1; round <= idleRounds(options.rounds); round += 1) {
    const runs = await runPart<IdleSample>(run, {
      title: `idle connections, ${round} of ${idleRounds(options.rounds)}`,
      entries,
      prepare: async ({ port, process }) => {
        await runWrk(
          processes,
          cores,
          { port, pid: process.pid },
          { wrkPath, scriptPath, connections: 64, seconds: 1, bytesPerRequest: null },
        )
      },
      rounds: 1,
      measure: async ({ port, process }) => {
        await delay(settleMs)
        const residentBeforeBytes = residentBytesOfTree(process.pid)
        const plan = {
          kind: 'idle',
          port,
          request: workload.request.toString('latin1'),
          answerEnd: workload.answer.unit.toString('latin1'),
          connections,
        } as const
        return generate<'idle', IdleSample>(run, plan, 40, async ({ open, errors }) => {
          if (open < connections) throw new Error(`only ${open} of ${connections} connections had their answer, ${errors} failed`)
          await delay(settleMs)
          const residentAfterBytes = residentBytesOfTree(process.pid)
          const bytesPerConnection = (residentAfterBytes - residentBeforeBytes) / connections
          return { connections, residentBeforeBytes, residentAfterBytes, bytesPerConnection }
        })
      },
    })
    for (const entry of runs) {
      const known = results.get(entry.name)
      if (known === undefined) results.set(entry.name, entry)
      else {
        known.rounds.push(...entry.rounds)
        known.failure ??= entry.failure
      }
    }
  }
  return [...results.values()]
}

export function idleSeconds(entries: number, rounds: number): number {
  return entries * idleRounds(rounds) * 4.5
}

function idleRounds(rounds: number): number {
  return Math.min(rounds, 2)
}

/**
 * From the start of the process to the first connection that it takes, again and again, in turns. The bench asks every other millisecond.
 */
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { messageOf } from '../command.ts'
import { listensOn } from '../process-figures.ts'
import { freePort } from './start.ts'
import type { Entry, PeerRun, Run } from './run.ts'

const startMs = 10_000
const pollMs = 2

export async function runStartUps(run: Run, entries: readonly Entry[]): Promise<readonly PeerRun<number>[]> {
  const runs = entries.map(({ name, peer, accessLog }): PeerRun<number> => ({
    name,
    kind: peer.kind,
    accessLog,
    rounds: [],
    failure: null,
  }))
  for (let round = 1; round <= startUpRounds(run.options.rounds); round += 1) {
    for (const [index, entry] of entries.entries()) {
      const result = runs[index]!
      if (result.failure !== null) continue
      run.progress.show(`start-up, ${round} of ${startUpRounds(run.options.rounds)}: ${entry.name}`)
      try {
        result.rounds.push(await startOnce(run, entry))
      } catch (error) {
        run.signal.throwIfAborted()
        result.failure = messageOf(error)
      }
      run.signal.throwIfAborted()
    }
  }
  return runs
}

export function startUpSeconds(entries: number, rounds: number): number {
  return entries * startUpRounds(rounds) * 0.45
}

function startUpRounds(rounds: number): number {
  return Math.min(10, 2 * rounds)
}

/** Milliseconds. */
async function startOnce(run: Run, { name, peer }: Entry): Promise<number> {
  const { processes, originPort, directory, connectionsMax } = run
  const port = await freePort()
  const commandLine = peer.prepare({ port, upstreamPort: originPort, directory, accessLogPath: null, connectionsMax })
  const startedAt = performance.now()
  const started = await processes.start({ name, core: run.cores.proxy, ...commandLine })
  try {
    while (!(await takesConnections(port))) {
      if (started.hasExited) throw new Error(`it ended at its start: ${started.stderr.trim().slice(-500)}`)
      if (performance.now() - startedAt > startMs) throw new Error(`it does not listen after ${startMs} ms`)
      await delay(pollMs)
    }
    const elapsedMs = performance.now() - startedAt
    if (!listensOn(started.pid, port)) throw new Error('something else answered on its port')
    return elapsedMs
  } finally {
    await processes.end(started)
  }
}

function takesConnections(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

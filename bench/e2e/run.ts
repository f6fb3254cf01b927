/**
 * What all parts of one run share: where things run, who takes part, how one step after the other is done for all of them. A proxy that
 * fails is out of the part that it failed in, and the others go on.
 */
import { rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { messageOf } from '../command.ts'
import type { ProcessSet } from '../process-set.ts'
import type { BenchOptions } from './options.ts'
import type { Peer, PeerKind } from './peers.ts'
import type { Progress } from './progress.ts'
import type { Cores } from './round.ts'
import { startPeer, type StartedPeer } from './start.ts'

export interface Run {
  readonly options: BenchOptions
  readonly processes: ProcessSet
  readonly directory: string
  readonly cores: Cores
  readonly wrkPath: string
  readonly originPort: number
  /** Client connections that the file descriptor limit allows for all kinds of proxies. */
  readonly connectionsMax: number
  readonly signal: AbortSignal
  readonly progress: Progress
}

/** A proxy in one way of running it. */
export interface Entry {
  readonly name: string
  readonly peer: Peer
  readonly accessLog: boolean
}

/** An entry in one part of a run, and what came of it. */
export interface PeerRun<Sample> {
  readonly name: string
  readonly kind: PeerKind
  readonly accessLog: boolean
  readonly rounds: Sample[]
  /** Why there are no more rounds. */
  failure: string | null
}

export interface Contestant<Sample> {
  readonly entry: Entry
  readonly run: PeerRun<Sample>
  started: StartedPeer | null
}

export interface Part<Sample> {
  readonly title: string
  readonly entries: readonly Entry[]
  /** Once for each proxy, in order, before the first round. */
  prepare?(target: StartedPeer, contestant: Contestant<Sample>): Promise<void>
  readonly rounds: number
  measure(target: StartedPeer, contestant: Contestant<Sample>): Promise<Sample>
}

/** Fresh processes for each part, so that memory and warmth of one do not count in the next. All of them stay up until its last round. */
export async function runPart<Sample>(run: Run, part: Part<Sample>): Promise<PeerRun<Sample>[]> {
  const contestants = part.entries.map((entry): Contestant<Sample> => {
    const { name, peer, accessLog } = entry
    return { entry, run: { name, kind: peer.kind, accessLog, rounds: [], failure: null }, started: null }
  })
  try {
    await eachSound(run, contestants, async (contestant) => {
      run.progress.show(`${part.title}: starting ${contestant.entry.name}`)
      contestant.started = await startEntry(run, contestant.entry)
      if (part.prepare === undefined) return
      run.progress.show(`${part.title}: warming up ${contestant.entry.name}`)
      await part.prepare(contestant.started, contestant)
    })
    for (let round = 1; round <= part.rounds; round += 1) {
      // There and back, so that a drift of the machine does not favour the first.
      await eachSound(run, round % 2 === 1 ? contestants : contestants.toReversed(), async (contestant) => {
        run.progress.show(`${part.title}: round ${round} of ${part.rounds}, ${contestant.entry.name}`)
        contestant.run.rounds.push(await part.measure(startedOf(contestant), contestant))
      })
    }
  } finally {
    await Promise.all(contestants.flatMap(({ started }) => (started === null ? [] : [run.processes.end(started.process)])))
    for (const contestant of contestants) dropAccessLog(run, contestant)
  }
  run.signal.throwIfAborted()
  return contestants.map((contestant) => contestant.run)
}

/** One after the other; who fails is out, and the others go on. */
export async function eachSound<Sample>(
  run: Run,
  contestants: readonly Contestant<Sample>[],
  step: (contestant: Contestant<Sample>) => Promise<void>,
): Promise<void> {
  for (const contestant of contestants) {
    if (contestant.run.failure !== null) continue
    try {
      await step(contestant)
    } catch (error) {
      run.signal.throwIfAborted()
      const proxy = contestant.started?.process
      const ended = proxy?.hasExited === true ? `; its last words: ${proxy.stderr.trim().slice(-500) || 'none'}` : ''
      contestant.run.failure = `${messageOf(error)}${ended}`
    }
    run.signal.throwIfAborted()
  }
}

/** Only those that finished all their rounds can be compared. */
export function isFinished(run: PeerRun<unknown>): boolean {
  return run.failure === null && run.rounds.length > 0
}

/** A log that is empty has cost nothing, and its figures would be those of no log. */
function dropAccessLog(run: Run, { entry, run: result }: Contestant<unknown>): void {
  if (!entry.accessLog) return
  const path = accessLogPath(run, entry)
  const { size = 0 } = statSync(path, { throwIfNoEntry: false }) ?? {}
  if (size === 0) result.failure ??= 'it wrote nothing into its access log'
  rmSync(path, { force: true })
}

function startEntry(run: Run, entry: Entry): Promise<StartedPeer> {
  const place = {
    upstreamPort: run.originPort,
    directory: run.directory,
    accessLogPath: entry.accessLog ? accessLogPath(run, entry) : null,
    connectionsMax: run.connectionsMax,
  }
  return startPeer(run.processes, entry.peer, place, run.cores.proxy)
}

function accessLogPath(run: Run, entry: Entry): string {
  return join(run.directory, `${entry.name}.access`)
}

function startedOf<Sample>({ started }: Contestant<Sample>): StartedPeer {
  if (started === null) throw new Error('it was not started')
  return started
}

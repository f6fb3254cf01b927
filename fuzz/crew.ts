/**
 * The threads: gives each its campaigns, ends one that does not come back, and starts another in its place. What a thread died of is a
 * finding like others, except that nobody can make its input shorter. Writes no file and prints nothing.
 */
import { Worker } from 'node:worker_threads'
import { Blackboard, type Assignment, type FoundFault, type Outcome, type Standing, type ThreadMessage } from './assignment.ts'
import { signatureOf } from './runner.ts'

/** The slowest runs take a second on a slow machine; loading the modules takes some. */
const silenceMsMax = 30_000
/**
 * A thread that the machine had no time for has not hung: of its silence it must have had this share of a processor. One that waits for what does
 * not come uses none, and is given up after so many times as long.
 */
const busyShareMin = 1 / 3
const idleFactor = 10
const watchMs = 500
/** A thread that runs out of this is ended by Node, and the process stays. */
const heapMegabytesMax = 1_024
/** After so many deaths in one campaign it is given up. */
const deathsMax = 5

export interface CrewObserver {
  onProgress(assignment: Assignment, standing: Standing): void
  onFinding(assignment: Assignment, fault: FoundFault): void
  /** A file of the regression folder is wrong. */
  onRegression(file: string, fault: FoundFault): void
  /** One outcome, or several when threads died on the way. */
  onDone(assignment: Assignment, outcomes: readonly Outcome[]): void
}

export interface CrewOptions {
  readonly jobs: number
  readonly observer: CrewObserver
  /** The module that threads run; it answers assignments as thread.ts does. */
  readonly threadUrl?: URL
  readonly silenceMsMax?: number
  readonly heapMegabytesMax?: number
}

export class Crew {
  readonly #options: CrewOptions
  readonly #threads = new Set<Thread>()
  #isStopped = false

  constructor(options: CrewOptions) {
    this.#options = options
  }

  /** Does all assignments, in this order as far as there are threads. */
  async run(assignments: readonly Assignment[]): Promise<void> {
    const left = [...assignments]
    await Promise.all(Array.from({ length: Math.min(this.#options.jobs, assignments.length) }, () => this.#work(left)))
  }

  /** Ends the campaigns that run, with what they have, and begins no other. */
  stop(): void {
    this.#isStopped = true
    for (const thread of this.#threads) thread.stop()
  }

  async #work(left: Assignment[]): Promise<void> {
    let thread = this.#makeThread()
    try {
      for (let assignment = left.shift(); assignment !== undefined && !this.#isStopped; assignment = left.shift()) {
        const outcomes: Outcome[] = []
        // One after the other: the thread that died is replaced by one that does the rest of the time.
        for (let deaths = 0; deaths < deathsMax && !this.#isStopped; deaths++) {
          const spentMs = outcomes.reduce((sum, { ms }) => sum + ms, 0)
          if (deaths > 0 && spentMs >= assignment.timeMs) break
          const part = { ...assignment, seed: assignment.seed + 1_000 * deaths, timeMs: assignment.timeMs - spentMs }
          const end = await thread.perform(part)
          outcomes.push(end.outcome)
          if (end.fault === undefined) break
          this.#options.observer.onFinding(part, end.fault)
          await this.#discard(thread)
          thread = this.#makeThread()
          // A canary that takes its thread with it is caught.
          if (assignment.canary !== undefined) break
        }
        this.#options.observer.onDone(assignment, outcomes)
      }
    } finally {
      await this.#discard(thread)
    }
  }

  #makeThread(): Thread {
    const thread = new Thread(this.#options)
    this.#threads.add(thread)
    return thread
  }

  async #discard(thread: Thread): Promise<void> {
    this.#threads.delete(thread)
    await thread.end()
  }
}

interface End {
  readonly outcome: Outcome
  /** What the thread died of. */
  readonly fault?: FoundFault
}

const nothingReached = { edges: new Int32Array(0), llhttpSteps: new Int32Array(0) }
const noCoverage = { edges: 0, edgesTotal: 0, llhttpStates: 0, llhttpSteps: 0 }

class Thread {
  readonly #options: CrewOptions
  readonly #blackboard = new Blackboard()
  readonly #worker: Worker

  constructor(options: CrewOptions) {
    this.#options = options
    this.#worker = new Worker(options.threadUrl ?? new URL('thread.js', import.meta.url), {
      workerData: this.#blackboard.memory,
      resourceLimits: { maxOldGenerationSizeMb: options.heapMegabytesMax ?? heapMegabytesMax },
    })
    // Between two assignments nobody else listens.
    this.#worker.on('error', () => {})
  }

  stop(): void {
    this.#blackboard.stop()
  }

  async end(): Promise<void> {
    await this.#worker.terminate()
  }

  perform(assignment: Assignment): Promise<End> {
    const worker = this.#worker
    const { observer, jobs, silenceMsMax: silenceMs = silenceMsMax } = this.#options
    const begun = performance.now()
    let last: Standing = { runs: 0, ms: 0, corpusSize: 0, findings: 0, coverage: noCoverage }
    return new Promise((resolve) => {
      const settle = (end: End): void => {
        clearInterval(watch)
        worker.off('message', onMessage)
        worker.off('error', onError)
        resolve(end)
      }
      const die = (name: string, message: string, stack: string): void => {
        const input = this.#blackboard.input
        const fault = { ...input, target: assignment.target, name, message, stack, foundBytes: input.data.length }
        settle({
          outcome: { ...last, ms: performance.now() - begun, slowestMs: 0, slowestBytes: 0, reached: nothingReached },
          fault: { ...fault, signature: signatureOf(fault) },
        })
      }
      const onMessage = (message: ThreadMessage): void => {
        switch (message.kind) {
          case 'progress':
            last = message.standing
            return observer.onProgress(assignment, message.standing)
          case 'finding':
            return observer.onFinding(assignment, message.fault)
          case 'regression':
            return observer.onRegression(message.file, message.fault)
          case 'done':
            return settle({ outcome: message.outcome })
        }
      }
      const onError = (error: Error): void => die('Death', `the thread died of this input: ${error.message}`, error.stack ?? '')
      let beat = this.#blackboard.beat
      let beatAt = begun
      let beatCpuMs = processorMs()
      const watch = setInterval(() => {
        const now = performance.now()
        if (this.#blackboard.beat !== beat) {
          beat = this.#blackboard.beat
          beatAt = now
          beatCpuMs = processorMs()
          return
        }
        const silentMs = now - beatAt
        const hadTime = (processorMs() - beatCpuMs) / jobs > silenceMs * busyShareMin
        if ((silentMs > silenceMs && hadTime) || silentMs > silenceMs * idleFactor)
          die('Hang', `no end within ${Math.round(silenceMs / 1_000)} s`, '')
      }, watchMs)
      worker.on('message', onMessage)
      worker.on('error', onError)
      worker.postMessage(assignment)
    })
  }
}

/** What all threads of this process have used. */
function processorMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}

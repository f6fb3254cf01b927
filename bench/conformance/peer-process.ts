/**
 * A proxy under the suite as a process: started when it listens, started again when it crashes, since the cases behind a crash are to be
 * judged on their own. The processes belong to the set that they are started in.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { listensOn } from '../process-figures.ts'
import type { ProcessSet, StartedProcess } from '../process-set.ts'

interface CommandLine {
  readonly command: string
  readonly args: readonly string[]
}

const startMsMax = 15_000
const pollMs = 50
const restartsMax = 100

export class PeerProcess {
  readonly #processes: ProcessSet
  readonly #name: string
  readonly #line: CommandLine
  #running: StartedProcess | undefined
  #isStopping = false
  restarts = 0

  private constructor(processes: ProcessSet, name: string, line: CommandLine) {
    this.#processes = processes
    this.#name = name
    this.#line = line
  }

  /** Resolves when it listens on the port. */
  static async start(processes: ProcessSet, name: string, port: number, line: CommandLine): Promise<PeerProcess> {
    const peer = new PeerProcess(processes, name, line)
    const started = await peer.#spawn()
    for (const deadline = Date.now() + startMsMax; !listensOn(started.pid, port); await delay(pollMs)) {
      if (!started.hasExited && Date.now() < deadline) continue
      await peer.stop()
      throw new Error(`${name} does not listen on ${port}: ${(started.stderr + started.stdout).trim().slice(-800)}`)
    }
    void started.exit.then(() => peer.#onExit())
    return peer
  }

  async stop(): Promise<void> {
    this.#isStopping = true
    if (this.#running !== undefined) await this.#processes.end(this.#running)
  }

  async #spawn(): Promise<StartedProcess> {
    this.#running = await this.#processes.start({ name: this.#name, ...this.#line, core: null })
    return this.#running
  }

  async #onExit(): Promise<void> {
    if (this.#isStopping || this.#processes.isEnding || this.restarts >= restartsMax) return
    this.restarts += 1
    const started = await this.#spawn()
    void started.exit.then(() => this.#onExit())
  }
}

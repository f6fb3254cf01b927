/**
 * The processes that one bench run starts: origin, proxies, load generator. A set owns all of them and ends all of them, by pid,
 * with their children (the workers of nginx), whether the run succeeded, failed or was interrupted. It does not restart anything,
 * and it never touches a process that it did not start: a pid counts only together with its start time.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { isSameProcess, processTree, type ProcessMark } from './process-figures.ts'

export interface StartOptions {
  /** How messages and reports call it. */
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  /** The core it is pinned to; null runs it unpinned. */
  readonly core: number | null
  /** Opens a message channel; our own children end when it closes, so they do not survive even a killed bench. */
  readonly withChannel?: boolean
  /** A file that gets its standard output. */
  readonly stdoutPath?: string | undefined
}

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** One started process. `stdout` and `stderr` keep the last 64 KiB of each. */
export class StartedProcess {
  readonly name: string
  readonly child: ChildProcess
  readonly pid: number
  readonly exit: Promise<Exit>
  #stdout = ''
  #stderr = ''
  #hasExited = false

  constructor(name: string, child: ChildProcess, pid: number) {
    this.name = name
    this.child = child
    this.pid = pid
    child.stdout?.setEncoding('latin1').on('data', (text: string) => (this.#stdout = (this.#stdout + text).slice(-outputCharsMax)))
    child.stderr?.setEncoding('latin1').on('data', (text: string) => (this.#stderr = (this.#stderr + text).slice(-outputCharsMax)))
    this.exit = new Promise((resolve) => {
      // 'close' and not 'exit': the output is complete only then.
      child.once('close', (code, signal) => {
        this.#hasExited = true
        resolve({ code, signal })
      })
    })
  }

  get stdout(): string {
    return this.#stdout
  }

  get stderr(): string {
    return this.#stderr
  }

  get hasExited(): boolean {
    return this.#hasExited
  }
}

export class ProcessSet implements AsyncDisposable {
  readonly #running = new Set<StartedProcess>()
  #isEnding = false

  /** Nothing can be started any more. */
  get isEnding(): boolean {
    return this.#isEnding
  }

  async start(options: StartOptions): Promise<StartedProcess> {
    if (this.#isEnding) throw new Error(`${options.name} was not started: the run is ending`)
    // taskset replaces itself by the program, so the pid is the program's own.
    const isPinned = options.core !== null
    const command = isPinned ? 'taskset' : options.command
    const args = isPinned ? ['-c', String(options.core), options.command, ...options.args] : options.args
    const stdoutFd = options.stdoutPath === undefined ? null : openSync(options.stdoutPath, 'a')
    const stdout = stdoutFd ?? 'pipe'
    const child = spawn(command, args, {
      stdio: options.withChannel === true ? ['ignore', stdout, 'pipe', 'ipc'] : ['ignore', stdout, 'pipe'],
    })
    if (stdoutFd !== null) closeSync(stdoutFd)
    const pid = child.pid
    if (pid === undefined) {
      const cause = await new Promise<Error>((resolve) => child.once('error', resolve))
      throw new Error(`${options.name} cannot be started: ${cause.message}`, { cause })
    }
    const started = new StartedProcess(options.name, child, pid)
    this.#running.add(started)
    void started.exit.then(() => this.#running.delete(started))
    return started
  }

  /** Ends one process and its children: SIGTERM, and after `graceMs` SIGKILL for those that are left. */
  async end(started: StartedProcess, graceMs = 2_000): Promise<void> {
    if (started.hasExited) return
    const tree: readonly ProcessMark[] = processTree(started.pid)
    started.child.kill('SIGTERM')
    await Promise.race([started.exit, delay(graceMs, undefined, { ref: false })])
    for (const mark of tree) {
      if (isSameProcess(mark)) killQuietly(mark.pid)
    }
    await started.exit
  }

  async endAll(): Promise<void> {
    this.#isEnding = true
    await Promise.all([...this.#running].map((started) => this.end(started)))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.endAll()
  }
}

const outputCharsMax = 65_536

/** The process may end between the look at it and the signal; that is what was wanted. */
function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}

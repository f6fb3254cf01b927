/**
 * One worker as its primary sees it: a child process that starts, serves, drains and ends, each once and in this order. It owns the process
 * and the channel to it; whether there is to be another one is decided by the group. `onGone` is the one way out and comes exactly once,
 * when the process has ended, its output is read and its last message is taken.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { assert } from '../core/assert.ts'
import { ProxyError } from '../core/errors.ts'
import { formatDuration } from '../core/units.ts'
import type { LiveEvent } from '../observe/live-event.ts'
import type { ProxyStats } from '../proxy/stats.ts'
import { LineSplitter } from './line-splitter.ts'
import type { FromWorker, InheritedSocket, ServerOrder, ToWorker, WorkerChange, WorkerStart } from './messages.ts'
import type { SharedSocket } from './shared-socket.ts'

/** States in life order. */
export const WorkerState = {
  /** The process is there and does not accept yet. `start` timer. */
  STARTING: 'starting',
  /** It accepts. */
  READY: 'ready',
  /** It accepts no more. */
  DRAINING: 'draining',
  /** Terminal. */
  GONE: 'gone',
} as const
export type WorkerState = (typeof WorkerState)[keyof typeof WorkerState]

export interface WorkerEvents {
  onGone(worker: WorkerProcess): void
  /** It wants to be replaced. */
  onRetire(worker: WorkerProcess): void
  /** `connections` has changed. */
  onCount(worker: WorkerProcess): void
  onEvent(event: LiveEvent): void
  onLog(worker: WorkerProcess, line: Extract<FromWorker, { kind: 'log' }>): void
}

export interface WorkerPlan extends Omit<WorkerStart, 'sockets'> {
  readonly module: string
  readonly sockets: readonly SharedSocket[]
  readonly startMs: number
  /** Gets the worker's standard output in whole lines; undefined: it writes to ours. */
  readonly onLine: ((line: string) => void) | undefined
}

/** Standard streams and the channel come first. */
const firstSocketFd = 4

export class WorkerProcess {
  readonly number: number
  /** Where it listens, as the user wrote it, unless it was told not to any more. */
  readonly addresses: readonly string[]
  /** Resolves when it accepts. Rejects with ProxyError ERR_EPROXY_WORKER when it ends before. */
  readonly ready: Promise<void>
  /** Resolves with the end, in words. */
  readonly gone: Promise<string>
  /** It has been silent long enough for a line in the log. */
  isSilenceLogged = false
  /** Client connections, as it told last. */
  connections = 0
  readonly #events: WorkerEvents
  readonly #child: ChildProcess | undefined
  readonly #startTimer: NodeJS.Timeout
  readonly #questions = new Map<number, (answer: boolean) => void>()
  readonly #reloads = new Map<number, (refusal: string | undefined) => void>()
  #state: WorkerState = WorkerState.STARTING
  #readyAt = 0
  #endedAt = 0
  #heardAt = performance.now()
  #stats: ProxyStats | undefined
  #statsAt = 0
  #lastQuestion = 0
  #failure = ''
  #settleReady: { resolve(): void; reject(error: Error): void } | undefined
  #settleGone: ((end: string) => void) | undefined

  constructor(plan: WorkerPlan, events: WorkerEvents) {
    this.number = plan.number
    this.addresses = plan.sockets.map(({ wanted }) => wanted)
    this.#events = events
    this.ready = new Promise((resolve, reject) => (this.#settleReady = { resolve, reject }))
    // Who does not wait for it learns of the end by `onGone`.
    this.ready.catch(() => {})
    this.gone = new Promise((resolve) => (this.#settleGone = resolve))
    this.#startTimer = setTimeout(() => {
      this.#failure = `worker ${plan.number} was not ready after ${formatDuration(plan.startMs)}`
      this.kill()
    }, plan.startMs)
    try {
      this.#child = this.#fork(plan)
    } catch (error) {
      // Told later, as every other end.
      setImmediate(() => this.#end(error instanceof Error ? error.message : String(error)))
    }
  }

  get state(): WorkerState {
    return this.#state
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  /** How long it was, or is, ready to serve. */
  get servedMs(): number {
    if (this.#readyAt === 0) return 0
    return (this.#endedAt === 0 ? performance.now() : this.#endedAt) - this.#readyAt
  }

  /** How long it has said nothing. Before it is ready it has a limit of its own. */
  get silentMs(): number {
    return this.#state === WorkerState.STARTING ? 0 : performance.now() - this.#heardAt
  }

  /** The last figures that were heard of, and how old they are. */
  get lastStats(): { readonly stats: ProxyStats | undefined; readonly ageMs: number } {
    return { stats: this.#stats, ageMs: this.#stats === undefined ? 0 : performance.now() - this.#statsAt }
  }

  /** It is we who were not there to listen. */
  forgiveSilence(): void {
    this.#heardAt = performance.now()
  }

  /** Lets it finish; one that does not serve yet has nothing to finish. */
  drain(graceMs: number, idleMs: number): void {
    if (this.#state === WorkerState.STARTING) return this.kill()
    if (this.#state === WorkerState.READY) this.#to(WorkerState.DRAINING)
    this.#tell({ kind: 'drain', graceMs, idleMs })
  }

  /** Ends it as fast as it can end by itself. */
  destroy(): void {
    if (this.#state === WorkerState.STARTING) return this.kill()
    if (this.#state === WorkerState.READY) this.#to(WorkerState.DRAINING)
    this.#tell({ kind: 'destroy' })
  }

  /** Ends it without asking. */
  kill(): void {
    this.#child?.kill('SIGKILL')
  }

  /** What its siblings have, on average. */
  tellLevel(connections: number): void {
    this.#tell({ kind: 'level', connections })
  }

  watch(isWatched: boolean): void {
    this.#tell({ kind: 'watch', isWatched })
  }

  setLogLevel(level: string): void {
    this.#tell({ kind: 'log-level', level })
  }

  reopen(): void {
    this.#tell({ kind: 'reopen' })
  }

  /**
   * Gives it another configuration; one that drains takes of it what concerns running exchanges. Resolves with undefined when it has it or has
   * ended, and otherwise with why it has not, in words.
   */
  reload(change: WorkerChange, timeoutMs: number): Promise<string | undefined> {
    if (this.#state === WorkerState.STARTING || this.#child?.connected !== true) return Promise.resolve(undefined)
    return new Promise((resolve) => {
      const question = ++this.#lastQuestion
      const settle = (refusal: string | undefined): void => {
        this.#reloads.delete(question)
        clearTimeout(timer)
        resolve(refusal)
      }
      const timer = setTimeout(() => settle(`it did not answer within ${formatDuration(timeoutMs)}`), timeoutMs)
      this.#reloads.set(question, settle)
      void this.gone.then(() => settle(undefined))
      this.#tell({ kind: 'reload', question, ...change })
    })
  }

  /** Its figures of this moment; false when it does not answer in time. */
  async refreshStats(timeoutMs: number): Promise<boolean> {
    return (await this.#ask((question) => ({ kind: 'stats', question }), timeoutMs)) !== undefined
  }

  /** Whether it knows the server; undefined when it does not answer in time. */
  orderServer(order: ServerOrder, timeoutMs: number): Promise<boolean | undefined> {
    return this.#ask((question) => ({ kind: 'server', question, order }), timeoutMs)
  }

  /** Undefined when no answer comes in time. */
  #ask(makeMessage: (question: number) => ToWorker, timeoutMs: number): Promise<boolean | undefined> {
    if (this.#state === WorkerState.STARTING || this.#child?.connected !== true) return Promise.resolve(undefined)
    return new Promise((resolve) => {
      const question = ++this.#lastQuestion
      const settle = (answer: boolean | undefined): void => {
        this.#questions.delete(question)
        clearTimeout(timer)
        resolve(answer)
      }
      const timer = setTimeout(() => settle(undefined), timeoutMs)
      this.#questions.set(question, settle)
      void this.gone.then(() => settle(undefined))
      this.#tell(makeMessage(question))
    })
  }

  #to(next: WorkerState): void {
    const order = Object.values(WorkerState)
    assert(order.indexOf(next) > order.indexOf(this.#state), `worker ${this.#state} -> ${next}`)
    this.#state = next
  }

  #fork({ module, sockets, startMs: _startMs, onLine, ...start }: WorkerPlan): ChildProcess {
    const child = fork(module, [String(start.number)], {
      // Errors in log lines survive a structured clone, and would not survive JSON.
      serialization: 'advanced',
      stdio: ['ignore', onLine === undefined ? 'inherit' : 'pipe', 'inherit', 'ipc', ...sockets.map((socket) => socket.fd)],
    })
    if (onLine !== undefined) {
      const splitter = new LineSplitter(onLine)
      child.stdout?.on('data', (chunk: Buffer) => splitter.take(chunk))
    }
    child.on('message', (message) => this.#onMessage(message as FromWorker))
    // Of a channel that broke, or of a process that could not be started: for the latter nothing else comes.
    child.on('error', (error) => {
      if (child.pid === undefined) this.#end(error.message)
    })
    child.once('close', (code, signal) => {
      const end = signal === null ? `exit code ${code}` : `signal ${signal}`
      // What it said last is still in the channel.
      if (child.connected) child.once('disconnect', () => this.#end(end))
      else this.#end(end)
    })
    const inherited = sockets.map((socket, index): InheritedSocket => ({ address: socket.wanted, fd: firstSocketFd + index }))
    child.send({ kind: 'start', start: { ...start, sockets: inherited } } satisfies ToWorker, () => {})
    return child
  }

  /** To a worker that is gone or going nothing can be said; its end tells what there is to tell. */
  #tell(message: ToWorker): void {
    if (this.#child?.connected === true) this.#child.send(message, () => {})
  }

  #onMessage(message: FromWorker): void {
    this.#heardAt = performance.now()
    this.isSilenceLogged = false
    switch (message.kind) {
      case 'ready':
        if (this.#state !== WorkerState.STARTING) return
        clearTimeout(this.#startTimer)
        this.#readyAt = this.#heardAt
        this.#to(WorkerState.READY)
        this.#settleReady?.resolve()
        return
      case 'failed':
        this.#failure = message.message
        return
      case 'beat':
      case 'farewell':
        return this.#keep(message.stats)
      case 'count':
        this.connections = message.connections
        return this.#events.onCount(this)
      case 'stats':
        this.#keep(message.stats)
        return this.#questions.get(message.question)?.(true)
      case 'server':
        return this.#questions.get(message.question)?.(message.isKnown)
      case 'event':
        return this.#events.onEvent(message.event)
      case 'reloaded':
        return this.#reloads.get(message.question)?.(message.refusal)
      case 'retire':
        return this.#events.onRetire(this)
      case 'log':
        return this.#events.onLog(this, message)
    }
  }

  #keep(stats: ProxyStats): void {
    this.#stats = stats
    this.#statsAt = performance.now()
  }

  #end(end: string): void {
    if (this.#state === WorkerState.GONE) return
    clearTimeout(this.#startTimer)
    this.#endedAt = performance.now()
    this.#to(WorkerState.GONE)
    const message = this.#failure === '' ? `worker ${this.number} ended at its start: ${end}` : this.#failure
    this.#settleReady?.reject(new ProxyError('ERR_EPROXY_WORKER', message))
    this.#settleGone?.(end)
    this.#events.onGone(this)
  }
}

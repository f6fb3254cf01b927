/**
 * Several processes that serve as one proxy, one for each core: binds the sockets, starts a worker for each place in the group, replaces
 * those that end, stand still, or are to be renewed, and adds up what they count. No byte of a connection passes through here: workers
 * accept from sockets that they inherit. It owns the sockets and the workers; signals, files and exit codes are the caller's.
 */
import { randomBytes } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { assert } from '../core/assert.ts'
import { ProxyError } from '../core/errors.ts'
import { resolveOptions, resolveSupervision, workersMax, type ProxyConfig, type ProxyOptions, type Supervision } from '../core/options.ts'
import { findColliding } from '../net/colliding.ts'
import type { LiveEvent } from '../observe/live-event.ts'
import { silentLogger, type Logger } from '../observe/logger.ts'
import { checkPolicies } from '../policy/policy.ts'
import type { AdminState } from '../upstream/server.ts'
import { addCounters, noStats, sumWith, type GroupStats } from './group-stats.ts'
import { beatMs, type ServerOrder } from './messages.ts'
import { decideRestart, judgeSilence } from './restart-policy.ts'
import { shareLimits } from './share-limits.ts'
import { SharedSocket } from './shared-socket.ts'
import { WorkerProcess, WorkerState } from './worker-process.ts'

export interface ProxyGroupOptions extends ProxyOptions {
  /** How many workers; 'auto': one for each core that this process may use. Default 1. */
  workers?: number | 'auto'
  supervision?: Partial<Supervision>
  /** A pino logger or anything of its shape. Default: silent. */
  logger?: Logger
  /** What each worker runs, instead of a proxy that logs to `logger`: a module that calls GroupMember.join(). */
  module?: URL | string
  /** For that module: anything that can be cloned. */
  payload?: unknown
  /** Gets what workers write to standard output, one line with its newline at a time (latin-1). Default: they share ours. */
  onLine?: (line: string) => void
}

export interface ProxyGroupEvents {
  /** A worker accepts connections: its number and process. */
  ready: [number: number, pid: number]
  /** A worker has ended that nobody had told to: its number and process. */
  crash: [number: number, pid: number]
  /** Nothing runs any more. */
  close: []
}

/** States in life order. */
const GroupState = { NEW: 'new', STARTING: 'starting', SERVING: 'serving', STOPPING: 'stopping', STOPPED: 'stopped' } as const
type GroupState = (typeof GroupState)[keyof typeof GroupState]

/** What a group is given while it serves. What is left out of the last three stays as it is. */
export interface ProxyGroupChange extends ProxyOptions {
  payload?: unknown
  workers?: number | 'auto'
  supervision?: Partial<Supervision>
  /** For workers that start from now on. */
  onLine?: (line: string) => void
}

/** What a worker is started with. */
interface GroupPlan {
  readonly config: ProxyConfig
  readonly supervision: Supervision
  readonly payload: unknown
  readonly workerOptions: ProxyOptions
  readonly sockets: readonly SharedSocket[]
  readonly onLine: ((line: string) => void) | undefined
}

/** A place in the group. */
interface Slot {
  readonly number: number
  /** Whose place it is: it serves, or is the first one and starts. */
  worker: WorkerProcess | undefined
  /** Who is to have the place next, and starts. */
  candidate: WorkerProcess | undefined
  restartTimer: NodeJS.Timeout | undefined
  /** Ends in a row. */
  ends: number
  /** The group has become smaller, and nobody is to have the place any more. */
  isRemoved: boolean
}

/** Beyond its grace a worker is waited for this long, then killed. */
const stopMarginMs = 3_000
const destroyMs = 1_000
const statsTimeoutMs = 500
/** One that does not take a configuration in this time stands still, and is replaced. */
const reloadTimeoutMs = 10_000
/** Workers that finish long exchanges, for each place: with more the eldest ends, or frequent reloads would fill the memory. */
const retiredPerSlot = 4

/** How many processes a user's `workers` means. Throws ProxyError ERR_EPROXY_OPTION. */
export function resolveWorkers(given: unknown = 1): number {
  if (given === 'auto') return Math.min(availableParallelism(), workersMax)
  if (typeof given === 'number' && Number.isSafeInteger(given) && given >= 1 && given <= workersMax) return given
  throw new ProxyError('ERR_EPROXY_OPTION', `workers must be 'auto' or a whole number from 1 to ${workersMax}, not ${String(given)}`)
}

/** Throws ProxyError ERR_EPROXY_OPTION. */
export function createProxyGroup(options: ProxyGroupOptions = {}): ProxyGroup {
  return new ProxyGroup(options)
}

export class ProxyGroup extends EventEmitter<ProxyGroupEvents> implements AsyncDisposable {
  #config: ProxyConfig
  #supervision: Supervision
  readonly #logger: Logger
  readonly #module: string
  #payload: unknown
  #onLine: ((line: string) => void) | undefined
  #workerOptions: ProxyOptions
  /** How often these were changed. */
  #generation = 0
  #slots: readonly Slot[]
  /** Places that stay while the group becomes smaller: who has one of the others is not replaced any more. */
  #staying = Number.POSITIVE_INFINITY
  /** Replaced, and finishing; the eldest first. */
  readonly #retired = new Set<WorkerProcess>()
  #sockets: readonly SharedSocket[] = []
  #state: GroupState = GroupState.NEW
  #watch: NodeJS.Timeout | undefined
  #watchedAt = 0
  #reloading: Promise<void> | undefined
  #nextReload: Promise<void> | undefined
  /** One after the other. */
  #reconfiguring: Promise<void> = Promise.resolve()
  #departed = noStats
  #crashesTotal = 0
  #reloadsTotal = 0
  #isLevelDue = false
  #watcher: ((event: LiveEvent) => void) | undefined
  #logLevel: string | undefined
  /** What operators want of servers, for workers that are yet to come. */
  readonly #serverOrders = new Map<string, ServerOrder>()
  #failure: ProxyError | undefined
  /** Resolves when nothing runs any more. Rejects with ProxyError ERR_EPROXY_WORKER when the group has given up. */
  readonly ended: Promise<void>
  #settleEnded: { resolve(): void; reject(error: Error): void } | undefined

  /** Throws ProxyError ERR_EPROXY_OPTION. */
  constructor({ workers, supervision, logger = silentLogger, module, payload, onLine, ...options }: ProxyGroupOptions) {
    super()
    const count = resolveWorkers(workers)
    this.#config = resolveOptions(options, `eproxy-${randomBytes(4).toString('hex')}`)
    this.#supervision = resolveSupervision(supervision)
    this.#logger = logger
    this.#module = toPath(module ?? new URL('./plain-worker.js', import.meta.url))
    this.#payload = payload
    this.#onLine = onLine
    // A loop through two workers is a loop, too: all have one pseudonym.
    this.#workerOptions = shareLimits({ ...options, via: this.#config.via }, count)
    this.#slots = makeSlots(1, count)
    this.ended = new Promise((resolve, reject) => (this.#settleEnded = { resolve, reject }))
    this.ended.catch(() => {})
  }

  /** The configuration of the group, frozen; limits that are divided are given as a whole. */
  get config(): ProxyConfig {
    return this.#config
  }

  get workers(): number {
    return this.#slots.length
  }

  /**
   * Binds all addresses, starts all workers, and resolves when every one accepts on every address; port 0 is the same port for all. Once
   * only. Rejects with ProxyError ERR_EPROXY_OPTION, ERR_EPROXY_LISTEN (cause: the system's error), ERR_EPROXY_WORKER when a worker does
   * not start, or ERR_EPROXY_STATE; then nothing runs.
   */
  async listen(...addresses: readonly string[]): Promise<{ readonly addresses: readonly string[] }> {
    if (this.#state !== GroupState.NEW) throw new ProxyError('ERR_EPROXY_STATE', 'the group was started before')
    this.#state = GroupState.STARTING
    try {
      this.#sockets = await bindAll(addresses)
      this.#throwIfStopping()
      this.#startWatch()
      const starting = this.#slots.map((slot) => (slot.worker = this.#startWorker(slot)))
      await Promise.all(starting.map((worker) => worker.ready))
      this.#throwIfStopping()
    } catch (error) {
      this.destroy()
      await this.ended
      throw error
    }
    this.#state = GroupState.SERVING
    // One that was ready, and ended while others were not.
    for (const slot of this.#slots) if (slot.worker === undefined) this.#scheduleRestart(slot, 0)
    return { addresses: this.#sockets.map((socket) => socket.address) }
  }

  /**
   * Replaces every worker, one after the other: a new one is started, and when it accepts the old one drains. Rejects when a new one does
   * not start; those that were not replaced go on. Called again meanwhile, it replaces all once more afterwards.
   */
  reload(): Promise<void> {
    if (this.#state !== GroupState.SERVING) return Promise.reject(new ProxyError('ERR_EPROXY_STATE', 'the group does not serve'))
    if (this.#reloading === undefined) return (this.#reloading = this.#replaceAll())
    this.#nextReload ??= this.#reloading
      .catch(() => {})
      .then(() => {
        this.#nextReload = undefined
        return this.reload()
      })
    return this.#nextReload
  }

  /**
   * Takes other options, and listens on these addresses: for exchanges that begin from now on. Workers go on with their connections and
   * with what they know; only for what a process cannot change (more sockets, more of what is made at the start, a payload that they do not take)
   * they are replaced, one after the other. With more workers some are started, with fewer the last ones finish what they have. Resolves
   * with the addresses that are new, as they can be connected to. Rejects with ProxyError ERR_EPROXY_OPTION, ERR_EPROXY_LISTEN,
   * ERR_EPROXY_STATE, or ERR_EPROXY_WORKER when new workers do not start, and goes on as before then.
   */
  reconfigure(change: ProxyGroupChange, addresses: readonly string[]): Promise<readonly string[]> {
    const done = this.#reconfiguring.then(() => this.#reconfigure(change, addresses))
    this.#reconfiguring = done.then(
      () => {},
      () => {},
    )
    return done
  }

  async #reconfigure(
    { payload, workers, supervision, onLine = this.#onLine, ...options }: ProxyGroupChange,
    addresses: readonly string[],
  ): Promise<readonly string[]> {
    this.#throwUnlessServing()
    const config = resolveOptions(options, this.#config.via)
    checkPolicies(config)
    const count = workers === undefined ? this.#slots.length : resolveWorkers(workers)
    const { added, released } = await this.#bindNew(addresses)
    const before: GroupPlan = {
      config: this.#config,
      supervision: this.#supervision,
      payload: this.#payload,
      workerOptions: this.#workerOptions,
      sockets: this.#sockets,
      onLine: this.#onLine,
    }
    const slotsBefore = this.#slots
    try {
      this.#throwUnlessServing()
      this.#take({
        config,
        supervision: supervision === undefined ? before.supervision : resolveSupervision(supervision),
        payload,
        workerOptions: shareLimits({ ...options, via: config.via }, count),
        sockets: [...before.sockets, ...added],
        onLine,
      })
      this.#staying = count
      const isTaken = await this.#tellOptions([])
      if (added.length > 0 || !isTaken) await this.reload()
      else this.#reloadsTotal++
      await this.#addSlots(count)
    } catch (error) {
      // Every place stays, and needs what was released.
      this.#staying = Number.POSITIVE_INFINITY
      this.#removeSlots(slotsBefore.length)
      if (this.#isServing) {
        this.#take(before)
        await this.#tellOptions(added.map(({ wanted }) => wanted))
      }
      for (const socket of added) socket.close()
      await this.#bindAgain(released)
      throw error
    }
    this.#staying = Number.POSITIVE_INFINITY
    this.#removeSlots(count)
    await this.#closeSockets(before.sockets.filter(({ wanted }) => !addresses.includes(wanted)))
    return added.map(({ address }) => address)
  }

  /**
   * Sockets for the addresses that are new. Of those that are to be left, what is in the way is released first: no worker has it, and
   * connections there are refused until the first new worker accepts. The others go on.
   */
  async #bindNew(addresses: readonly string[]): Promise<{ readonly added: SharedSocket[]; readonly released: readonly SharedSocket[] }> {
    const wanted = addresses.filter((address) => !this.#sockets.some((socket) => socket.wanted === address))
    const left = this.#sockets.filter((socket) => !addresses.includes(socket.wanted))
    try {
      return { added: await bindAll(wanted), released: [] }
    } catch (error) {
      const released = findColliding(error, wanted, left)
      if (released.length === 0) throw error
      await this.#closeSockets(released)
      try {
        return { added: await bindAll(wanted), released }
      } catch (again) {
        await this.#bindAgain(released)
        throw again
      }
    }
  }

  /** What was released for nothing. Workers that have left it cannot have it again: others are started. */
  async #bindAgain(released: readonly SharedSocket[]): Promise<void> {
    if (released.length === 0 || !this.#isServing) return
    try {
      this.#sockets = [...this.#sockets, ...(await bindAll(released.map(({ wanted }) => wanted)))]
      this.#generation++
      await this.reload()
    } catch (error) {
      const addresses = released.map(({ wanted }) => wanted).join(', ')
      this.#logger.error({ err: error }, `${addresses} could not be opened again: ${(error as Error).message}`)
    }
  }

  #throwUnlessServing(): void {
    if (!this.#isServing) throw new ProxyError('ERR_EPROXY_STATE', 'the group does not serve')
  }

  /** Workers that start from now on have these. */
  #take({ config, supervision, payload, workerOptions, sockets, onLine }: GroupPlan): void {
    this.#config = config
    this.#supervision = supervision
    this.#payload = payload
    this.#workerOptions = workerOptions
    this.#sockets = sockets
    this.#onLine = onLine
    this.#generation++
  }

  /** Resolves when there are at least `count` places, and somebody serves in each that is new. Rejects when one does not start. */
  async #addSlots(count: number): Promise<void> {
    const added = makeSlots(this.#slots.length + 1, count)
    if (added.length === 0) return
    this.#slots = [...this.#slots, ...added]
    const started = await Promise.allSettled(added.map((slot) => this.#replace(slot)))
    for (const outcome of started) if (outcome.status === 'rejected') throw outcome.reason
  }

  /** The places beyond `count` are not filled any more; who has them finishes. */
  #removeSlots(count: number): void {
    if (!this.#isServing) return
    const removed = this.#slots.slice(count)
    for (const slot of removed) {
      slot.isRemoved = true
      cancelRestart(slot)
      const { worker, candidate } = slot
      slot.worker = undefined
      slot.candidate = undefined
      for (const old of [worker, candidate]) if (old !== undefined) this.#retire(old)
    }
    // Not before: as many may finish as there were places, however few are left.
    this.#slots = this.#slots.slice(0, count)
    if (removed.length > 0) this.#levelSoon()
  }

  /** As soon as nobody has them any more, connections are refused and do not wait. */
  async #closeSockets(sockets: readonly SharedSocket[]): Promise<void> {
    if (sockets.length === 0 || !this.#isServing) return
    this.#sockets = this.#sockets.filter((socket) => !sockets.includes(socket))
    this.#generation++
    await this.#tellOptions(sockets.map(({ wanted }) => wanted))
    for (const socket of sockets) socket.close()
  }

  /** False when a worker cannot take them: another process can. */
  async #tellOptions(closed: readonly string[]): Promise<boolean> {
    const workers = [...this.#workers()]
    const change = { options: this.#workerOptions, payload: this.#payload, closed }
    const refusals = await Promise.all(workers.map((worker) => worker.reload(change, reloadTimeoutMs)))
    let isTaken = true
    for (const [index, refusal] of refusals.entries()) {
      const worker = workers[index]!
      // One that drains is replaced already.
      if (refusal === undefined || worker.state === WorkerState.DRAINING) continue
      isTaken = false
      const { number, pid } = worker
      this.#logger.info({ worker: number, workerPid: pid }, `worker ${number} is replaced for the new configuration: ${refusal}`)
    }
    return isTaken
  }

  /** Tells workers that files they write to were moved away. */
  reopen(): void {
    for (const worker of this.#workers()) worker.reopen()
  }

  /** Tells what happens in all workers, until it is called with undefined. One watcher at a time. */
  watch(watcher: ((event: LiveEvent) => void) | undefined): void {
    this.#watcher = watcher
    for (const worker of this.#workers()) worker.watch(watcher !== undefined)
  }

  /**
   * Takes a server out of the choice, or back in, in all workers: see Proxy.setServerState. False when no worker that answers in time knows such a
   * server.
   */
  async setServerState(group: string, server: string, state: AdminState, timeoutMs = statsTimeoutMs): Promise<boolean> {
    const order: ServerOrder = { group, server, state }
    const answers = await Promise.all([...this.#workers()].map((worker) => worker.orderServer(order, timeoutMs)))
    if (!answers.includes(true)) return false
    const key = JSON.stringify([group, server])
    if (state === 'enabled') this.#serverOrders.delete(key)
    else this.#serverOrders.set(key, order)
    return true
  }

  /** For the workers that live, and those to come. */
  setLogLevel(level: string): void {
    this.#logLevel = level
    for (const worker of this.#workers()) worker.setLogLevel(level)
  }

  /** Asks every worker; one that does not answer in time is told of with its last known figures. */
  async stats({ timeoutMs = statsTimeoutMs }: { timeoutMs?: number } = {}): Promise<GroupStats> {
    const workers = [...this.#workers()]
    const answered = await Promise.all(workers.map((worker) => worker.refreshStats(timeoutMs)))
    // One that ended meanwhile is among the departed now.
    const living = workers
      .map((worker, index) => ({ worker, isFresh: answered[index] === true }))
      .filter(({ worker }) => worker.state !== WorkerState.GONE)
    const parts = living.flatMap(({ worker }) => worker.lastStats.stats ?? [])
    return {
      total: sumWith(this.#departed, parts),
      workers: living.map(({ worker, isFresh }) => ({
        number: worker.number,
        pid: worker.pid,
        state: worker.state,
        stats: worker.lastStats.stats,
        ageMs: isFresh ? 0 : worker.lastStats.ageMs,
      })),
      crashesTotal: this.#crashesTotal,
      reloadsTotal: this.#reloadsTotal,
    }
  }

  /** Accepts no more, lets running exchanges finish for `graceMs` (default: timeouts.drain), then ends what is left. */
  async close({ graceMs = this.#config.timeouts.drain }: { graceMs?: number } = {}): Promise<void> {
    this.#stop((worker) => worker.drain(graceMs, 0), graceMs + stopMarginMs)
    await this.ended
  }

  /** Ends everything at once; running exchanges are cut. */
  destroy(): void {
    this.#stop((worker) => worker.destroy(), destroyMs)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #throwIfStopping(): void {
    if (this.#state === GroupState.STOPPING || this.#state === GroupState.STOPPED)
      throw this.#failure ?? new ProxyError('ERR_EPROXY_STATE', 'the group was closed while it began to listen')
  }

  get #isServing(): boolean {
    return this.#state === GroupState.SERVING
  }

  *#workers(): Iterable<WorkerProcess> {
    for (const { worker, candidate } of this.#slots) {
      if (worker !== undefined) yield worker
      if (candidate !== undefined) yield candidate
    }
    yield* this.#retired
  }

  #stop(end: (worker: WorkerProcess) => void, withinMs: number): void {
    if (this.#state === GroupState.STOPPED) return
    this.#state = GroupState.STOPPING
    for (const slot of this.#slots) cancelRestart(slot)
    // As soon as the workers have closed theirs, too, a connection is refused and does not wait in a queue that nobody serves.
    for (const socket of this.#sockets) socket.close()
    this.#sockets = []
    for (const worker of this.#workers()) {
      end(worker)
      const timer = setTimeout(() => {
        this.#logger.error({ worker: worker.number, workerPid: worker.pid }, `worker ${worker.number} did not end in time and is killed`)
        worker.kill()
      }, withinMs)
      void worker.gone.then(() => clearTimeout(timer))
    }
    this.#finishStop()
  }

  #finishStop(): void {
    if (this.#state !== GroupState.STOPPING || [...this.#workers()].length > 0) return
    this.#state = GroupState.STOPPED
    clearInterval(this.#watch)
    this.emit('close')
    if (this.#failure === undefined) this.#settleEnded?.resolve()
    else this.#settleEnded?.reject(this.#failure)
  }

  #startWorker(slot: Slot): WorkerProcess {
    const generation = this.#generation
    const worker = new WorkerProcess(
      {
        number: slot.number,
        options: this.#workerOptions,
        payload: this.#payload,
        module: this.#module,
        sockets: this.#sockets,
        startMs: this.#supervision.start,
        onLine: this.#onLine,
      },
      {
        onGone: (gone) => this.#onGone(slot, gone),
        onCount: () => this.#levelSoon(),
        onEvent: (event) => this.#watcher?.(event),
        onRetire: (retiring) => this.#onRetire(slot, retiring),
        onLog: (from, { level, fields, message }) => this.#logger[level]({ worker: from.number, workerPid: from.pid, ...fields }, message),
      },
    )
    worker.ready.then(
      () => {
        this.#logger.debug({ worker: worker.number, workerPid: worker.pid }, `worker ${worker.number} is ready`)
        for (const order of this.#serverOrders.values()) void worker.orderServer(order, statsTimeoutMs)
        if (this.#watcher !== undefined) worker.watch(true)
        if (this.#logLevel !== undefined) worker.setLogLevel(this.#logLevel)
        // Options changed while it started.
        if (generation !== this.#generation) void this.#catchUp(slot, worker)
        this.#levelSoon()
        this.emit('ready', worker.number, worker.pid)
      },
      () => {},
    )
    return worker
  }

  async #catchUp(slot: Slot, worker: WorkerProcess): Promise<void> {
    const closed = worker.addresses.filter((address) => !this.#sockets.some(({ wanted }) => wanted === address))
    const refusal = await worker.reload({ options: this.#workerOptions, payload: this.#payload, closed }, reloadTimeoutMs)
    const lacks = this.#sockets.some((socket) => !worker.addresses.includes(socket.wanted))
    if ((refusal === undefined && !lacks) || !this.#isServing || slot.worker !== worker || slot.candidate !== undefined) return
    this.#replace(slot).catch((error: unknown) => this.#logFailure(slot, error))
  }

  /** Once for all counts that came together. */
  #levelSoon(): void {
    if (this.#isLevelDue) return
    this.#isLevelDue = true
    setImmediate(() => {
      this.#isLevelDue = false
      this.#tellLevels()
    })
  }

  /** Tells each worker that accepts what the others have. One that stands still takes nothing, and is not waited for. */
  #tellLevels(): void {
    const workers = this.#slots.flatMap(({ worker }) => (worker?.state === WorkerState.READY ? [worker] : []))
    const awake = workers.filter((worker) => worker.silentMs < 2 * beatMs)
    const sum = awake.reduce((total, { connections }) => total + connections, 0)
    for (const worker of awake) {
      // With no sibling there is nobody to leave anything to.
      const level = awake.length === 1 ? Number.MAX_SAFE_INTEGER : (sum - worker.connections) / (awake.length - 1)
      worker.tellLevel(level)
    }
  }

  #onGone(slot: Slot, worker: WorkerProcess): void {
    const { stats } = worker.lastStats
    if (stats !== undefined) this.#departed = addCounters(this.#departed, stats)
    const wasRetired = this.#retired.delete(worker)
    void worker.gone.then((end) => this.#logEnd(worker, end, wasRetired))
    this.#levelSoon()
    if (slot.candidate === worker) slot.candidate = undefined
    if (slot.worker === worker) {
      slot.worker = undefined
      if (this.#state === GroupState.SERVING) {
        this.#crashesTotal++
        this.emit('crash', worker.number, worker.pid)
        // One that is to have the place anyway need only become ready.
        if (slot.candidate === undefined) this.#scheduleRestart(slot, worker.servedMs)
      }
    }
    this.#finishStop()
  }

  #logEnd(worker: WorkerProcess, end: string, wasRetired: boolean): void {
    // Why it did not start is told to who started it.
    if (worker.servedMs === 0) return
    const fields = { worker: worker.number, workerPid: worker.pid, end }
    if (end === 'exit code 0' && (wasRetired || this.#state !== GroupState.SERVING))
      this.#logger.debug(fields, `worker ${worker.number} has ended`)
    else if (this.#state === GroupState.SERVING) this.#logger.error(fields, `worker ${worker.number} ended unexpectedly: ${end}`)
  }

  /** The place is empty, or somebody who was to have it did not start. */
  #scheduleRestart(slot: Slot, servedMs: number): void {
    if (slot.isRemoved) return
    const othersServe = this.#slots.some(({ worker }) => worker?.state === WorkerState.READY)
    const decision = decideRestart({ endsBefore: slot.ends, servedMs, othersServe }, this.#supervision)
    if (decision.kind === 'give-up') return this.#giveUp(slot)
    slot.ends = decision.ends
    cancelRestart(slot)
    slot.restartTimer = setTimeout(() => {
      this.#replace(slot).catch((error: unknown) => this.#logFailure(slot, error))
    }, decision.waitMs)
  }

  #giveUp(slot: Slot): void {
    this.#failure = new ProxyError('ERR_EPROXY_WORKER', `no worker starts any more; the last was worker ${slot.number}`)
    this.#logger.fatal({ worker: slot.number }, this.#failure.message)
    this.destroy()
  }

  #onRetire(slot: Slot, worker: WorkerProcess): void {
    if (this.#state !== GroupState.SERVING || slot.worker !== worker || slot.candidate !== undefined) return
    this.#logger.info({ worker: worker.number, workerPid: worker.pid }, `worker ${worker.number} was told to end and is replaced`)
    this.#replace(slot).catch((error: unknown) => this.#logFailure(slot, error))
  }

  #logFailure(slot: Slot, error: unknown): void {
    if (this.#state !== GroupState.SERVING) return
    const { message } = error as Error
    this.#logger.error({ worker: slot.number, ends: slot.ends }, `worker ${slot.number} could not be replaced: ${message}`)
  }

  async #replaceAll(): Promise<void> {
    try {
      for (const slot of this.#slots) {
        // One that is on its way was started before we were called.
        while (slot.candidate !== undefined) await slot.candidate.ready.catch(() => {})
        if (!slot.isRemoved && slot.number <= this.#staying) await this.#replace(slot)
      }
      this.#reloadsTotal++
    } finally {
      this.#reloading = undefined
    }
  }

  /** The new one has to accept before the old one stops to. Rejects when it does not start, and leaves the place as it was. */
  async #replace(slot: Slot): Promise<void> {
    if (this.#state !== GroupState.SERVING) throw new ProxyError('ERR_EPROXY_STATE', 'the group does not serve')
    assert(slot.candidate === undefined, `two candidates for place ${slot.number}`)
    cancelRestart(slot)
    const next = this.#startWorker(slot)
    slot.candidate = next
    try {
      await next.ready
    } catch (error) {
      // The place was empty before, or is by now.
      if (slot.isRemoved) return
      if (this.#isServing && slot.worker === undefined) this.#scheduleRestart(slot, 0)
      throw error
    }
    // The place has gone, and who was to have it finishes.
    if (slot.isRemoved) return
    const old = slot.worker
    slot.candidate = undefined
    // It may have ended as soon as it was ready.
    slot.worker = next.state === WorkerState.GONE ? undefined : next
    if (this.#isServing && slot.worker === undefined) this.#scheduleRestart(slot, next.servedMs)
    if (this.#isServing && old !== undefined) this.#retire(old)
  }

  /** It finishes what it has, and has no place any more. */
  #retire(old: WorkerProcess): void {
    this.#retired.add(old)
    old.drain(this.#supervision.retire, this.#config.timeouts.drainIdle)
    const [eldest] = this.#retired
    if (this.#retired.size <= retiredPerSlot * this.#slots.length || eldest === undefined) return
    this.#logger.warn({ worker: eldest.number, workerPid: eldest.pid }, 'too many replaced workers still run, the eldest is ended')
    eldest.drain(0, 0)
  }

  #startWatch(): void {
    this.#watchedAt = performance.now()
    this.#watch = setInterval(() => this.#lookAround(), beatMs)
    this.#watch.unref()
  }

  #lookAround(): void {
    const now = performance.now()
    // When we were stopped ourselves, what the workers said meanwhile is yet to be read.
    const wasAway = now - this.#watchedAt > 2 * beatMs
    this.#watchedAt = now
    for (const worker of this.#workers()) {
      if (wasAway) worker.forgiveSilence()
      const verdict = judgeSilence(worker.silentMs, worker.isSilenceLogged, this.#supervision)
      if (verdict === 'wait') continue
      worker.isSilenceLogged = true
      const fields = { worker: worker.number, workerPid: worker.pid, silentMs: Math.round(worker.silentMs) }
      if (verdict === 'log') this.#logger.error(fields, `worker ${worker.number} does not answer: its event loop stands still`)
      else {
        this.#logger.error(fields, `worker ${worker.number} does not answer and is killed`)
        worker.kill()
      }
    }
  }
}

/** All or none. */
async function bindAll(addresses: readonly string[]): Promise<SharedSocket[]> {
  const bound: SharedSocket[] = []
  try {
    for (const address of addresses) bound.push(await SharedSocket.bind(address))
  } catch (error) {
    for (const socket of bound) socket.close()
    throw error
  }
  return bound
}

/** Places `from` to `to`, both included. */
function makeSlots(from: number, to: number): Slot[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_value, index) => ({
    number: from + index,
    worker: undefined,
    candidate: undefined,
    restartTimer: undefined,
    ends: 0,
    isRemoved: false,
  }))
}

function cancelRestart(slot: Slot): void {
  clearTimeout(slot.restartTimer)
  slot.restartTimer = undefined
}

function toPath(module: URL | string): string {
  return module instanceof URL || module.startsWith('file:') ? fileURLToPath(module) : module
}

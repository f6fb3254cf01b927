/**
 * One soak: good clients alone, for warm-up and then to be measured, and twice the same length with everybody else, and after each
 * phase but the first a look at what the process under test
 * still holds. It starts the other processes and ends them. It measures; what the figures mean is for checks.ts to say.
 */
import { readdirSync, readlinkSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { ChildProgram, type Exit } from './child-program.ts'
import type { MisdeedsTally, OriginOrders, RaidOrders, RaidsTally } from './crowd-messages.ts'
import { FaultList, type Faults } from './fault-list.ts'
import { GoodClients, type GoodTally, type Latency } from './good-clients.ts'
import { GoodOrigin } from './good-origin.ts'
import type { Standing, SubjectOrders } from './subject-messages.ts'

export interface SoakOptions {
  readonly timeMs: number
  readonly seed: number
  /** At once, of all kinds. */
  readonly clients: number
  /** A defect to be found. */
  readonly plant: string | null
}

/** What the process under test holds when nothing goes on. */
export interface Rest {
  /** Everything came to rest in time. */
  readonly isQuiet: boolean
  readonly msToQuiet: number
  readonly sockets: number
  readonly standing: Standing
}

export interface Phase {
  readonly name: string
  readonly seconds: number
  readonly good: GoodTally
  /** Of a few who ask the good origin directly: what this machine is capable of at that time, without the proxy. */
  readonly controlLatency: Latency
  /** How late the event loop of this process was, that of good clients and origin, p99. */
  readonly loopDelayMs: number
  readonly rest: Rest
}

export interface Peak {
  /** Of clients, all doors together. */
  readonly connections: number
  readonly sockets: number
  readonly residentBytes: number
  /** Connections to one server of each door. */
  readonly poolFront: number
  readonly poolRough: number
}

export interface SoakResult {
  readonly options: SoakOptions
  readonly seconds: number
  /** quiet, first half, second half; fewer when the run ended early. */
  readonly phases: readonly Phase[]
  readonly raids: RaidsTally
  readonly misdeeds: MisdeedsTally
  /** Of the good clients and their origin. */
  readonly faults: Faults
  readonly peak: Peak
  /** Of the process under test, before there was any client. */
  readonly socketsBefore: number
  /** How the process under test ended, when it had closed its proxies; null when it had to be ended. */
  readonly exit: Exit | null
  /** Why the run ended before its time, '' when it did not. */
  readonly endedEarly: string
  /** What is known of a process that was gone too soon, '' when none was. */
  readonly lost: string
}

/** Told while the run goes on. */
export interface Progress {
  readonly phase: string
  readonly secondsLeft: number
  readonly exchanges: number
  readonly faults: number
  readonly p99Ms: number
  readonly connections: number
  readonly sockets: number
  readonly residentBytes: number
}

/** Longer than any deadline that may still run when every client has left: linger, idle upstream connections, connects. */
const restMsMax = 10_000
const exitMsMax = 10_000
const lookEveryMs = 50
const sampleEveryMs = 500
const goodShare = 0.2
/** Of the number of good clients. */
const controlShare = 0.05
const quietShare = 0.08
const quietMsMax = 20_000

export async function runSoak(options: SoakOptions, onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<SoakResult> {
  const faults = new FaultList()
  await using subject = new ChildProgram<SubjectOrders>('the process under test', new URL('./subject.js', import.meta.url), ['--expose-gc'])
  await using raiders = new ChildProgram<RaidOrders>('the process of the raiders', new URL('./raid-process.js', import.meta.url))
  await using rough = new ChildProgram<OriginOrders>('the process of the rough origins', new URL('./origin-process.js', import.meta.url))
  await using origin = await GoodOrigin.listen(faults)
  return await new SoakRun(options, { subject, raiders, rough }, origin, faults, onProgress, signal).run()
}

interface Processes {
  readonly subject: ChildProgram<SubjectOrders>
  readonly raiders: ChildProgram<RaidOrders>
  readonly rough: ChildProgram<OriginOrders>
}

class SoakRun {
  readonly #options: SoakOptions
  readonly #subject: ChildProgram<SubjectOrders>
  readonly #raiders: ChildProgram<RaidOrders>
  readonly #rough: ChildProgram<OriginOrders>
  readonly #origin: GoodOrigin
  readonly #faults: FaultList
  readonly #onProgress: (progress: Progress) => void
  readonly #signal: AbortSignal
  readonly #phases: Phase[] = []
  #peak: Peak = { connections: 0, sockets: 0, residentBytes: 0, poolFront: 0, poolRough: 0 }
  #raids: RaidsTally = { raids: {}, faults: { count: 0, samples: [] } }
  #misdeeds: MisdeedsTally = { misdeeds: {}, faults: { count: 0, samples: [] } }
  #exchangesBefore = 0
  #socketsBefore = 0

  constructor(
    options: SoakOptions,
    { subject, raiders, rough }: Processes,
    origin: GoodOrigin,
    faults: FaultList,
    onProgress: (progress: Progress) => void,
    signal: AbortSignal,
  ) {
    this.#options = options
    this.#subject = subject
    this.#raiders = raiders
    this.#rough = rough
    this.#origin = origin
    this.#faults = faults
    this.#onProgress = onProgress
    this.#signal = signal
  }

  async run(): Promise<SoakResult> {
    const startedAt = performance.now()
    let endedEarly = ''
    let lost = ''
    let exit: Exit | null = null
    try {
      endedEarly = await this.#runPhases()
      await this.#raiders.ask('close', null)
      await this.#rough.ask('close', null)
      await this.#subject.ask('close', null)
      exit = await Promise.race([this.#subject.exit, delay(exitMsMax, null, { ref: false })])
    } catch (error) {
      // One of the processes is gone.
      lost = error instanceof Error ? error.message : String(error)
      endedEarly = 'a process was gone'
    }
    return {
      options: this.#options,
      seconds: (performance.now() - startedAt) / 1_000,
      phases: this.#phases,
      raids: this.#raids,
      misdeeds: this.#misdeeds,
      faults: { count: this.#faults.count, samples: this.#faults.samples },
      peak: this.#peak,
      socketsBefore: this.#socketsBefore,
      exit,
      endedEarly,
      lost,
    }
  }

  /** Resolves with why it ended early, '' when it did not. */
  async #runPhases(): Promise<string> {
    const { timeMs, seed, clients, plant } = this.#options
    const roughUpstreams = await this.#rough.ask('open', { seed })
    const doors = await this.#subject.ask('open', { goodUpstreams: this.#origin.addresses, roughUpstreams })
    this.#socketsBefore = countSockets(this.#subject.pid)
    const quietMs = Math.min(timeMs * quietShare, quietMsMax)
    const halfMs = (timeMs - 2 * quietMs) / 2
    const goodClients = Math.max(1, Math.round(clients * goodShare))
    // The code of all three processes is compiled as it runs: the latencies of a fresh one say nothing.
    const warmup = new GoodClients({ name: 'w', port: doors.front, count: goodClients, seed, faults: this.#faults })
    try {
      await this.#watch('warm-up', quietMs, warmup)
    } finally {
      await warmup.stop()
    }
    const phases = [
      { name: 'quiet', ms: quietMs, isRough: false },
      { name: 'first half', ms: halfMs, isRough: true },
      { name: 'second half', ms: halfMs, isRough: true },
    ]
    for (const [index, { name, ms, isRough }] of phases.entries()) {
      const phaseSeed = seed * 1_000_003 + index * 100_003
      const startedAt = performance.now()
      const loopDelay = monitorEventLoopDelay({ resolution: 10 })
      loopDelay.enable()
      const good = new GoodClients({ name: name[0]!, port: doors.front, count: goodClients, seed: phaseSeed, faults: this.#faults })
      const control = new GoodClients({
        name: `${name[0]}c`,
        port: this.#origin.ports[0]!,
        count: Math.max(2, Math.round(goodClients * controlShare)),
        seed: phaseSeed + 40_000,
        faults: this.#faults,
        isSmallOnly: true,
      })
      try {
        // The quiet phase shows how it should be.
        if (isRough && index === 1 && plant !== null) await this.#subject.ask('plant', { defect: plant })
        if (isRough) await this.#raiders.ask('raid', { doors, clients: clients - goodClients, seed: phaseSeed + 50_000 })
        await this.#watch(name, ms, good)
      } finally {
        // Also when a process is gone: clients that find nobody end at once.
        const stopped = Promise.all([good.stop(), control.stop()])
        if (isRough && this.#raiders.isRunning) this.#raids = await this.#raiders.ask('stop', null)
        if (this.#rough.isRunning) this.#misdeeds = await this.#rough.ask('tally', null)
        await stopped
      }
      const seconds = (performance.now() - startedAt) / 1_000
      this.#exchangesBefore += good.exchanges
      const rest = await this.#comeToRest()
      loopDelay.disable()
      this.#phases.push({
        name,
        seconds,
        good: good.tally,
        controlLatency: control.tally.latency,
        loopDelayMs: loopDelay.percentile(99) / 1e6,
        rest,
      })
      if (good.areStuck) return `after the ${name} good clients had to be stopped by force`
      if (!rest.isQuiet) return `after the ${name} not everything came to rest`
      if (this.#signal.aborted) return 'it was interrupted'
    }
    return ''
  }

  /** Lets a phase go on for its time, and keeps the peaks. */
  async #watch(name: string, ms: number, good: GoodClients): Promise<void> {
    const until = performance.now() + ms
    for (let now = performance.now(); now < until && !this.#signal.aborted; now = performance.now()) {
      const { proxies, residentBytes } = await this.#subject.ask('standing', { isSettled: false })
      const connections = Object.values(proxies).reduce((sum, proxy) => sum + proxy.connections, 0)
      const sockets = countSockets(this.#subject.pid)
      const poolOf = (door: 'front' | 'rough'): number =>
        Math.max(...Object.values(proxies[door].upstreams).map(({ idle, busy, connecting }) => idle + busy + connecting))
      this.#peak = {
        connections: Math.max(this.#peak.connections, connections),
        sockets: Math.max(this.#peak.sockets, sockets),
        residentBytes: Math.max(this.#peak.residentBytes, residentBytes),
        poolFront: Math.max(this.#peak.poolFront, poolOf('front')),
        poolRough: Math.max(this.#peak.poolRough, poolOf('rough')),
      }
      this.#onProgress({
        phase: name,
        secondsLeft: Math.round((until - now) / 1_000),
        exchanges: this.#exchangesBefore + good.exchanges,
        faults: this.#faults.count,
        p99Ms: good.tally.latency.p99Ms,
        connections,
        sockets,
        residentBytes,
      })
      await delay(Math.min(sampleEveryMs, Math.max(0, until - performance.now())), undefined, { signal: this.#signal }).catch(() => {})
    }
  }

  /** Every client has left. No event tells that the proxies have noticed: they are asked until it is so. */
  async #comeToRest(): Promise<Rest> {
    const startedAt = performance.now()
    for (;;) {
      const isQuiet = isAtRest(await this.#subject.ask('standing', { isSettled: false }))
      const msToQuiet = performance.now() - startedAt
      if (isQuiet || msToQuiet > restMsMax) {
        const standing = await this.#subject.ask('standing', { isSettled: true })
        return { isQuiet, msToQuiet, sockets: countSockets(this.#subject.pid), standing }
      }
      await delay(lookEveryMs)
    }
  }
}

/** Nothing is open, nothing is half read, nothing is waited for. */
function isAtRest({ proxies }: Standing): boolean {
  return Object.values(proxies).every(
    ({ connections, parserSlots, deadlines, upstreams }) =>
      connections + parserSlots + deadlines === 0 &&
      Object.values(upstreams).every(({ idle, busy, connecting, waiting }) => idle + busy + connecting + waiting === 0),
  )
}

/** Open sockets of a process, as the kernel sees them. */
function countSockets(pid: number): number {
  const directory = `/proc/${pid}/fd`
  return readdirSync(directory).filter((name) => {
    try {
      return readlinkSync(`${directory}/${name}`).startsWith('socket:')
    } catch {
      // Closed while the list was read.
      return false
    }
  }).length
}

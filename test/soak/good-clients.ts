/**
 * The clients that do everything right: what they do, how often, and how they fared. Each goes from session to session until it is told to stop, and
 * then finishes what it has begun. Anything that goes wrong for one of them is a fault of the proxy.
 */
import { createHistogram, type Histogram } from 'node:perf_hooks'
import { SeededRandom } from '../support/seeded-random.ts'
import type { FaultList } from './fault-list.ts'
import { GoodConnection, type Answered, type GoodConnectionOptions, type Plan } from './good-connection.ts'
import { Pace } from './pace.ts'

const kib = 1_024
const mib = 1_024 * kib

/** What a good client has begun takes a second or two; a machine that is busy otherwise is given more. */
const finishMsMax = 20_000

interface Session {
  readonly name: string
  readonly weight: number
  /** Its exchanges are part of the latencies. */
  readonly isMeasured?: true
  run(client: GoodClient): Promise<void>
}

// oxfmt-ignore
const sessionTable: readonly Session[] = [
  { name: 'small GETs, kept alive', weight: 40, isMeasured: true, run: async (client) => {
    await client.connected({}, async (connection) => {
      const count = client.random.integer(5, 60)
      for (let index = 0; index < count && !client.pace.isOver; index++) {
        const answer = await connection.exchange(client.plan({ wantedBytes: client.random.integer(0, 4 * kib) }))
        client.measured(answer, index === 0 ? 'first' : 'next')
        await client.pace.rest(client.random.integer(0, 60))
      }
    })
  } },
  { name: 'small POSTs, kept alive', weight: 15, isMeasured: true, run: async (client) => {
    await client.connected({}, async (connection) => {
      const count = client.random.integer(5, 30)
      for (let index = 0; index < count && !client.pace.isOver; index++) {
        const answer = await connection.exchange(client.plan({ method: 'POST', bodyBytes: client.random.integer(0, 4 * kib), wantedBytes: client.random.integer(0, 4 * kib) }))
        client.measured(answer, index === 0 ? 'first' : 'next')
        await client.pace.rest(client.random.integer(0, 60))
      }
    })
  } },
  { name: 'pipelined', weight: 10, run: async (client) => {
    await client.connected({}, async (connection) => {
      for (let left = client.random.integer(1, 4); left > 0 && !client.pace.isOver; left--) {
        const plans = Array.from({ length: client.random.integer(2, 40) }, () =>
          client.plan({ method: client.random.pick(['GET', 'GET', 'HEAD', 'POST']), bodyBytes: client.random.integer(0, 2 * kib), wantedBytes: client.random.integer(0, 8 * kib) }))
        client.counted(await connection.pipeline(plans))
        await client.pace.rest(client.random.integer(0, 200))
      }
    })
  } },
  { name: 'download', weight: 6, run: (client) => client.once({}, { wantedBytes: client.random.integer(64 * kib, 4 * mib) }) },
  { name: 'download, read slowly', weight: 4, run: (client) => client.once({ rests: { everyBytes: 128 * kib, ms: 30 } }, { wantedBytes: client.random.integer(64 * kib, 2 * mib) }) },
  { name: 'upload', weight: 6, run: (client) => client.once({}, { method: client.random.pick(['POST', 'PUT']), bodyBytes: client.random.integer(64 * kib, 4 * mib) }) },
  { name: 'upload and download', weight: 4, run: (client) => client.once({}, { method: 'POST', bodyBytes: client.random.integer(0, 1 * mib), wantedBytes: client.random.integer(0, 1 * mib) }) },
  { name: 'Expect: 100-continue', weight: 4, run: (client) => client.once({}, { method: 'PUT', bodyBytes: client.random.integer(1, 256 * kib), expectsContinue: true }) },
  { name: 'one request each', weight: 8, run: (client) => client.once({}, { wantedBytes: client.random.integer(0, 16 * kib), isLast: true }) },
  { name: 'HTTP/1.0', weight: 4, run: (client) => client.once({}, { minorVersion: 0, bodyFraming: 'none', wantedBytes: client.random.integer(0, 64 * kib), isLast: client.random.chance(0.5) }) },
  { name: 'answer that ends with its connection', weight: 3, run: (client) => client.once({}, { wantedBytes: client.random.integer(0, 256 * kib), wantedFraming: 'close' }) },
  { name: 'origin that takes its time', weight: 4, run: (client) => client.once({}, { wantedBytes: 100, delayMs: client.random.integer(100, 1_500) }) },
  { name: 'tunnel', weight: 4, run: async (client) => {
    await client.connected({}, (connection) => connection.tunnel(client.nextTag(), client.random.integer(1, 512 * kib)))
  } },
]

export interface Latency {
  readonly count: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

export interface GoodTally {
  readonly exchanges: number
  readonly tunnels: number
  /** Of answers, all of them checked. */
  readonly bytes: number
  readonly sessions: Readonly<Record<string, number>>
  /** Of small exchanges over connections that had served one before. */
  readonly latency: Latency
  /** Of the first small exchange of a connection: it waits to be accepted, too. */
  readonly firstLatency: Latency
}

export interface GoodClientsOptions {
  /** What their tags begin with. */
  readonly name: string
  readonly port: number
  readonly count: number
  readonly seed: number
  readonly faults: FaultList
  /** Nothing but the exchanges that are part of the latencies. */
  readonly isSmallOnly?: boolean
}

/** A crowd of good clients, for one phase of the run. */
export class GoodClients {
  readonly #pace = new Pace()
  readonly #loops: Promise<void>[]
  readonly #sessions: Record<string, number> = {}
  readonly #weights: Readonly<Record<string, number>>
  readonly #latency = { first: createHistogram(), next: createHistogram() }
  readonly #faults: FaultList
  readonly #open = new Set<GoodConnection>()
  #areStuck = false
  exchanges = 0
  tunnels = 0
  bytes = 0

  constructor({ name, port, count, seed, faults, isSmallOnly = false }: GoodClientsOptions) {
    this.#faults = faults
    const chosen = sessionTable.filter(({ isMeasured }) => !isSmallOnly || isMeasured === true)
    this.#weights = Object.fromEntries(chosen.map((row) => [row.name, row.weight]))
    this.#loops = Array.from({ length: count }, (_, index) =>
      this.#live(new GoodClient(`${name}${index}`, port, seed + index, this.#pace, this)),
    )
  }

  get tally(): GoodTally {
    const { exchanges, tunnels, bytes } = this
    return {
      exchanges,
      tunnels,
      bytes,
      sessions: { ...this.#sessions },
      latency: summarise(this.#latency.next),
      firstLatency: summarise(this.#latency.first),
    }
  }

  measure(milliseconds: number, place: 'first' | 'next'): void {
    this.#latency[place].record(Math.max(1, Math.round(milliseconds * 1_000)))
  }

  /** Some had to be stopped by force. */
  get areStuck(): boolean {
    return this.#areStuck
  }

  /** Resolves when every client has finished and its connection is closed. Who takes too long is stopped, and that is a fault. */
  async stop(): Promise<void> {
    this.#pace.end()
    const force = setTimeout(() => {
      this.#areStuck = true
      this.#faults.add(`${this.#open.size} connections of good clients were not done ${finishMsMax / 1_000} s after the end`)
      for (const connection of this.#open) connection.destroy()
    }, finishMsMax)
    await Promise.all(this.#loops)
    clearTimeout(force)
  }

  async open(options: GoodConnectionOptions): Promise<GoodConnection> {
    const connection = await GoodConnection.open(options)
    this.#open.add(connection)
    return connection
  }

  closed(connection: GoodConnection): void {
    this.#open.delete(connection)
  }

  async #live(client: GoodClient): Promise<void> {
    // Not all at once.
    await this.#pace.rest(client.random.integer(0, 500))
    while (!this.#pace.isOver) {
      const name = client.random.weighted(this.#weights)
      const session = sessionTable.find((row) => row.name === name)!
      this.#sessions[name] = (this.#sessions[name] ?? 0) + 1
      try {
        await session.run(client)
        if (name === 'tunnel') this.tunnels++
      } catch (error) {
        this.#faults.add(`${name}: ${error instanceof Error ? error.message : String(error)}`)
        // Whoever cannot connect does not try again at once.
        await this.#pace.rest(100)
      }
      await this.#pace.rest(client.random.integer(0, 100))
    }
  }
}

function summarise(micros: Histogram): Latency {
  if (micros.count === 0) return { count: 0, p50Ms: 0, p99Ms: 0, maxMs: 0 }
  return { count: micros.count, p50Ms: micros.percentile(50) / 1_000, p99Ms: micros.percentile(99) / 1_000, maxMs: micros.max / 1_000 }
}

/** One client: its name, its chance, and what it needs to go about its sessions. */
class GoodClient {
  readonly port: number
  readonly random: SeededRandom
  readonly pace: Pace
  readonly #name: string
  readonly #all: GoodClients
  #requests = 0

  constructor(name: string, port: number, seed: number, pace: Pace, all: GoodClients) {
    this.#name = name
    this.port = port
    this.random = new SeededRandom(seed)
    this.pace = pace
    this.#all = all
  }

  nextTag(): string {
    return `${this.#name}-${this.#requests++}`
  }

  plan(wishes: Partial<Plan>): Plan {
    const { method = 'GET', bodyBytes = 0 } = wishes
    const hasBody = method === 'POST' || method === 'PUT'
    return {
      tag: this.nextTag(),
      method,
      bodyFraming: hasBody ? this.random.pick(['length', 'chunked']) : 'none',
      wantedBytes: 0,
      wantedFraming: this.random.pick(['length', 'length', 'chunked']),
      delayMs: 0,
      expectsContinue: false,
      minorVersion: 1,
      isLast: false,
      ...wishes,
      bodyBytes: hasBody ? bodyBytes : 0,
    }
  }

  /** Opens a connection, works on it, and closes it in good order. */
  async connected(options: Pick<GoodConnectionOptions, 'rests'>, work: (connection: GoodConnection) => Promise<void>): Promise<void> {
    const connection = await this.#all.open({ port: this.port, random: this.random, ...options })
    try {
      await work(connection)
      await connection.end()
    } finally {
      connection.destroy()
      this.#all.closed(connection)
    }
  }

  async once(options: Pick<GoodConnectionOptions, 'rests'>, wishes: Partial<Plan>): Promise<void> {
    await this.connected(options, async (connection) => this.counted([await connection.exchange(this.plan(wishes))]))
  }

  counted(answers: readonly Answered[]): void {
    this.#all.exchanges += answers.length
    for (const { bytes } of answers) this.#all.bytes += bytes
  }

  /** Counts, and is part of the latencies. */
  measured(answer: Answered, place: 'first' | 'next'): void {
    this.counted([answer])
    this.#all.measure(answer.milliseconds, place)
  }
}

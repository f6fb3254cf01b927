/**
 * The whole engine between simulated clients and origins, on a clock that only the simulation moves. One seed, one run: which socket says
 * something next, how many bytes of it, and when time goes on is drawn from the seed. The actors judge the bytes, this file the rest:
 * bounds while it runs, and that nothing is left behind at the end.
 */
import assert from 'node:assert/strict'
import type { ParserEngine } from '../../native-free-parser/index.ts'
import { ProxyError } from '../../lib/core/errors.ts'
import { resolveOptions, type ProxyConfig } from '../../lib/core/options.ts'
import { TimerWheel } from '../../lib/core/timers.ts'
import { DownstreamConnection } from '../../lib/downstream/connection.ts'
import type { DownstreamEnvironment } from '../../lib/downstream/environment.ts'
import { makePlainPolicy, type ListenerPolicy } from '../../lib/policy/policy.ts'
import { makeRetry } from '../../lib/policy/retry.ts'
import type { SocketHandler } from '../../lib/net/byte-socket.ts'
import { Counters } from '../../lib/observe/counters.ts'
import type { ExchangeSummary } from '../../lib/observe/exchange-summary.ts'
import type { UpstreamEnvironment } from '../../lib/upstream/environment.ts'
import { plainBalancing, plainServers, UpstreamGroup, type Balancing } from '../../lib/upstream/group.ts'
import type { ResolvedAddress } from '../../lib/upstream/resolver.ts'
import { ClientActor } from './client-actor.ts'
import { Ledger } from './ledger.ts'
import { OriginActor } from './origin-actor.ts'
import { SharedReadBuffer, SimulatedSocket } from './simulated-socket.ts'
import { surroundDownstream, surroundUpstream } from './surroundings.ts'
import { VirtualClock } from './virtual-clock.ts'
import type { World } from './world.ts'

const outlier = { consecutive: 2, failureShare: 0.3, requests: 4, windowMs: 5_000, ejectMs: 500, ejectMaxMs: 4_000, ejectShareMax: 0.5 }

/** Every way to choose that tells a client nothing, with and without what is learned of servers. */
const balancings: readonly Balancing[] = [
  plainBalancing,
  { ...plainBalancing, balance: 'least-connections', outlier, panicShare: 0.5 },
  { ...plainBalancing, balance: 'power-of-two', outlier, slowStartMs: 2_000 },
  { ...plainBalancing, balance: 'hash', outlier },
]

/** What a direction may hold back: one read, and the framing that is put around it. */
const unsentBytesMax = 2 * 65_536 + 4_096
const stepsMax = 60_000
const settleRoundsMax = 2_000

type Action = () => void

export class Simulation {
  readonly world: World
  readonly summaries: ExchangeSummary[] = []
  readonly #clock = new VirtualClock()
  readonly #wheel: TimerWheel
  readonly #counters = new Counters()
  readonly #engine: ParserEngine
  readonly #buffer: SharedReadBuffer
  readonly #config: ProxyConfig
  readonly #ledger = new Ledger()
  readonly #sockets: SimulatedSocket[] = []
  readonly #clients: ClientActor[] = []
  readonly #origins: OriginActor[] = []
  readonly #upstreams: UpstreamGroup
  readonly #environment: DownstreamEnvironment
  /** Names that are being resolved. */
  readonly #lookups: (() => void)[] = []
  readonly #known = new Set<string>()
  #opened = 0
  #closed = 0
  #stepCount = 0
  #actorsLive = true
  readonly trace: string[] = []

  constructor(world: World, engine: ParserEngine) {
    const { random, isCalm } = world
    this.world = world
    this.#engine = engine
    this.#buffer = new SharedReadBuffer(engine.readBuffer)
    const hosts = ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80'].slice(0, world.servers)
    this.#config = resolveOptions(
      {
        upstreams: world.namesResolve ? hosts.map((_, i) => `server${i}:80`) : hosts,
        halfClosedClients: random.pick(['abort', 'serve']),
        reuseAfterBody: random.pick(['same-client', 'anyone']),
        desync: { quarantineAfter: random.pick([0, 1, 3]), quarantine: random.pick([100, 60_000]) },
        // Tunnels that nobody ends keep their connections: the calm need one for each client.
        pool: {
          connections: isCalm ? 4 : random.integer(1, 4),
          waiting: isCalm ? 100 : random.integer(0, 4),
          attempts: random.integer(1, 3),
        },
        limits: {
          turnMessages: random.pick([1, 2, 32]),
          lingerBytes: isCalm ? 262_144 : random.pick([0, 50, 262_144]),
          replayBytes: isCalm ? 1_048_576 : random.pick(world.retry === undefined ? [0, 100, 65_536] : [400, 65_536, 65_536]),
          minRate: isCalm ? 0 : random.pick([0, 240]),
        },
        timeouts: {
          linger: isCalm ? 2_000 : random.pick([0, 500, 2_000]),
          request: isCalm ? 0 : random.pick([0, 0, 20_000]),
          tunnelIdle: 20_000,
          halfClose: 5_000,
        },
      },
      'sim',
    )
    this.#wheel = new TimerWheel(this.#clock, {
      onLag: () => {},
      onFault: (error) => {
        throw error
      },
    })
    // No draw of its own: what recorded inputs stand for is to stay as it is.
    const balancing = balancings[(world.clients + world.windowBytes) % balancings.length]!
    this.#upstreams = new UpstreamGroup(plainServers(this.#config.upstreams), this.#makeUpstreamEnvironment(), '', balancing)
    this.#environment = surroundDownstream({
      policy: this.#makePolicy(),
      wheel: this.#wheel,
      counters: this.#counters,
      onExchangeEnd: (exchange) => void this.summaries.push(exchange.summarize()),
      abandon: (client) => this.#upstreams.abandon(client),
      onConnectionClosed: () => void this.#closed++,
    })
  }

  /** Throws when something is not as it should be. */
  async run(): Promise<void> {
    // What hangs on a promise goes on only when the simulation lets it.
    const steps = this.#steps()
    while (steps.next().done !== true) await new Promise((resolve) => setImmediate(resolve))
  }

  /** The same in one go: for a world in which no name is resolved, so that nothing hangs on a promise. */
  runAtOnce(): void {
    assert(!this.world.namesResolve, 'names are resolved in this world')
    const steps = this.#steps()
    const { done } = steps.next()
    steps.return(undefined)
    assert(done, 'something hangs on a promise')
  }

  /** Yields where promises have to go on. */
  *#steps(): Generator<void> {
    try {
      yield* this.#play()
      yield* this.#settle()
      this.#judgeEnd()
    } finally {
      this.#wheel.stop()
      for (const socket of this.#sockets) if (!socket.closed) socket.handler.onClose(new Error('the simulation is over'))
    }
  }

  *#play(): Generator<void> {
    const { random, clients } = this.world
    let toOpen = clients
    while (this.#stepCount < stepsMax) {
      if (toOpen > 0 && (this.#sockets.length === 0 || random.chance(0.02))) {
        toOpen--
        this.#open()
      }
      const actions = this.#actions()
      if (actions.length === 0) {
        if (toOpen > 0) continue
        return
      }
      yield* this.#step(random.pick(actions))
      if (this.world.isCalm) continue
      if (random.chance(0.01)) this.#advance(random.pick([1, 10, 100, 500]))
      else if (random.chance(0.001)) this.#advance(random.pick([2_000, 5_000, 11_000]))
    }
    assert.fail('the actors never come to an end')
  }

  /** Nothing moves any more but time: the proxy has to come to an end by itself, or with actors that leave. */
  *#settle(): Generator<void> {
    const { random, isCalm, endsDead } = this.world
    this.#actorsLive = !endsDead
    for (let round = 0; round < settleRoundsMax; round++) {
      for (let actions = this.#actions(); actions.length > 0; actions = this.#actions()) {
        yield* this.#step(random.pick(actions))
        assert(this.#stepCount < 2 * stepsMax, 'the actors never come to an end')
      }
      if (isCalm && round === 0) this.#judgeCalm()
      if (this.#sockets.every((socket) => socket.closed)) return
      if (this.#actorsLive) {
        for (const client of this.#clients) {
          client.loseIndecision()
          if (round === 100) client.leave()
        }
      }
      this.#advance(1_000)
    }
    const open = this.#sockets.filter((socket) => !socket.closed)
    assert.fail(
      `${open.length} connections are still open after ${settleRoundsMax} s: ${open.map((socket) => this.#describe(socket)).join('; ')}`,
    )
  }

  /** With nobody at fault, everybody has what he asked for, before any deadline. */
  #judgeCalm(): void {
    for (const client of this.#clients) {
      client.loseIndecision()
      assert(client.hasAllAnswers || client.isWaitingForContinue, `a request was not answered: ${client.describe()}`)
    }
  }

  #judgeEnd(): void {
    assert.equal(this.#closed, this.#opened, 'every client connection is reported closed, once')
    assert.equal(this.#engine.slotsInUse, 0, 'parser slots are left in use')
    for (const [name, stats] of Object.entries(this.#upstreams.stats)) {
      const { idle, busy, connecting, waiting } = stats
      assert.deepEqual({ idle, busy, connecting, waiting }, { idle: 0, busy: 0, connecting: 0, waiting: 0 }, `the pool of ${name}`)
    }
    const { active, retrying } = this.#upstreams.balanceStats
    assert.deepEqual({ active, retrying }, { active: 0, retrying: 0 }, 'exchanges that are over have servers')
    // A quarantine outlives the connections that brought it.
    this.#upstreams.destroy()
    assert.equal(this.#wheel.size, 0, 'deadlines are left in the wheel')
    assert.equal(this.#environment.requestBatch.isEmpty, true, 'request bytes are left in the batch')
    assert.equal(this.#environment.responseBatch.isEmpty, true, 'response bytes are left in the batch')
    this.#judgeSummaries()
  }

  #judgeSummaries(): void {
    assert.equal(new Set(this.summaries.map(({ id }) => id)).size, this.summaries.length, 'two summaries have one id')
    const byTag = new Map<string, ExchangeSummary[]>()
    for (const summary of this.summaries) {
      const tag = /[^/]*$/.exec(summary.target)![0]
      if (tag === '') continue
      byTag.set(tag, [...(byTag.get(tag) ?? []), summary])
    }
    for (const [tag, summaries] of byTag) assert.equal(summaries.length, 1, `${tag} has ${summaries.length} summaries`)
    for (const origin of this.#origins) {
      for (const { target } of origin.requestsSeen) assert(byTag.has(target.slice(1)), `${target} has no summary`)
    }
    for (const client of this.#clients) {
      for (const tag of client.wholeAnswers) {
        const summary = byTag.get(tag)?.[0]
        assert(summary !== undefined, `${tag} was answered and has no summary`)
        assert(summary.status >= 200 && (summary.upstream !== '' || summary.status === 101), `${tag}: ${JSON.stringify(summary)}`)
      }
      if (client.gaveUp || this.world.endsDead) continue
      for (const request of client.plan) {
        const summary = byTag.get(request.tag)?.[0]
        if (summary === undefined || summary.error !== '' || summary.tunnel || summary.status === 0) continue
        assert(
          client.isOver || client.wholeAnswers.includes(request.tag),
          `${request.tag} is logged as well answered, and was not: ${client.describe()}`,
        )
      }
    }
  }

  #open(): void {
    const number = this.#opened++
    const socket = new SimulatedSocket(`192.0.2.${number + 1}:1000`, this.world.windowBytes, this.#buffer, true)
    this.#sockets.push(socket)
    this.#clients.push(new ClientActor(`c${number}`, socket, this.world, this.#ledger))
    socket.handler = new DownstreamConnection(socket, this.#environment)
  }

  #actions(): Action[] {
    const actions: Action[] = []
    for (const socket of this.#sockets) {
      for (const event of socket.events()) {
        if (event === 'take' && !this.#actorsLive) continue
        actions.push(() => {
          this.#note(`${socket.remote} ${event}`)
          socket.happen(event, event === 'data' || event === 'take' ? this.world.pieceBytes() : 0)
        })
      }
    }
    if (this.#actorsLive) {
      for (const actor of [...this.#clients, ...this.#origins]) {
        if (actor.canAct) {
          actions.push(() => {
            this.#note(`${actor.name} acts`)
            actor.act()
          })
        }
      }
    }
    if (this.#clock.deferredCount > 0) actions.push(() => this.#clock.runDeferred())
    if (this.#lookups.length > 0) actions.push(() => this.#lookups.shift()!())
    return actions
  }

  *#step(action: Action): Generator<void> {
    const wasResolving = this.#lookups.length
    this.#stepCount++
    action()
    if (wasResolving > 0) yield
    this.#judgeStep()
  }

  #advance(ms: number): void {
    if (this.trace.at(-1)?.startsWith('time ') !== true) this.#note(`time ${this.#clock.now()} +${ms}`)
    this.#clock.advance(ms)
    this.#judgeStep()
  }

  #judgeStep(): void {
    for (const socket of this.#sockets) {
      assert(socket.unsentBytes <= unsentBytesMax, `${socket.unsentBytes} bytes wait to be sent to ${socket.remote}`)
    }
    for (const client of this.#clients) client.judge()
    for (const [name, stats] of Object.entries(this.#upstreams.stats)) {
      const { connections, waiting } = this.#config.pool
      assert(
        stats.idle >= 0 && stats.busy >= 0 && stats.connecting >= 0 && stats.waiting >= 0,
        `the pool of ${name}: ${JSON.stringify(stats)}`,
      )
      assert(
        stats.idle + stats.busy + stats.connecting <= connections,
        `the pool of ${name} has too many connections: ${JSON.stringify(stats)}`,
      )
      assert(stats.waiting <= waiting + connections, `too many wait for ${name}: ${JSON.stringify(stats)}`)
    }
  }

  #note(text: string): void {
    this.trace.push(text)
    if (this.trace.length > 400) this.trace.splice(0, 200)
  }

  #describe(socket: SimulatedSocket): string {
    const state = (socket.handler as DownstreamConnection).state
    const client = this.#clients.find((one) => one.socket === socket)
    const hold = (socket.handler as DownstreamConnection).hold.toString()
    return `${client?.describe() ?? this.#origins.find((one) => one.socket === socket)?.name ?? 'connecting'} [${state}${hold === '' ? '' : ` held by ${hold}`}, ${socket.unsentBytes} unsent]`
  }

  #makeUpstreamEnvironment(): UpstreamEnvironment {
    const { world } = this
    return surroundUpstream({
      config: this.#config,
      parserEngine: this.#engine,
      wheel: this.#wheel,
      counters: this.#counters,
      resolver: {
        lookupCached: (host) =>
          /^[0-9]/.test(host) || (this.#known.has(host) && world.random.chance(0.8)) ? [{ address: host, family: 4 }] : undefined,
        resolve: (host) =>
          new Promise<readonly ResolvedAddress[]>((resolve, reject) => {
            this.#lookups.push(() => {
              if (world.fault(0.15)) return reject(new ProxyError('ERR_EPROXY_DNS_FAILED', `${host} has no address`))
              this.#known.add(host)
              resolve([{ address: host, family: 4 }])
            })
          }),
      },
      random: () => world.random.next(),
      connect: (address, handler) => this.#connect(address.kind === 'tcp' ? address.host : address.path, handler),
    })
  }

  #connect(host: string, handler: SocketHandler): SimulatedSocket {
    const { world } = this
    const number = this.#origins.length + 1
    const socket = new SimulatedSocket(`${host}#${number}`, world.windowBytes, this.#buffer, false)
    socket.handler = handler
    this.#sockets.push(socket)
    this.#origins.push(new OriginActor(`o${number}`, socket, world, this.#ledger))
    if (world.fault(0.15)) socket.refuse()
    else if (world.fault(0.05)) socket.ignoreConnect()
    return socket
  }

  /** One route, by the rule of this world. */
  #makePolicy(): ListenerPolicy {
    const plain = makePlainPolicy(this.#config, this.#upstreams, this.#engine)
    const { retry } = this.world
    if (retry === undefined) return plain
    const rule = makeRetry(retry)
    return { ...plain, routeFor: (head) => ({ ...plain.routeFor(head), retry: rule }) }
  }
}

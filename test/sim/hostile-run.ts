/**
 * The whole engine between clients that smuggle and a server that falls for it, on a clock that only the run moves. One seed, one run. Each
 * answer of the server names the request that it is meant for, so a client can tell whether it was given its own. What a client smuggles may
 * come back to itself; what it gets of any other client's is counted.
 */
import assert from 'node:assert/strict'
import type { ParserEngine } from '../../native-free-parser/index.ts'
import type { DesyncKind } from '../../lib/core/desync.ts'
import { resolveOptions, type DesyncLimits, type ProxyConfig, type ReuseAfterBody } from '../../lib/core/options.ts'
import { TimerWheel } from '../../lib/core/timers.ts'
import { DownstreamConnection } from '../../lib/downstream/connection.ts'
import type { DownstreamEnvironment } from '../../lib/downstream/environment.ts'
import { makePlainPolicy } from '../../lib/policy/policy.ts'
import type { SocketHandler } from '../../lib/net/byte-socket.ts'
import { Counters } from '../../lib/observe/counters.ts'
import type { ExchangeSummary } from '../../lib/observe/exchange-summary.ts'
import { plainServers, UpstreamGroup } from '../../lib/upstream/group.ts'
import { innocentRequest, LenientServer, smugglingRequest, type HostileRequest, type Leniency } from '../support/lenient-server.ts'
import { fieldOf, ReferenceReader } from '../support/reference-parser.ts'
import { SeededRandom } from '../support/seeded-random.ts'
import { SharedReadBuffer, SimulatedSocket } from './simulated-socket.ts'
import { surroundDownstream, surroundUpstream } from './surroundings.ts'
import { VirtualClock } from './virtual-clock.ts'

export interface HostileOptions {
  readonly reuseAfterBody: ReuseAfterBody
  readonly desync: Partial<DesyncLimits>
}

const stepsMax = 30_000
const clientsCount = 5
const requestsOfClient = 8

export class HostileRun {
  /** Answers to the requests of others that a client was given. */
  readonly mixedUp: string[] = []
  readonly kinds = new Set<DesyncKind>()
  quarantines = 0
  /** Exchanges that had a used connection although they began in quarantine. */
  readonly reusedInQuarantine: string[] = []
  answered = 0
  readonly #leniency: Leniency
  readonly #random: SeededRandom
  readonly #clock = new VirtualClock()
  readonly #wheel: TimerWheel
  readonly #counters = new Counters()
  readonly #engine: ParserEngine
  readonly #config: ProxyConfig
  readonly #upstreams: UpstreamGroup
  readonly #environment: DownstreamEnvironment
  readonly #sockets: SimulatedSocket[] = []
  readonly #servers: { readonly socket: SimulatedSocket; readonly out: string[] }[] = []
  readonly #clients: HostileClient[]
  #isQuarantined = false
  #quarantinedAt = 0

  constructor(seed: number, leniency: Leniency, options: HostileOptions, engine: ParserEngine) {
    const random = new SeededRandom(seed)
    this.#leniency = leniency
    this.#random = random
    this.#engine = engine
    const upstreams = ['10.0.0.1:80']
    this.#config = resolveOptions({ upstreams, ...options, pool: { connections: random.integer(2, 6) } }, 'sim')
    const onFault = (error: unknown): never => {
      throw error
    }
    this.#wheel = new TimerWheel(this.#clock, { onLag: () => {}, onFault })
    const buffer = new SharedReadBuffer(engine.readBuffer)
    const environment = surroundUpstream({
      config: this.#config,
      parserEngine: engine,
      wheel: this.#wheel,
      counters: this.#counters,
      random: () => random.next(),
      connect: (_address, handler) => this.#connect(buffer, handler),
      onDesync: (_connection, kind) => void this.kinds.add(kind),
      onQuarantine: (_server, isQuarantined) => {
        this.#isQuarantined = isQuarantined
        if (!isQuarantined) return
        this.quarantines++
        this.#quarantinedAt = this.#clock.wallNow()
      },
    })
    this.#upstreams = new UpstreamGroup(plainServers(this.#config.upstreams), environment)
    this.#environment = surroundDownstream({
      policy: makePlainPolicy(this.#config, this.#upstreams, engine),
      wheel: this.#wheel,
      counters: this.#counters,
      onExchangeEnd: (exchange) => this.#judge(exchange.summarize()),
      abandon: (client) => this.#upstreams.abandon(client),
    })
    this.#clients = Array.from({ length: clientsCount }, (_, index) => {
      const open = (): SimulatedSocket => {
        const socket = new SimulatedSocket(`192.0.2.${index + 1}:1000`, 100_000, buffer, true)
        this.#sockets.push(socket)
        socket.handler = new DownstreamConnection(socket, this.#environment)
        return socket
      }
      const name = `c${index}-`
      // The last client sends nothing that can be misread, as most clients do.
      const isInnocent = index === clientsCount - 1
      const plan = Array.from({ length: requestsOfClient }, (__, number) => {
        const tag = `${name}${number}`
        return isInnocent || random.chance(0.4) ? innocentRequest(tag) : smugglingRequest(tag, (choices) => random.pick(choices))
      })
      return new HostileClient(name, plan, open, (verdict) => {
        if (verdict === '') this.answered++
        else this.mixedUp.push(verdict)
      })
    })
  }

  /** Every client gets an end to each of its requests, and nothing is left behind. */
  run(): void {
    let steps = 0
    while (this.#clients.some((client) => !client.isDone)) {
      if (++steps === stepsMax) assert.fail(`no end: ${this.#clients.map((client) => client.describe()).join(', ')}`)
      const actions = this.#actions()
      // Requests that hang, because the server waits for the rest of what it has misread, hang until their time is over.
      if (actions.length === 0) this.#clock.advance(1_000)
      else this.#random.pick(actions)()
      if (this.#random.chance(0.01)) this.#clock.advance(this.#random.pick([10, 200, 1_500]))
    }
    for (const client of this.#clients) client.leave()
    this.#upstreams.destroy()
    for (let round = 0; this.#sockets.some((socket) => !socket.closed); round++) {
      assert(round < 100, 'sockets stay open')
      for (const socket of this.#sockets) for (const event of socket.events()) socket.happen(event, 65_536)
      this.#clock.advance(1_000)
    }
    assert.equal(this.#wheel.size, 0, 'deadlines are left in the wheel')
    assert.equal(this.#engine.slotsInUse, 0, 'parser slots are left in use')
    this.#wheel.stop()
  }

  #actions(): (() => void)[] {
    const actions: (() => void)[] = []
    for (const socket of this.#sockets) {
      for (const event of socket.events())
        actions.push(() => socket.happen(event, event === 'data' || event === 'take' ? this.#random.pick([1, 20, 65_536]) : 0))
    }
    for (const { socket, out } of this.#servers) {
      if (!socket.peer.canSend) continue
      if (out.length > 0) actions.push(() => socket.peer.send(out.shift()!))
      else if (socket.peer.sawEnd) actions.push(() => socket.peer.end())
    }
    for (const client of this.#clients) if (client.canAct) actions.push(() => client.act())
    if (this.#clock.deferredCount > 0) actions.push(() => this.#clock.runDeferred())
    return actions
  }

  #connect(buffer: SharedReadBuffer, handler: SocketHandler): SimulatedSocket {
    const socket = new SimulatedSocket(`10.0.0.1#${this.#servers.length}`, 100_000, buffer, false)
    socket.handler = handler
    const server = new LenientServer(this.#leniency)
    const out: string[] = []
    socket.peer.onBytes = (text) => void out.push(...server.receive(text))
    this.#sockets.push(socket)
    this.#servers.push({ socket, out })
    return socket
  }

  #judge({ reused, startedAt, id }: ExchangeSummary): void {
    if (this.#isQuarantined && reused && startedAt > this.#quarantinedAt) this.reusedInQuarantine.push(id)
  }
}

/** One client: its requests one after the other, on a new connection whenever the old one has ended. */
class HostileClient {
  readonly #name: string
  readonly #plan: HostileRequest[]
  readonly #open: () => SimulatedSocket
  readonly #judge: (verdict: string) => void
  #socket: SimulatedSocket | undefined
  #reader: ReferenceReader
  #piece = 0
  #seen = 0

  constructor(name: string, plan: HostileRequest[], open: () => SimulatedSocket, judge: (verdict: string) => void) {
    this.#name = name
    this.#plan = plan
    this.#open = open
    this.#judge = judge
    this.#reader = this.#newReader()
  }

  get isDone(): boolean {
    return this.#plan.length === 0
  }

  get canAct(): boolean {
    const [request] = this.#plan
    if (request === undefined) return false
    if (this.#socket === undefined || this.#socket.peer.sawEnd || this.#socket.peer.sawReset) return true
    return this.#piece < request.pieces.length
  }

  act(): void {
    const socket = this.#socket
    if (socket !== undefined && (socket.peer.sawEnd || socket.peer.sawReset)) {
      socket.peer.end()
      this.#socket = undefined
      // What was under way has ended without an answer, or with half of one.
      if (this.#piece > 0) this.#next('')
      return
    }
    if (socket === undefined) {
      this.#reader = this.#newReader()
      this.#seen = 0
      this.#socket = this.#open()
      this.#socket.peer.onBytes = (text) => this.#receive(text)
      return
    }
    socket.peer.send(this.#plan[0]!.pieces[this.#piece++]!)
  }

  leave(): void {
    if (this.#socket?.peer.canSend === true) this.#socket.peer.end()
  }

  describe(): string {
    return `${this.#name} ${this.#plan.length} left, piece ${this.#piece}: ${JSON.stringify(this.#plan[0]?.pieces)}`
  }

  #newReader(): ReferenceReader {
    return new ReferenceReader('response', () => this.#plan[0]?.method)
  }

  #receive(text: string): void {
    this.#reader.push(text)
    const message = this.#reader.messages[this.#seen]
    if (message === undefined || !message.complete) return
    this.#seen++
    const tag = fieldOf(message.fields, 'x-tag')
    const request = this.#plan[0]
    assert(request !== undefined, `${this.#name} is answered and has not asked`)
    if (tag === undefined) {
      assert(fieldOf(message.fields, 'proxy-status') !== undefined, 'neither of the server nor of the proxy')
      return this.#next('')
    }
    this.#next(tag.startsWith(this.#name) ? '' : `${request.tag} was given the answer to ${tag}`)
  }

  #next(verdict: string): void {
    this.#judge(verdict)
    const [request] = this.#plan
    // The rest of a body that was answered early still has to be sent.
    if (request !== undefined && this.#socket?.peer.canSend === true && this.#piece < request.pieces.length)
      this.#socket.peer.send(request.pieces[this.#piece]!)
    this.#plan.shift()
    this.#piece = 0
  }
}

/**
 * Clients and one upstream server around the engine, on a stage: what is sent arrives when it can, in reads of any size, and time stands still
 * until the test moves it. It owns the sockets of both sides, and remembers what was written to them.
 */
import type { ProxyOptions } from '../../lib/core/options.ts'
import { DownstreamConnection } from '../../lib/downstream/connection.ts'
import { makePlainPolicy } from '../../lib/policy/policy.ts'
import type { ExchangeSummary } from '../../lib/observe/exchange-summary.ts'
import { plainServers, UpstreamGroup } from '../../lib/upstream/group.ts'
import { SharedReadBuffer, SimulatedSocket } from '../sim/simulated-socket.ts'
import { surroundDownstream, type DownstreamSurroundings } from '../sim/surroundings.ts'
import { UpstreamStage } from './upstream-stage.ts'

const windowBytes = 1_000_000

export class ExchangeStage {
  readonly upstream: UpstreamStage
  readonly group: UpstreamGroup
  readonly summaries: ExchangeSummary[] = []
  /** Of all clients, in order. */
  readonly connections: DownstreamConnection[] = []
  readonly #clients: SimulatedSocket[] = []
  readonly #environment: DownstreamSurroundings
  readonly #buffer: SharedReadBuffer
  /** All that was written to clients, and all that was written to servers. */
  toClients = ''
  toServers = ''

  constructor(options: Omit<ProxyOptions, 'upstreams'> = {}) {
    this.upstream = new UpstreamStage(options, windowBytes)
    const { config, counters, parserEngine, wheel } = this.upstream.environment
    this.#buffer = new SharedReadBuffer(parserEngine.readBuffer)
    this.group = new UpstreamGroup(plainServers([{ kind: 'tcp', host: '10.0.0.1', port: 80 }]), this.upstream.environment)
    this.#environment = surroundDownstream({
      policy: makePlainPolicy(config, this.group, parserEngine),
      wheel,
      counters,
      instance: 'stage-',
      onExchangeEnd: (exchange) => void this.summaries.push(exchange.summarize()),
      abandon: (client) => this.group.abandon(client),
    })
  }

  /** The last client that came. */
  get client(): SimulatedSocket {
    return this.#clients.at(-1)!
  }

  get connection(): DownstreamConnection {
    return this.connections.at(-1)!
  }

  open(): void {
    const socket = new SimulatedSocket(`192.0.2.1:${1_000 + this.#clients.length}`, windowBytes, this.#buffer, true)
    socket.onWrite = (text) => void (this.toClients += text)
    const connection = new DownstreamConnection(socket, this.#environment)
    socket.handler = connection
    this.#clients.push(socket)
    this.connections.push(connection)
  }

  drain(): void {
    this.#environment.isDraining = true
    this.#environment.closesIdle = true
    for (const connection of this.connections) connection.closeIfIdle()
  }

  /** Lets everything happen that can happen without time, the newest sockets first; reads bring `readBytesMax` at most. */
  settle(readBytesMax = windowBytes): void {
    for (let hasMoved = true; hasMoved;) {
      hasMoved = false
      for (const socket of this.upstream.sockets) socket.onWrite = (text) => void (this.toServers += text)
      for (const socket of [...this.upstream.sockets, ...this.#clients]) {
        for (let [event] = eventsOf(socket); event !== undefined; [event] = eventsOf(socket)) {
          socket.happen(event, readBytesMax)
          hasMoved = true
        }
      }
      if (this.upstream.clock.deferredCount > 0) {
        this.upstream.clock.runDeferred()
        hasMoved = true
      }
    }
  }
}

/** A connection is made or refused by the test alone. */
function eventsOf(socket: SimulatedSocket): ReturnType<SimulatedSocket['events']> {
  return socket.events().filter((event) => event !== 'connect' && event !== 'refuse')
}

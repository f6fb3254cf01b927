/**
 * The upstream side of the engine on a stage: its clock, its sockets and its resolver do what the test says, when it says so. It owns
 * the sockets it opened, in the order in which it opened them, and the names that are being resolved.
 */
import assert from 'node:assert/strict'
import { ParserEngine, type ResponseHead, type TrailerSection } from '../../native-free-parser/index.ts'
import type { DesyncKind } from '../../lib/core/desync.ts'
import type { ProxyError } from '../../lib/core/errors.ts'
import { parseUpstreamAddress, resolveOptions, type Address, type ProxyOptions } from '../../lib/core/options.ts'
import { TimerWheel } from '../../lib/core/timers.ts'
import { Counters } from '../../lib/observe/counters.ts'
import type { ConnectionUser, RequestingClient, UpstreamConnection, UpstreamLoss } from '../../lib/upstream/connection.ts'
import type { UpstreamEnvironment } from '../../lib/upstream/environment.ts'
import { Pool, Waiter } from '../../lib/upstream/pool.ts'
import type { BreakerEvent, ServerEvent } from '../../lib/observe/server-event.ts'
import type { ResolvedAddress } from '../../lib/upstream/resolver.ts'
import { SharedReadBuffer, SimulatedSocket } from '../sim/simulated-socket.ts'
import { surroundUpstream } from '../sim/surroundings.ts'
import { VirtualClock } from '../sim/virtual-clock.ts'

/** A name that is being resolved. */
export interface Lookup {
  readonly host: string
  succeed(...addresses: string[]): Promise<void>
  fail(error: Error): Promise<void>
}

const engine = new ParserEngine({ slots: 256 })

export interface SeenDesync {
  readonly connection: UpstreamConnection
  readonly kind: DesyncKind
  readonly bytes: number
  /** As they were at that moment: numbers of exchanges, and of uses of the connection. */
  readonly exchange: number | undefined
  readonly previous: number | undefined
  readonly uses: number
  readonly status: number
}

export class UpstreamStage {
  readonly clock = new VirtualClock()
  readonly wheel: TimerWheel
  readonly environment: UpstreamEnvironment
  readonly sockets: SimulatedSocket[] = []
  readonly addresses: Address[] = []
  readonly lookups: Lookup[] = []
  /** What the resolver answers at once. */
  readonly known = new Map<string, readonly ResolvedAddress[]>()
  readonly desyncs: SeenDesync[] = []
  /** Servers whose quarantine began (+) or ended (-), in order. */
  readonly quarantines: string[] = []
  readonly servers: ServerEvent[] = []
  readonly breakers: BreakerEvent[] = []
  readonly #windowBytes: number

  constructor(options: Omit<ProxyOptions, 'upstreams'> = {}, windowBytes = 1_000_000) {
    this.#windowBytes = windowBytes
    const fail = (error: unknown): never => {
      throw error
    }
    this.wheel = new TimerWheel(this.clock, { onLag: () => {}, onFault: fail })
    this.environment = surroundUpstream({
      config: resolveOptions(options, 'stage'),
      parserEngine: engine,
      wheel: this.wheel,
      counters: new Counters(),
      resolver: {
        lookupCached: (host) => (/^[0-9]/.test(host) ? [{ address: host, family: 4 }] : this.known.get(host)),
        resolve: (host) => this.#resolve(host),
      },
      // The middle: what is varied is not varied here.
      random: () => 0.5,
      connect: (address, handler) => {
        const socket = new SimulatedSocket(`10.0.0.1:${1_000 + this.sockets.length}`, this.#windowBytes, readBuffer, false)
        socket.handler = handler
        this.sockets.push(socket)
        this.addresses.push(address)
        return socket
      },
      onDesync: (connection, kind, bytes) => {
        const { uses, status, lastUse, previousUse } = connection
        this.desyncs.push({
          connection,
          kind,
          bytes,
          uses,
          status,
          exchange: lastUse?.exchangeNumber,
          previous: previousUse?.exchangeNumber,
        })
      },
      onQuarantine: (server, isQuarantined) => void this.quarantines.push(`${isQuarantined ? '+' : '-'}${server}`),
      onServer: (event) => void this.servers.push(event),
      onBreaker: (event) => void this.breakers.push(event),
    })
  }

  pool(address = '10.0.0.1:80'): Pool {
    return new Pool(parseUpstreamAddress(address), this.environment)
  }

  /** The socket that was opened as the `index`th, from 0. */
  socket(index: number): SimulatedSocket {
    const socket = this.sockets[index]
    assert(socket !== undefined, `only ${this.sockets.length} sockets were opened`)
    return socket
  }

  /** The connection stands. */
  connect(index: number): void {
    this.socket(index).happen('connect', 0)
  }

  /** Nobody listens there. */
  refuse(index: number): void {
    const socket = this.socket(index)
    socket.refuse()
    socket.happen('refuse', 0)
    socket.happen('close', 0)
  }

  /** The server says this, in one read. */
  say(index: number, text: string): void {
    const socket = this.socket(index)
    socket.peer.send(text)
    socket.happen('data', text.length)
  }

  /** The server sends FIN. */
  hangUp(index: number): void {
    const socket = this.socket(index)
    socket.peer.end()
    socket.happen('end', 0)
  }

  /** The server resets the connection. */
  cut(index: number): void {
    const socket = this.socket(index)
    socket.peer.reset()
    socket.happen('close', 0)
  }

  /** Whether the proxy has given the socket up. */
  isGone(index: number): boolean {
    const socket = this.socket(index)
    return socket.closed || socket.events().includes('close')
  }

  /** Lets the kernel tell of every socket that was given up. */
  closeSockets(): void {
    for (const socket of this.sockets) if (!socket.closed && socket.events().includes('close')) socket.happen('close', 0)
  }

  /** No socket, no deadline and no part of a response is left. */
  assertEmpty(): void {
    for (const index of this.sockets.keys()) assert(this.isGone(index), `socket ${index} is still open`)
    assert.equal(this.wheel.size, 0, 'deadlines are left in the wheel')
    assert.equal(engine.slotsInUse, 0, 'parser slots are left in use')
  }

  #resolve(host: string): Promise<readonly ResolvedAddress[]> {
    return new Promise((resolve, reject) => {
      const finish = async (settle: () => void): Promise<void> => {
        this.lookups.splice(this.lookups.indexOf(lookup), 1)
        settle()
        // What hangs on the promise has run when this is over.
        await new Promise((next) => setImmediate(next))
      }
      const lookup: Lookup = {
        host,
        succeed: (...addresses) => finish(() => resolve(addresses.map((address) => ({ address, family: 4 as const })))),
        fail: (error) => finish(() => reject(error)),
      }
      this.lookups.push(lookup)
    })
  }
}

const readBuffer = new SharedReadBuffer(engine.readBuffer)

let exchanges = 0
let clients = 0

/** A client that counts how often it was taken for the one who put a connection out of step. */
export class RecordingClient implements RequestingClient {
  readonly socket = { remote: `192.0.2.1:${++clients}` }
  suspicions = 0

  retire(): void {
    this.suspicions++
  }
}

/** An exchange that writes down what its connection tells it. */
export class RecordingUser implements ConnectionUser {
  readonly events: string[] = []
  loss: UpstreamLoss | undefined
  isComplete = false
  readonly exchangeNumber = ++exchanges
  readonly exchangeId = ''
  readonly client: RecordingClient

  constructor(client = new RecordingClient()) {
    this.client = client
  }

  onResponseHead(head: ResponseHead): void {
    this.events.push(`head ${head.status}`)
  }

  onResponseBody(bytes: Uint8Array, start: number, end: number): void {
    this.events.push(`body ${Buffer.from(bytes.subarray(start, end)).toString('latin1')}`)
  }

  onResponseTrailers(_trailers: TrailerSection): void {
    this.events.push('trailers')
  }

  onResponseComplete(): void {
    this.isComplete = true
    this.events.push('complete')
  }

  onUpstreamTurnEnd(_bytes: Buffer): void {
    this.events.push('turn')
  }

  onUpstreamDrain(): void {
    this.events.push('drain')
  }

  onUpstreamLost(loss: UpstreamLoss): void {
    assert.equal(this.loss, undefined, 'a connection is lost twice')
    this.loss = loss
    this.events.push(`lost ${loss.code}`)
  }

  onTunnelData(bytes: Buffer, start: number, end: number): void {
    this.events.push(`data ${bytes.toString('latin1', start, end)}`)
  }

  onTunnelEnd(): void {
    this.events.push('end')
  }

  onTunnelClose(error: Error | undefined): void {
    this.events.push(error === undefined ? 'close' : `close ${error.message}`)
  }
}

/** A request that takes the first connection it can get, and remembers the answer. */
export class RecordingWaiter extends Waiter {
  readonly user: RecordingUser
  connection: UpstreamConnection | undefined
  error: ProxyError | undefined
  /** Answers of the pool. */
  answers = 0
  readonly #reserves: boolean

  /** `reserves`: what it uses is used by this client only from then on. */
  constructor(client = new RecordingClient(), reserves = false) {
    super()
    this.user = new RecordingUser(client)
    this.#reserves = reserves
  }

  override get client(): RecordingClient {
    return this.user.client
  }

  /** Returns whether there was a connection at once. */
  acquire(pool: Pool, fresh = false): boolean {
    const connection = pool.acquire(this, fresh)
    if (connection === undefined) return false
    this.#use(connection)
    return true
  }

  override onConnectionReady(connection: UpstreamConnection): void {
    this.answers++
    this.#use(connection)
  }

  override onConnectionFailed(error: ProxyError): void {
    this.answers++
    this.error = error
  }

  #use(connection: UpstreamConnection): void {
    assert.equal(this.connection, undefined, 'a request gets two connections')
    this.connection = connection
    connection.assign(this.user)
    if (this.#reserves) connection.reservedFor = this.client
    connection.expect({ toHead: false, offered: [] })
  }
}

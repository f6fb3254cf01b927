/**
 * A pool whose sockets lead nowhere: what is written is dropped, and the answer is there at once. What remains is what eproxy itself does
 * between a request and its connection.
 */
import { resolveOptions } from '../../lib/core/options.ts'
import { systemClock, TimerWheel } from '../../lib/core/timers.ts'
import type { ByteSocket, SocketHandler } from '../../lib/net/byte-socket.ts'
import { Counters } from '../../lib/observe/counters.ts'
import type { ConnectionUser, RequestingClient, UpstreamConnection } from '../../lib/upstream/connection.ts'
import type { UpstreamEnvironment } from '../../lib/upstream/environment.ts'
import { Pool, Waiter } from '../../lib/upstream/pool.ts'
import { defaultResponseLimits, ParserEngine } from '../../native-free-parser/index.ts'

export class PoolStage {
  readonly #engine = new ParserEngine({ slots: 1 })
  readonly #pool: Pool
  readonly #request = new BenchRequest()
  readonly #responseBytes: number

  constructor(response: Buffer, idleConnections = 1) {
    response.copy(this.#engine.readBuffer)
    this.#responseBytes = response.length
    const handlers: SocketHandler[] = []
    const environment = makeEnvironment(this.#engine, handlers)
    this.#pool = new Pool({ kind: 'tcp', host: '127.0.0.1', port: 1 }, environment)
    const first = Array.from({ length: idleConnections }, () => new BenchRequest())
    for (const request of first) this.#pool.acquire(request, true)
    for (const handler of handlers) handler.onConnect()
    for (const request of first) this.#finish(request.connection!)
  }

  /** One exchange as the pool and its connection see it. */
  turn(): number {
    const request = this.#request
    const connection = this.#pool.acquire(request, false)
    if (connection === undefined) throw new Error('no connection is idle')
    connection.assign(request)
    this.#finish(connection)
    return connection.uses
  }

  #finish(connection: UpstreamConnection): void {
    connection.write('')
    connection.awaitResponse()
    connection.onData(this.#engine.readBuffer, 0, this.#responseBytes)
    this.#pool.release(connection)
  }
}

/** Connections go nowhere; `handlers` gets who asked for them. */
export function makeEnvironment(engine: ParserEngine, handlers: SocketHandler[] = []): UpstreamEnvironment {
  const fail = (error: unknown): never => {
    throw error
  }
  return {
    // Between two batches other cases have their turn; nothing is to expire in that time.
    config: resolveOptions({ timeouts: { upstreamKeepAlive: 600_000 } }, 'bench'),
    parserEngine: engine,
    responseLimits: defaultResponseLimits,
    // Its timer does not keep the process alive.
    wheel: new TimerWheel(systemClock, { onLag() {}, onFault: fail }),
    counters: new Counters(),
    resolver: {
      lookupCached: (host) => [{ address: host, family: 4 }],
      resolve: () => Promise.reject(new Error('every address is known')),
    },
    random: () => 0.5,
    connect: (_address, handler) => {
      handlers.push(handler)
      return new SocketToNowhere()
    },
    onDesync: () => fail(new Error('bytes that nobody asked for')),
    onQuarantine: () => fail(new Error('reuse was given up')),
    onServer: () => {},
    onBreaker: () => {},
    onFault: fail,
  }
}

class BenchRequest extends Waiter implements ConnectionUser {
  readonly client: RequestingClient = { socket: { remote: '127.0.0.1:2' }, retire() {} }
  readonly exchangeNumber = 1
  readonly exchangeId = ''
  connection: UpstreamConnection | undefined
  onConnectionReady(connection: UpstreamConnection): void {
    this.connection = connection
    connection.assign(this)
  }
  onConnectionFailed(error: Error): void {
    throw error
  }
  onResponseHead(): void {}
  onResponseBody(): void {}
  onResponseTrailers(): void {}
  onResponseComplete(): void {}
  onUpstreamTurnEnd(): void {}
  onUpstreamDrain(): void {}
  onUpstreamLost(): void {
    throw new Error('a connection was lost')
  }
  onTunnelData(): void {}
  onTunnelEnd(): void {}
  onTunnelClose(): void {}
}

class SocketToNowhere implements ByteSocket {
  readonly unsentBytes = 0
  readonly isEnding = false
  readonly remote = '127.0.0.1:1'
  readonly remoteAddress = '127.0.0.1'
  write(): boolean {
    return true
  }
  owns(): boolean {
    return false
  }
  partWith(): void {}
  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {}
  reset(): void {}
  keepAlive(): void {}
}

/** What the upstream side is given: everything that a simulation replaces comes through here. */
import type { ParserEngine, ParserLimits } from '../../native-free-parser/index.ts'
import type { DesyncKind } from '../core/desync.ts'
import type { Address, ProxyConfig } from '../core/options.ts'
import type { TimerWheel } from '../core/timers.ts'
import type { ByteSocket, SocketHandler } from '../net/byte-socket.ts'
import type { Counters } from '../observe/counters.ts'
import type { BreakerEvent, ServerEvent } from '../observe/server-event.ts'
import type { UpstreamConnection } from './connection.ts'
import type { ResolvedAddress } from './resolver.ts'

export interface NameResolver {
  /** Answers at once when the answer is known. */
  lookupCached(host: string): readonly ResolvedAddress[] | undefined
  /** Rejects with ProxyError ERR_EPROXY_DNS_TIMEOUT or ERR_EPROXY_DNS_FAILED. */
  resolve(host: string): Promise<readonly ResolvedAddress[]>
}

export interface UpstreamEnvironment {
  /** With the options of one group of servers, which change when the configuration is read again. */
  readonly config: ProxyConfig
  readonly parserEngine: ParserEngine
  readonly responseLimits: ParserLimits
  readonly wheel: TimerWheel
  readonly resolver: NameResolver
  readonly counters: Counters
  /** From 0 up to 1. */
  readonly random: () => number
  /** Starts to connect. The address of a TCP server is an IP address. */
  connect(address: Address, handler: SocketHandler): ByteSocket
  /** A connection is out of step, or looks like it. `bytes` of what it said answer no request. */
  onDesync(connection: UpstreamConnection, kind: DesyncKind, bytes: number): void
  /** Connections to this server are not reused from now on, or are again. */
  onQuarantine(server: string, isQuarantined: boolean): void
  /** The standing of a server has changed. */
  onServer(event: ServerEvent): void
  /** A group begins to refuse exchanges, or has stopped doing so. */
  onBreaker(event: BreakerEvent): void
  /** A fault of our own outside any connection's event. */
  onFault(error: unknown): void
}

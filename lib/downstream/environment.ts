/** What a client connection is given, and what it reports to. */
import type { Spares } from '../core/spares.ts'
import type { ExchangeEnvironment } from '../exchange/environment.ts'
import type { Exchange } from '../exchange/exchange.ts'
import type { RequestingClient } from '../upstream/connection.ts'
import type { DownstreamConnection } from './connection.ts'

export interface DownstreamEnvironment extends ExchangeEnvironment {
  /** Exchanges that no connection needs at this moment: most connections wait most of the time. */
  readonly exchanges: Spares<Exchange>
  /** The proxy is stopping and does not wait for clients that are between two requests. */
  readonly closesIdle: boolean
  /** The client is gone: nobody else may use the upstream connections that are reserved for it. */
  abandon(client: RequestingClient): void
  /** Exactly once for each connection. */
  onConnectionClosed(connection: DownstreamConnection): void
  /** Runs work of a connection outside any event of its socket; what it throws stays with that connection. */
  guard(connection: DownstreamConnection, work: () => void): void
}

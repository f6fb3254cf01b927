/** What a client connection is given, and what it reports to. */
import type { ParserEngine, ParserLimits } from '../../native-free-parser/index.ts'
import type { ExchangeEnvironment } from '../exchange/environment.ts'
import type { DownstreamConnection } from './connection.ts'

export interface DownstreamEnvironment extends ExchangeEnvironment {
  readonly parserEngine: ParserEngine
  readonly requestLimits: ParserLimits
  /** Exactly once for each connection. */
  onConnectionClosed(connection: DownstreamConnection): void
  /** Runs work of a connection outside any event of its socket; what it throws stays with that connection. */
  guard(connection: DownstreamConnection, work: () => void): void
}

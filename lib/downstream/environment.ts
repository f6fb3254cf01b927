/** What a client connection is given, and what it reports to. */
import {
  MessageParser,
  type MessageHandler,
  type ParserEngine,
  type ParserLimits,
  type RequestHead,
} from '../../native-free-parser/index.ts'
import { contradiction } from '../core/assert.ts'
import { Spares } from '../core/spares.ts'
import type { ExchangeEnvironment } from '../exchange/environment.ts'
import type { Exchange } from '../exchange/exchange.ts'
import type { DownstreamConnection } from './connection.ts'

export interface DownstreamEnvironment extends ExchangeEnvironment {
  /** Parsers and exchanges that no connection needs at this moment: most connections wait most of the time. */
  readonly parsers: Spares<MessageParser<'request'>>
  readonly exchanges: Spares<Exchange>
  /** The proxy is stopping and does not wait for clients that are between two requests. */
  readonly closesIdle: boolean
  /** Exactly once for each connection. */
  onConnectionClosed(connection: DownstreamConnection): void
  /** Runs work of a connection outside any event of its socket; what it throws stays with that connection. */
  guard(connection: DownstreamConnection, work: () => void): void
}

/** A burst of so many exchanges leaves no garbage behind; what goes beyond is collected. */
export const sparesMax = 1_024

function refuseUse(): never {
  contradiction('a parser that no connection has is fed')
}

const nobody: MessageHandler<RequestHead> = { onHead: refuseUse, onBody: refuseUse, onTrailers: refuseUse, onMessageComplete: refuseUse }

export function makeRequestParsers(engine: ParserEngine, limits: ParserLimits): Spares<MessageParser<'request'>> {
  return new Spares(() => new MessageParser('request', engine, nobody, limits), sparesMax)
}

/** What a proxy tells of while it runs. Those who want to know add a listener; whom nobody listens to costs nothing. */
import type { BreakerEvent, ServerEvent } from '../observe/server-event.ts'
import type { DesyncEvent, QuarantineEvent } from '../observe/desync-event.ts'
import type { ExchangeSummary } from '../observe/exchange-summary.ts'
import type { StoreState } from '../limit/shared-store.ts'

export interface ProxyEvents {
  /** A socket listens: its address. */
  listening: [address: string]
  /** Once for every exchange, also after an error. */
  exchange: [summary: ExchangeSummary]
  /** The same, for those that ended other than well: their summary is made although nobody wants that of every exchange. */
  failure: [summary: ExchangeSummary]
  /** A client connection was accepted: its address. */
  connection: [client: string]
  /** An upstream connection is out of step with us, or looks like it. It is not used again. */
  desync: [event: DesyncEvent]
  /** The store of shared rate limits is used from now on, or is not. */
  rateLimitStore: [event: RateLimitStoreEvent]
  /** The connections to a server are not reused from now on, or are again. */
  quarantine: [event: QuarantineEvent]
  /** The standing of an upstream server has changed. */
  server: [event: ServerEvent]
  /** The circuit breaker of a group refuses exchanges, or has stopped doing so. */
  breaker: [event: BreakerEvent]
  /** A fault of the listener or of our own, never a peer's; the proxy goes on. Without a listener for it, it is only logged. */
  error: [error: Error]
  /** Nothing is open any more. */
  close: []
}

export interface RateLimitStoreEvent {
  readonly state: StoreState
  /** Why it is not used; '' when it is. */
  readonly reason: string
}

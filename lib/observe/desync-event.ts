/** What is told of an upstream connection that is out of step, and of a server whose connections are not reused for a while. */
import type { RuleId } from '../../native-free-parser/index.ts'
import type { DesyncKind } from '../core/desync.ts'

/** One exchange, by the names that the access log has for it. */
export interface ExchangeIdentity {
  /** Request id. */
  readonly id: string
  /** Client address as `ip:port`, `[ip6]:port` or `unix`. */
  readonly client: string
}

export interface DesyncEvent {
  readonly kind: DesyncKind
  /** Counts towards quarantine. */
  readonly isEvidence: boolean
  /** Rule id, '' where the exchange names it or none is broken. */
  readonly rule: RuleId | ''
  /** The upstream server, as it was given. */
  readonly upstream: string
  /** The address that was connected to. */
  readonly address: string
  /** Number of the connection within the process: `conn` in the access log. */
  readonly connection: number
  /** Exchanges on it, the one in which it showed included. */
  readonly uses: number
  /** The exchange that has the connection, or had it last; undefined for a connection that was never used. */
  readonly exchange: ExchangeIdentity | undefined
  /** The one before it on the same connection, whose bytes may have done it. */
  readonly previous: ExchangeIdentity | undefined
  /** Status of the response of `exchange`, 0 for none. */
  readonly status: number
  /** How many bytes of the read answer no request. */
  readonly bytes: number
}

export interface QuarantineEvent {
  /** The upstream server, as it was given. */
  readonly upstream: string
  /** From now on no connection to it is used twice; or they are again. */
  readonly state: 'begins' | 'ends'
}

/** What an exchange is given, and what it reports to. */
import type { ExchangeErrorCode } from '../core/errors.ts'
import type { TimerWheel } from '../core/timers.ts'
import type { Counters } from '../observe/counters.ts'
import type { ExchangeSummary } from '../observe/exchange-summary.ts'
import type { ListenerPolicy } from '../policy/policy.ts'
import type { WriteBatch } from './write-batch.ts'

export interface ExchangeEnvironment {
  /** Of the listener. Another one takes its place when the configuration is read again. */
  readonly policy: ListenerPolicy
  readonly wheel: TimerWheel
  readonly counters: Counters
  /** Shared by all exchanges: a batch never outlives one read. */
  readonly requestBatch: WriteBatch
  readonly responseBatch: WriteBatch
  /** The proxy is stopping: responses say `Connection: close`. */
  readonly isDraining: boolean
  /** The time as RFC 9110 section 5.6.7 writes it. */
  httpDate(): string
  /** Prefix of request ids. */
  readonly instance: string
  /** Called once for every exchange, however it ended. The summary is made only for those who want it. */
  onExchangeEnd(exchange: EndedExchange): void
  /** A message broke a rule, and was refused or, where that is the action of the rule, went on. `offset` is in bytes from the start of the message. */
  onRefusal(refusal: Refusal): void
  /** A client did not keep to a deadline. */
  onSlowClient(slow: SlowClient): void
}

export interface EndedExchange {
  /** It ended other than well. */
  readonly hasFailed: boolean
  countInto(counters: Counters): void
  summarize(withFields?: boolean): ExchangeSummary
}

export interface Refusal {
  readonly id: string
  readonly action: 'reject' | 'warn'
  readonly side: 'client' | 'upstream'
  readonly peer: string
  readonly rule: string
  readonly section: string
  readonly offset: number
}

export interface SlowClient {
  readonly id: string
  readonly client: string
  readonly code: ExchangeErrorCode
}

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
  /** Called once for every exchange, however it ended. */
  onExchangeEnd(exchange: EndedExchange): void
  /** A message broke a rule, and was refused or, where that is the action of the rule, went on. `offset` is in bytes from the start of the message. */
  onRefusal(refusal: Refusal): void
  /** A client did not keep to a deadline. */
  onSlowClient(slow: SlowClient): void
}

/** The summary of an exchange, which is read while it is told: the next exchange is written over it. */
export interface EndedExchange extends ExchangeSummary {
  /** It ended other than well. */
  readonly hasFailed: boolean
  /** The same for who needs no text. */
  countInto(counters: Counters): void
  /** A copy that may be kept, without the fields of the request. */
  summarize(): ExchangeSummary
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

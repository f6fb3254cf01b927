/**
 * What is known of one exchange: noted while it goes on, told when it has ended, as a summary or as counts. It is that summary itself, until the
 * exchange begins again. It decides nothing. The exchange that owns it writes most fields itself, and reads some of them; its client's connection
 * adds the bytes.
 */
import type { RequestHead, RuleId } from '../../native-free-parser/index.ts'
import { errorTable, type ExchangeErrorCode } from '../core/errors.ts'
import { noRoute, type Counters } from '../observe/counters.ts'
import type { ExchangeSummary } from '../observe/exchange-summary.ts'
import { rawFieldValue } from '../observe/raw-field.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'
import type { EndedExchange, ExchangeEnvironment } from './environment.ts'

let lastNumber = 0

/** The request id of an exchange: unique within the process, and with `instance` beyond it. */
export function formatExchangeId(instance: string, number: number): string {
  return instance + number.toString(36)
}

export class ExchangeFacts implements EndedExchange {
  readonly #environment: ExchangeEnvironment

  /** Within the process. */
  number = 0
  /** '' until somebody has asked for it, or the request has one that is told to others. */
  knownId = ''
  bytesIn = 0
  bytesOut = 0

  // The request.
  /** The other end of the client's connection. */
  #peer = ''
  method = ''
  /** The head as it came. */
  rawHead = ''
  /** Of HTTP/1; -1 until the head is known. */
  minorVersion = -1
  /** Whom the client is believed to be; '' for the peer. */
  clientAddress = ''
  route = ''
  /** The target is taken from the head for the summary only. */
  #targetStart = 0
  #targetEnd = 0

  // The way to the upstream.
  upstream = ''
  /** The connection had served somebody before. */
  reused = false
  retries = 0
  upstreamConnection = 0

  // The outcome.
  /** Of the final response, 0 for none. */
  status = 0
  rule: RuleId | '' = ''
  termination = '--'
  tunnel = false
  error: ExchangeErrorCode | '' = ''

  // Milliseconds of the clock, -1 for what has not been reached.
  #startedAt = 0
  #headAt = -1
  #connectedAt = -1
  #responseAt = -1
  #endedAt = -1

  constructor(environment: ExchangeEnvironment) {
    this.#environment = environment
  }

  /** Forgets the exchange before: this is the first byte of another one. */
  begin(peer: string): void {
    this.#peer = peer
    this.number = ++lastNumber
    this.knownId = ''
    this.bytesIn = 0
    this.bytesOut = 0
    this.method = ''
    this.rawHead = ''
    this.minorVersion = -1
    this.clientAddress = ''
    this.route = ''
    this.#targetStart = 0
    this.#targetEnd = 0
    this.upstream = ''
    this.reused = false
    this.retries = 0
    this.upstreamConnection = 0
    this.status = 0
    this.rule = ''
    this.termination = '--'
    this.tunnel = false
    this.error = ''
    this.#startedAt = this.#environment.wheel.clock.now()
    this.#headAt = -1
    this.#connectedAt = -1
    this.#responseAt = -1
  }

  noteHead(head: RequestHead): void {
    this.#headAt = this.#environment.wheel.clock.now()
    this.method = head.method
    this.rawHead = head.raw
    this.#targetStart = head.targetStart
    this.#targetEnd = head.targetEnd
    this.minorVersion = head.minorVersion
  }

  noteConnection({ id, uses }: UpstreamConnection): void {
    this.#connectedAt = this.#environment.wheel.clock.now()
    this.upstreamConnection = id
    this.reused = uses > 1
  }

  /** The final response of the server has begun. */
  noteResponse(status: number): void {
    this.#responseAt = this.#environment.wheel.clock.now()
    this.status = status
  }

  /** The first error is the cause; what follows from it is not noted. `isAnswered`: the client has a part of the response. */
  noteError(code: ExchangeErrorCode, isAnswered: boolean): void {
    if (this.error !== '') return
    this.error = code
    const row = errorTable[code]
    this.termination = row.termination
    // The row's second letter is for the usual moment; a response that was cut under way ended in its data phase.
    if (isAnswered && row.side !== 'client') this.termination = row.termination[0]! + 'D'
  }

  get hasFailed(): boolean {
    return this.termination !== '--'
  }

  noteEnd(): void {
    this.#endedAt = this.#environment.wheel.clock.now()
  }

  // The summary. A text that nobody asks for is not made.

  get id(): string {
    if (this.knownId === '') this.knownId = formatExchangeId(this.#environment.instance, this.number)
    return this.knownId
  }

  get startedAt(): number {
    return this.#environment.wheel.clock.wallNow() - this.totalMs
  }

  get client(): string {
    return this.clientAddress === '' ? this.#peer : this.clientAddress
  }

  get target(): string {
    return this.rawHead.substring(this.#targetStart, this.#targetEnd)
  }

  get version(): string {
    return this.minorVersion < 0 ? '' : this.minorVersion === 1 ? '1.1' : '1.0'
  }

  get headMs(): number {
    return this.#headAt < 0 ? -1 : this.#headAt - this.#startedAt
  }

  get upstreamMs(): number {
    return this.#connectedAt < 0 ? -1 : this.#connectedAt - this.#headAt
  }

  get responseMs(): number {
    return this.#responseAt < 0 ? -1 : this.#responseAt - this.#connectedAt
  }

  get totalMs(): number {
    return this.#endedAt - this.#startedAt
  }

  get listener(): string {
    return this.#environment.policy.listener?.address ?? ''
  }

  get referer(): string {
    return rawFieldValue(this.rawHead, 'referer')
  }

  get userAgent(): string {
    return rawFieldValue(this.rawHead, 'user-agent')
  }

  /** A copy that may be kept. */
  summarize(): ExchangeSummary {
    return {
      id: this.id,
      startedAt: this.startedAt,
      client: this.client,
      method: this.method,
      target: this.target,
      version: this.version,
      status: this.status,
      bytesIn: this.bytesIn,
      bytesOut: this.bytesOut,
      upstream: this.upstream,
      upstreamConnection: this.upstreamConnection,
      reused: this.reused,
      retries: this.retries,
      headMs: this.headMs,
      upstreamMs: this.upstreamMs,
      responseMs: this.responseMs,
      totalMs: this.totalMs,
      termination: this.termination,
      error: this.error,
      rule: this.rule,
      tunnel: this.tunnel,
      route: this.route,
      listener: this.listener,
    }
  }

  countInto(counters: Counters): void {
    counters.countExchange(
      counters.route(this.#headAt < 0 ? noRoute : this.route),
      this.status,
      this.termination,
      this.error,
      this.bytesIn,
      this.bytesOut,
      this.headMs,
      this.upstreamMs,
      this.responseMs,
      this.totalMs,
    )
  }
}

/**
 * What the bench asks of its own load generator and what it gets back, over the message channel. wrk makes the load wherever it can; the
 * generator does what wrk cannot: send at a fixed rate whatever comes back, send single bytes, hold connections that say nothing.
 */

/** A fixed rate: a request is due when the clock says so, and its latency counts from then, whether or not it could be sent. */
export interface RatePlan {
  readonly kind: 'rate'
  readonly port: number
  readonly request: string
  /** The end of every right answer. */
  readonly answerEnd: string
  readonly connections: number
  readonly requestsPerSecond: number
  /** Sent before, not recorded. */
  readonly warmupSeconds: number
  readonly seconds: number
}

export interface RateResult {
  readonly requests: number
  readonly requestsPerSecond: number
  readonly p50Micros: number
  readonly p99Micros: number
  readonly p999Micros: number
  readonly maxMicros: number
  /** How late the generator itself was to notice that a request was due. */
  readonly lateP99Micros: number
  /** No answer, a wrong one, or a connection that ended. */
  readonly errors: number
}

/** Heads of exactly `headBytes`, one byte a write, each long after the one before it on the same connection. */
export interface DripPlan {
  readonly kind: 'drip'
  readonly port: number
  readonly answerEnd: string
  readonly connections: number
  readonly headBytes: number
  readonly bytesPerSecond: number
  readonly seconds: number
}

export interface DripResult {
  readonly bytes: number
  readonly answers: number
  readonly errors: number
}

/** Connections that were used once and stay open until the generator is ended. */
export interface IdlePlan {
  readonly kind: 'idle'
  readonly port: number
  readonly request: string
  readonly answerEnd: string
  readonly connections: number
}

export interface IdleResult {
  readonly open: number
  readonly errors: number
}

export type Plan = RatePlan | DripPlan | IdlePlan

export type GeneratorMessage =
  | { readonly kind: 'result'; readonly result: RateResult | DripResult | IdleResult }
  | { readonly kind: 'failed'; readonly message: string }

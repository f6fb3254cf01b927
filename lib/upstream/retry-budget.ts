/**
 * How many exchanges of a group may be in their second attempt or a later one at a time: a server that fails must not have its load
 * multiplied, nor its neighbours. It counts what was sent again and why; it does not know whether that was safe.
 */

/** Why a request is sent again, in the order of an attempt's life. `stale`: a pooled connection was closed already; nothing is said about its server. */
export const retryReasons = ['connect', 'stale', 'closed', 'timeout', 'status'] as const
export type RetryReason = (typeof retryReasons)[number]

export type RetryCounts = { readonly [K in RetryReason]: number }

export interface RetryStats {
  readonly retriesTotal: RetryCounts
  /** Retries that were allowed but for the budget. */
  readonly retriesDeniedTotal: number
}

export function zeroRetryCounts(): { -readonly [K in RetryReason]: number } {
  return { connect: 0, stale: 0, closed: 0, timeout: 0, status: 0 }
}

export class RetryBudget {
  /** Exchanges that have this group's answer to wait for, in whatever attempt. */
  #exchanges = 0
  #retrying = 0
  readonly #counts = zeroRetryCounts()
  #denied = 0

  get exchanges(): number {
    return this.#exchanges
  }

  /** Of those, the ones that are in an attempt after the first. */
  get retrying(): number {
    return this.#retrying
  }

  get stats(): RetryStats {
    return { retriesTotal: { ...this.#counts }, retriesDeniedTotal: this.#denied }
  }

  begin(): void {
    this.#exchanges++
  }

  /** `isRetrying`: it has got a place by `admit`. */
  end(isRetrying: boolean): void {
    this.#exchanges--
    if (isRetrying) this.#retrying--
  }

  /** Gives an exchange a place, which it has until its end, whatever it tries yet. `minimum` at a time go without a share. */
  admit(share: number, minimum: number): boolean {
    if (this.#retrying >= minimum && this.#retrying >= share * this.#exchanges) {
      this.#denied++
      return false
    }
    this.#retrying++
    return true
  }

  count(reason: RetryReason): void {
    this.#counts[reason]++
  }
}

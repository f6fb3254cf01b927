/**
 * How many exchanges of a group may be in their second attempt or a later one at a time: a server that fails must not have its load
 * multiplied, nor its neighbours. It counts what was sent again and why; it does not know whether that was safe.
 */

/** Why a request is sent again. `stale`: a pooled connection was closed already, which says nothing about its server. */
export type RetryReason = 'connect' | 'stale' | 'closed' | 'timeout' | 'status'

export interface RetryStats {
  readonly retriesTotal: { readonly [K in RetryReason]: number }
  /** Retries for which there was everything but room in the budget. */
  readonly retriesDeniedTotal: number
}

export class RetryBudget {
  readonly #counts = { connect: 0, stale: 0, closed: 0, timeout: 0, status: 0 }
  #denied = 0

  get stats(): RetryStats {
    return { retriesTotal: { ...this.#counts }, retriesDeniedTotal: this.#denied }
  }

  /**
   * Whether one more exchange may be tried again, with so many active in the group and so many of them retrying. `minimum` at a time always
   * may; beyond that their share of the active ones is bounded.
   */
  admit(active: number, retrying: number, share: number, minimum: number): boolean {
    if (retrying < minimum || retrying < share * active) return true
    this.#denied++
    return false
  }

  count(reason: RetryReason): void {
    this.#counts[reason]++
  }
}

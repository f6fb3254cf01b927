/**
 * Turns what a proxy tells into live events, while somebody watches. However much happens, it tells so many events a second at most, and how
 * many it left out; with nobody watching it does not listen at all, and costs nothing.
 */
import { systemClock } from '../core/timers.ts'
import type { DesyncEvent, QuarantineEvent } from '../observe/desync-event.ts'
import type { ExchangeSummary } from '../observe/exchange-summary.ts'
import type { LiveEvent, LiveEventKind } from '../observe/live-event.ts'
import { LogBudget } from '../observe/log-budget.ts'
import type { BreakerEvent, ServerEvent } from '../observe/server-event.ts'
import type { Proxy } from '../proxy.ts'
import type { RateLimitStoreEvent } from '../proxy/events.ts'

/** A target may be as long as a request line; nobody reads that much. */
const textMax = 200

export class LiveFeed {
  readonly #proxy: Proxy
  readonly #worker: number
  readonly #sink: (event: LiveEvent) => void
  readonly #budget = new LogBudget(systemClock)
  #isFollowing = false

  constructor(proxy: Proxy, worker: number, sink: (event: LiveEvent) => void) {
    this.#proxy = proxy
    this.#worker = worker
    this.#sink = sink
  }

  follow(): void {
    if (this.#isFollowing) return
    this.#isFollowing = true
    this.#proxy.on('failure', this.#onFailure)
    this.#proxy.on('desync', this.#onDesync)
    this.#proxy.on('quarantine', this.#onQuarantine)
    this.#proxy.on('server', this.#onServer)
    this.#proxy.on('breaker', this.#onBreaker)
    this.#proxy.on('rateLimitStore', this.#onStore)
  }

  leave(): void {
    if (!this.#isFollowing) return
    this.#isFollowing = false
    this.#proxy.off('failure', this.#onFailure)
    this.#proxy.off('desync', this.#onDesync)
    this.#proxy.off('quarantine', this.#onQuarantine)
    this.#proxy.off('server', this.#onServer)
    this.#proxy.off('breaker', this.#onBreaker)
    this.#proxy.off('rateLimitStore', this.#onStore)
  }

  readonly #onFailure = (summary: ExchangeSummary): void => {
    if (!this.#budget.take()) return
    const { id, client, method, target, status, termination, error, rule, upstream, totalMs } = summary
    const request = method === '' ? 'a request that was not read' : `${method} ${shorten(target)}`
    const why = rule === '' ? error : `${error} ${rule}`
    const server = upstream === '' ? {} : { upstream }
    this.#tell('exchange', `${termination} ${status === 0 ? '–' : status} ${request} ${why}`.trim(), {
      id,
      client,
      termination,
      status,
      error,
      rule,
      ...server,
      ms: Math.round(totalMs * 1_000) / 1_000,
    })
  }

  readonly #onDesync = ({ kind, isEvidence, rule, upstream, address, bytes }: DesyncEvent): void => {
    if (!this.#budget.take()) return
    this.#tell('desync', `${upstream} ${isEvidence ? 'is' : 'may be'} out of step: ${kind}`, {
      kind,
      isEvidence,
      rule,
      upstream,
      address,
      bytes,
    })
  }

  readonly #onQuarantine = ({ upstream, state }: QuarantineEvent): void => {
    this.#tell('quarantine', `quarantine of ${upstream} ${state}`, { upstream, state })
  }

  readonly #onServer = ({ group, server, change, reason }: ServerEvent): void => {
    if (!this.#budget.take()) return
    this.#tell('server', `${group === '' ? '' : `${group}/`}${server} ${change}: ${reason}`, { group, server, change, reason })
  }

  readonly #onBreaker = ({ group, limit, state }: BreakerEvent): void => {
    if (!this.#budget.take()) return
    this.#tell('server', `the circuit breaker of group ${group} ${state} (${limit})`, { group, limit, state })
  }

  readonly #onStore = ({ state, reason }: RateLimitStoreEvent): void => {
    this.#tell('store', `the store of shared rate limits is ${state}${reason === '' ? '' : `: ${reason}`}`, { state, reason })
  }

  #tell(kind: LiveEventKind, text: string, fields: LiveEvent['fields']): void {
    const { untold } = this.#budget
    this.#sink({ at: Date.now(), kind, worker: this.#worker, text, fields: untold > 0 ? { ...fields, untold } : fields })
  }
}

function shorten(text: string): string {
  return text.length <= textMax ? text : `${text.slice(0, textMax)}…`
}

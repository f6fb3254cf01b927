/**
 * All limits of a proxy by name, and the store that some of them share. When the configuration is read again, a limit that did not change
 * keeps what it knows of its keys, and so does the connection to a store that is the same.
 */
import { isDeepStrictEqual } from 'node:util'
import { ProxyError } from '../core/errors.ts'
import type { RateLimitOptions, ServiceOptions } from '../core/service-options.ts'
import type { Clock } from '../core/timers.ts'
import { KeyHasher } from './key-hasher.ts'
import { RateLimit, type RateLimitCounts } from './rate-limit.ts'
import { RequestLimits } from './request-limits.ts'
import { findStoreFault } from './store-url.ts'
import { SharedStore, type StoreEvents, type StoreStats } from './shared-store.ts'

export interface RateLimiterStats {
  readonly limits: Readonly<Record<string, RateLimitCounts>>
  readonly store: StoreStats | undefined
}

export class RateLimiter {
  readonly #hasher = new KeyHasher()
  readonly #clock: Clock
  readonly #events: StoreEvents
  #limits: ReadonlyMap<string, RateLimit> = new Map()
  #store: SharedStore | null = null

  constructor(clock: Clock, events: StoreEvents) {
    this.#clock = clock
    this.#events = events
  }

  get stats(): RateLimiterStats {
    return {
      limits: Object.fromEntries([...this.#limits].map(([name, { counts }]) => [name, counts])),
      store: this.#store?.stats,
    }
  }

  /** `options` have been checked by `checkRateLimits`. A store that no limit uses is not connected to. */
  configure({ rateLimits, rateLimitStore }: Pick<ServiceOptions, 'rateLimits' | 'rateLimitStore'>): void {
    const rows = Object.entries(rateLimits)
    const wanted = rows.some(([, { shared }]) => shared) ? rateLimitStore : undefined
    if (!isDeepStrictEqual(this.#store?.options, wanted)) {
      this.#store?.close()
      this.#store = wanted === undefined ? null : new SharedStore(wanted, this.#clock, this.#events)
    }
    this.#limits = new Map(rows.map(([name, options]) => [name, this.#keep(name, options)]))
  }

  /** The limits of these names for requests of one route; null when there is none, so that nothing is done for a request. */
  bind(names: readonly string[], route: string): RequestLimits | null {
    const limits = [...new Set(names)].map((name) => this.#limits.get(name)!)
    return limits.length === 0 ? null : new RequestLimits(limits, route, this.#hasher)
  }

  close(): void {
    this.#store?.close()
  }

  #keep(name: string, options: RateLimitOptions): RateLimit {
    const present = this.#limits.get(name)
    const store = options.shared ? this.#store : null
    return present !== undefined && present.store === store && isDeepStrictEqual(present.options, options)
      ? present
      : new RateLimit(name, options, store)
  }
}

/** Throws ProxyError ERR_EPROXY_OPTION for a limit that is referred to and not there, or shared without a store, and for a store that cannot be. */
export function checkRateLimits({ rateLimits, rateLimitStore, listeners, routes }: ServiceOptions): void {
  for (const [name, { shared }] of Object.entries(rateLimits)) {
    if (shared && rateLimitStore === undefined)
      throw new ProxyError('ERR_EPROXY_OPTION', `rate limit ${name} is shared, and there is no rateLimitStore to share it in`)
  }
  const fault = rateLimitStore && findStoreFault(rateLimitStore)
  if (fault !== undefined) throw new ProxyError('ERR_EPROXY_OPTION', `rateLimitStore.${fault.key}: ${fault.message}`)
  const users = [
    ...listeners.map((row) => ({ place: `listener ${row.address}`, names: row.rateLimits })),
    ...routes.map((row) => ({ place: `route ${row.name}`, names: row.rateLimits })),
  ]
  for (const { place, names } of users) {
    const unknown = names.find((name) => !Object.hasOwn(rateLimits, name))
    if (unknown !== undefined) throw new ProxyError('ERR_EPROXY_OPTION', `${place}: there is no rate limit ${unknown}`)
  }
}

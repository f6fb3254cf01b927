/**
 * The limits that hold for the requests of one route, one after the other: a request passes when all let it through, and counts for none
 * when one does not. Says the same in fields: `RateLimit` and `RateLimit-Policy` as draft-ietf-httpapi-ratelimit-headers-11 has them, and
 * Retry-After. One object for each route and listener; what it says holds until the next request.
 */
import { equalsIgnoreCase, spanWidth, type RequestHead } from '../../native-free-parser/index.ts'
import type { KeyHasher } from './key-hasher.ts'
import type { RateLimit } from './rate-limit.ts'

export interface LimitRefusal {
  readonly code: 'ERR_EPROXY_RATE_LIMITED' | 'ERR_EPROXY_RATE_LIMIT_STORE'
  /** Lines for the response. */
  readonly fields: string
}

export class RequestLimits {
  readonly #limits: readonly RateLimit[]
  readonly #hasher: KeyHasher
  readonly #route: string
  /** The key of the route. */
  readonly #routeHigh: number
  readonly #routeLow: number
  /** Of those limits whose state is told to everyone, not only to who is refused. */
  readonly #announced: readonly RateLimit[]
  readonly #policies: string
  /** The one that refused the last request. */
  #refusedBy: RateLimit | undefined

  constructor(limits: readonly RateLimit[], route: string, hasher: KeyHasher) {
    this.#limits = limits
    this.#route = route
    this.#hasher = hasher
    hasher.hashText(route)
    this.#routeHigh = hasher.high
    this.#routeLow = hasher.low
    this.#announced = limits.filter(({ options }) => options.announce === true)
    this.#policies = this.#announced.map(formatPolicy).join(', ')
  }

  /** Whether a request may go on. */
  take(clientAddress: string, head: RequestHead, nowMs: number): boolean {
    const limits = this.#limits
    for (let i = 0; i < limits.length; i++) {
      if (this.#takeFrom(limits[i]!, clientAddress, head, nowMs)) continue
      this.#refusedBy = limits[i]!
      for (let before = 0; before < i; before++) this.#giveBack(limits[before]!, clientAddress, head)
      return false
    }
    return true
  }

  /** Lines for the response to a request that was let through, '' when nothing is to be told. */
  get fields(): string {
    if (this.#policies === '') return ''
    return `RateLimit-Policy: ${this.#policies}\r\nRateLimit: ${this.#announced.map(formatState).join(', ')}\r\n`
  }

  /** Of the last request, which was refused. */
  describeRefusal(): LimitRefusal {
    const limit = this.#refusedBy!
    const retryAfter = `Retry-After: ${Math.max(1, Math.ceil(limit.retryAfterMs / 1_000))}\r\n`
    if (limit.wasUnreachable) return { code: 'ERR_EPROXY_RATE_LIMIT_STORE', fields: retryAfter }
    const fields = `${retryAfter}RateLimit-Policy: ${formatPolicy(limit)}\r\nRateLimit: ${formatRefusal(limit)}\r\n`
    return { code: 'ERR_EPROXY_RATE_LIMITED', fields }
  }

  #takeFrom(limit: RateLimit, clientAddress: string, head: RequestHead, nowMs: number): boolean {
    const hasher = this.#hasher
    const { key, ipv6Prefix } = limit.options
    switch (key.kind) {
      case 'client':
        break
      case 'header': {
        const value = findValue(head, limit.fieldName)
        // Without the field, whoever sends the request is all there is to count by; one count for all such requests would be anyone's to use up.
        if (value === undefined) break
        hasher.hashText(value)
        return limit.take(hasher.high, hasher.low, 'header', value, nowMs)
      }
      case 'route':
        return limit.take(this.#routeHigh, this.#routeLow, 'route', this.#route, nowMs)
      case 'all':
        return limit.take(0, 1, 'all', '', nowMs)
    }
    hasher.hashAddress(clientAddress, ipv6Prefix)
    return limit.take(hasher.high, hasher.low, 'client', clientAddress, nowMs)
  }

  #giveBack(limit: RateLimit, clientAddress: string, head: RequestHead): void {
    const hasher = this.#hasher
    const { key, ipv6Prefix } = limit.options
    const value = key.kind === 'header' ? findValue(head, limit.fieldName) : undefined
    if (key.kind === 'all') return limit.giveBack(0, 1)
    if (key.kind === 'route') return limit.giveBack(this.#routeHigh, this.#routeLow)
    if (value !== undefined) hasher.hashText(value)
    else hasher.hashAddress(clientAddress, ipv6Prefix)
    limit.giveBack(hasher.high, hasher.low)
  }
}

/** Of the first field with this name, which is in lower case. Nothing is copied for the fields that have another one. */
function findValue(head: RequestHead, name: string): string | undefined {
  const { raw, spans, count } = head
  for (let i = 0; i < count; i++) {
    const at = i * spanWidth
    if (equalsIgnoreCase(raw, spans[at]!, spans[at + 1]!, name)) return head.value(i)
  }
  return undefined
}

/** The window of a policy is whole seconds: for a shorter one the quota of a second is told. */
function formatPolicy({ name, options: { requests, perMs } }: RateLimit): string {
  const seconds = Math.max(1, Math.ceil(perMs / 1_000))
  return `${quote(name)};q=${Math.floor((requests * seconds * 1_000) / perMs)};w=${seconds}`
}

function formatState(limit: RateLimit): string {
  return `${quote(limit.name)};r=${limit.remaining};t=${Math.ceil(limit.resetMs / 1_000)}`
}

function formatRefusal(limit: RateLimit): string {
  return `${quote(limit.name)};r=0;t=${Math.max(1, Math.ceil(limit.retryAfterMs / 1_000))}`
}

/** A string of RFC 9651 section 3.3.3. */
function quote(name: string): string {
  return `"${name.replace(/[^\x20-\x7e]/g, '?').replace(/["\\]/g, '\\$&')}"`
}

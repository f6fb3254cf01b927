/**
 * The servers of one exchange: the one it has, those that have failed it, and the next one, as far as the route's rule, the group and its budget
 * have one left; and the word to the group of how each of them did. It keeps the exchange's places until `leave`. Whether the request can be sent
 * again at all is for the exchange to know.
 */
import type { ExchangeErrorCode } from '../core/errors.ts'
import { plainRetry, type RetryPolicy } from '../policy/retry.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'
import type { UpstreamGroup } from '../upstream/group.ts'
import type { RetryReason } from '../upstream/retry-budget.ts'
import type { Server } from '../upstream/server.ts'

const noTries: readonly Server[] = Object.freeze([])
const noRule = plainRetry(1)

export class ServerChoice {
  #group: UpstreamGroup | undefined
  #rule: RetryPolicy = noRule
  /** By which the group chooses, '' where it does not. */
  #key = ''
  #server: Server | undefined
  /** Why the server was picked after another one, or a connection, had failed; undefined for the first. */
  #reason: RetryReason | undefined
  /** Where the request goes next, and why. The place there is taken already. */
  #next: Server | undefined
  #nextReason: RetryReason | undefined
  #tried = noTries
  /** The one attempt after a pooled connection that was closed already has been made. */
  #hasMetStale = false
  /** The group's budget has admitted the exchange, which holds for whatever it tries yet. */
  #isAdmitted = false

  /** `key`: of `UpstreamGroup.keyOf`. */
  begin(group: UpstreamGroup, rule: RetryPolicy, key: string): void {
    this.#group = group
    this.#rule = rule
    this.#key = key
    this.#tried = noTries
    this.#hasMetStale = false
    this.#isAdmitted = false
  }

  /** The server that the exchange has. */
  get server(): Server {
    return this.#server!
  }

  get isRetry(): boolean {
    return this.#reason !== undefined
  }

  /** No pooled connection will do: one has been closed already, and others may have been with it. */
  get wantsFresh(): boolean {
    return this.#reason === 'stale'
  }

  /** There is somewhere to go on to; `moveOn` does. */
  get hasNext(): boolean {
    return this.#next !== undefined
  }

  /** What is sent may have to be sent again, even on a connection that was never idle. */
  get keepsRequest(): boolean {
    return this.#rule.keepsRequest
  }

  /** Set-Cookie for the response, a whole line; '' for none. */
  get cookie(): string {
    return this.#group!.cookieFor(this.#server!, this.#key)
  }

  /** Why no server was found. */
  get refusal(): ExchangeErrorCode {
    return this.#group!.refusal
  }

  // Each of these says whether there is a next server now.

  findFirst(): boolean {
    this.#next = this.#group!.pick(noTries, this.#key, false)
    this.#nextReason = undefined
    return this.#next !== undefined
  }

  findAfterConnectFailure(): boolean {
    return this.#rule.onConnect && this.#findAnother('connect')
  }

  findAfterLoss(connection: UpstreamConnection, code: ExchangeErrorCode): boolean {
    if (code === 'ERR_EPROXY_UPSTREAM_CLOSED' && !this.#hasMetStale && connection.uses > 1) {
      // RFC 9112 section 9.3.1: the server has closed a pooled connection at the same moment, which says nothing about the server.
      this.#hasMetStale = true
      this.#next = this.#group!.pick(this.#tried, this.#key, true)
      this.#nextReason = 'stale'
      return this.#next !== undefined
    }
    const reason = this.#lossReason(code)
    return reason !== undefined && this.#findAnother(reason)
  }

  findAfterStatus(): boolean {
    return this.#findAnother('status')
  }

  /** A response with that status is a reason to try another server. */
  retriesStatus(status: number): boolean {
    const { statuses } = this.#rule
    return statuses !== undefined && statuses.has(status)
  }

  /** Gives up the server for the next one. */
  moveOn(): Server {
    const next = this.#next!
    this.#leaveServer()
    this.#server = next
    this.#reason = this.#nextReason
    this.#next = undefined
    if (this.#reason !== undefined) this.#group!.retries.count(this.#reason)
    return next
  }

  /** The exchange is over. */
  leave(): void {
    if (this.#next !== undefined) this.#group!.leave(this.#next, true)
    this.#next = undefined
    this.#leaveServer()
  }

  // How the server did.

  onConnectFailed(): void {
    this.#group!.onFailure(this.#server!)
  }

  onLost(connection: UpstreamConnection, code: ExchangeErrorCode): void {
    if (isServersFault(connection, code)) this.#group!.onFailure(this.#server!)
  }

  onResponse(status: number): void {
    if (isGatewayFailure(status)) this.#group!.onFailure(this.#server!)
  }

  onResponseComplete(status: number): void {
    if (!isGatewayFailure(status)) this.#group!.onSuccess(this.#server!)
  }

  #leaveServer(): void {
    if (this.#server === undefined) return
    this.#group!.leave(this.#server, this.#reason !== undefined)
    this.#server = undefined
  }

  /** The server of this attempt has failed. Another one, when the route, the group and its budget have one left. */
  #findAnother(reason: RetryReason): boolean {
    const { servers, share, minimum } = this.#rule
    const group = this.#group!
    this.#tried = [...this.#tried, this.#server!]
    if (this.#tried.length >= servers) return false
    const next = group.pick(this.#tried, this.#key, true)
    if (next === undefined) return false
    // It counts once among the active, and not yet among those that retry.
    this.#isAdmitted ||= group.retries.admit(group.active - 1, group.retrying - (this.isRetry ? 2 : 1), share, minimum)
    if (!this.#isAdmitted) {
      group.leave(next, true)
      return false
    }
    this.#next = next
    this.#nextReason = reason
    return true
  }

  #lossReason(code: ExchangeErrorCode): RetryReason | undefined {
    switch (code) {
      case 'ERR_EPROXY_UPSTREAM_CLOSED':
      case 'ERR_EPROXY_RESPONSE_INCOMPLETE':
        return this.#rule.onClosed ? 'closed' : undefined
      case 'ERR_EPROXY_RESPONSE_HEAD_TIMEOUT':
        return this.#rule.onTimeout ? 'timeout' : undefined
      default:
        return undefined
    }
  }
}

/** The server says itself that it, or what is behind it, cannot serve: RFC 9110 sections 15.6.3 to 15.6.5. */
function isGatewayFailure(status: number): boolean {
  return status === 502 || status === 503 || status === 504
}

/** A pooled connection that ends between two requests is daily life, and a proxy that stops is nobody's fault but its own. */
function isServersFault(connection: UpstreamConnection, code: ExchangeErrorCode): boolean {
  if (code === 'ERR_EPROXY_UPSTREAM_CLOSED') return connection.uses === 1
  return code !== 'ERR_EPROXY_DRAINED' && code !== 'ERR_EPROXY_INTERNAL'
}

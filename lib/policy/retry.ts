/** When a request is sent again: a route's own rule, or the rule of a proxy that has none configured. Plain data that an exchange looks up. */
import { ProxyError } from '../core/errors.ts'
import type { RetryOptions } from '../core/service-options.ts'

export interface RetryPolicy {
  /** Tried for one request, the first included. */
  readonly servers: number
  readonly onConnect: boolean
  readonly onClosed: boolean
  readonly onTimeout: boolean
  /** Undefined: a response is never the reason. */
  readonly statuses: ReadonlySet<number> | undefined
  /** What was sent has to be kept on every connection, and not only on one that may be closed already. */
  readonly keepsRequest: boolean
  /** Of `RetryBudget.admit`. */
  readonly share: number
  readonly minimum: number
}

/** Connecting goes on at the next server, because nothing was sent yet; `attempts` is pool.attempts. */
export function plainRetry(attempts: number): RetryPolicy {
  return Object.freeze({
    servers: attempts,
    onConnect: true,
    onClosed: false,
    onTimeout: false,
    statuses: undefined,
    keepsRequest: false,
    share: Infinity,
    minimum: 0,
  })
}

/** Throws ProxyError ERR_EPROXY_OPTION. */
export function makeRetry({ attempts, on, budget, budgetMin }: RetryOptions): RetryPolicy {
  const statuses = new Set(on.filter((reason) => typeof reason === 'number'))
  for (const status of statuses) {
    if (!Number.isInteger(status) || status < 400 || status > 599)
      throw new ProxyError('ERR_EPROXY_OPTION', `retry.on: ${status} is not a status of an error (400 to 599)`)
  }
  const onClosed = on.includes('closed')
  const onTimeout = on.includes('timeout')
  return Object.freeze({
    servers: attempts + 1,
    onConnect: on.includes('connect'),
    onClosed,
    onTimeout,
    statuses: statuses.size === 0 ? undefined : statuses,
    keepsRequest: attempts > 0 && (onClosed || onTimeout || statuses.size > 0),
    share: budget,
    minimum: budgetMin,
  })
}

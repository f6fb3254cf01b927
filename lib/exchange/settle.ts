/** The fold over both halves of an exchange: what becomes of the two connections. Pure, all cases visible. */

/** The half that runs from the client to the upstream. */
export type RequestHalf = 'open' | 'complete'
/** The half that runs from the upstream to the client. */
export type ResponseHalf = 'open' | 'complete'

export interface Ends {
  /** `wait`: the exchange is not over. `discard`: the rest of the request is read and thrown away first. */
  readonly client: 'wait' | 'next' | 'close' | 'discard'
  readonly upstream: 'wait' | 'release' | 'terminate'
}

const wait: Ends = Object.freeze({ client: 'wait', upstream: 'wait' })
const again: Ends = Object.freeze({ client: 'next', upstream: 'release' })
const last: Ends = Object.freeze({ client: 'close', upstream: 'release' })
const early: Ends = Object.freeze({ client: 'discard', upstream: 'terminate' })
const earlyAndLast: Ends = Object.freeze({ client: 'close', upstream: 'terminate' })

/**
 * @param persists - the client's connection can carry another request: it was not told otherwise, by either side.
 */
export function settle(request: RequestHalf, response: ResponseHalf, persists: boolean): Ends {
  if (response === 'open') return wait
  if (request === 'complete') return persists ? again : last
  // The response ended first (RFC 9112 section 9.3): the upstream may still wait for the rest of the body, so that connection cannot be
  // used again; the client's can, once the rest of the body has gone by.
  return persists ? early : earlyAndLast
}

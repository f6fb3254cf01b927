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

const wait: Ends = { client: 'wait', upstream: 'wait' }

/**
 * @param persists - the client's connection can carry another request: it was not told otherwise, by either side.
 */
export function settle(request: RequestHalf, response: ResponseHalf, persists: boolean): Ends {
  if (response === 'open') return wait
  if (request === 'complete') return { client: persists ? 'next' : 'close', upstream: 'release' }
  // The response ended first (RFC 9112 section 9.3): the upstream may still wait for the rest of the body, so that connection cannot be
  // used again; the client's can, once the rest of the body has gone by.
  return { client: persists ? 'discard' : 'close', upstream: 'terminate' }
}

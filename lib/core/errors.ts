/**
 * Every way in which an exchange can end other than well, as rows of one table: what the client is told (status, RFC 9209 error type),
 * what the log says (termination code in HAProxy's two letters), and whose fault it was. One error class carries a row's code.
 */

export interface ErrorRow {
  /** Status of the local response while none has begun; 0: close without an answer. */
  readonly status: number
  /** Who caused it. */
  readonly side: 'client' | 'upstream' | 'proxy'
  /** First letter: who ended the exchange; second: in which phase (HAProxy configuration manual, section 8.5). */
  readonly termination: string
  /** Proxy error type, RFC 9209 section 2.3. */
  readonly proxyStatus: string
  readonly doc: string
}

// oxfmt-ignore
export const errorTable = {
  ERR_EPROXY_REQUEST_REFUSED: { status: 400, side: 'client', termination: 'PR', proxyStatus: 'http_request_error', doc: 'the request broke a rule; status, rule id and RFC section are those of the rule' },
  ERR_EPROXY_REQUEST_BODY_SIZE: { status: 413, side: 'client', termination: 'PR', proxyStatus: 'http_request_error', doc: 'the request body is larger than the route or the listener allows (requestBodyBytes)' },
  ERR_EPROXY_NO_ROUTE: { status: 404, side: 'proxy', termination: 'PR', proxyStatus: 'destination_not_found', doc: 'no route matches the request' },
  ERR_EPROXY_ACCESS_DENIED: { status: 403, side: 'proxy', termination: 'PR', proxyStatus: 'http_request_denied', doc: 'the client may not use this route (allow, deny)' },
  ERR_EPROXY_FIRST_BYTE_TIMEOUT: { status: 0, side: 'client', termination: 'cR', proxyStatus: 'connection_read_timeout', doc: 'a new connection said nothing (timeouts.firstByte)' },
  ERR_EPROXY_REQUEST_HEAD_TIMEOUT: { status: 408, side: 'client', termination: 'cR', proxyStatus: 'connection_read_timeout', doc: 'a request head did not end in time (timeouts.requestHead)' },
  ERR_EPROXY_REQUEST_BODY_TIMEOUT: { status: 408, side: 'client', termination: 'cD', proxyStatus: 'connection_read_timeout', doc: 'a request body stood still (timeouts.requestBodyIdle)' },
  ERR_EPROXY_REQUEST_BODY_RATE: { status: 408, side: 'client', termination: 'cD', proxyStatus: 'connection_read_timeout', doc: 'a request body came slower than limits.minRate' },
  ERR_EPROXY_CLIENT_STALLED: { status: 0, side: 'client', termination: 'cD', proxyStatus: 'connection_write_timeout', doc: 'the client took no byte of the response (timeouts.clientWriteIdle)' },
  ERR_EPROXY_CLIENT_ABORTED: { status: 0, side: 'client', termination: 'CD', proxyStatus: 'connection_terminated', doc: 'the client went away before the exchange was complete' },
  ERR_EPROXY_QUEUE_FULL: { status: 503, side: 'proxy', termination: 'SQ', proxyStatus: 'connection_limit_reached', doc: 'too many requests already wait for this upstream (pool.waiting)' },
  ERR_EPROXY_QUEUE_TIMEOUT: { status: 503, side: 'proxy', termination: 'sQ', proxyStatus: 'connection_limit_reached', doc: 'no upstream connection became free (timeouts.queue)' },
  ERR_EPROXY_CIRCUIT_OPEN: { status: 503, side: 'proxy', termination: 'PQ', proxyStatus: 'connection_limit_reached', doc: 'the circuit breaker of the group lets no more exchanges begin (breaker)' },
  ERR_EPROXY_NO_SERVER: { status: 503, side: 'upstream', termination: 'SC', proxyStatus: 'destination_unavailable', doc: 'no server of the group can be used: down, ejected, draining or disabled' },
  ERR_EPROXY_DNS_TIMEOUT: { status: 503, side: 'upstream', termination: 'sC', proxyStatus: 'dns_timeout', doc: 'the name of the upstream was not resolved in time (timeouts.dns)' },
  ERR_EPROXY_DNS_FAILED: { status: 503, side: 'upstream', termination: 'SC', proxyStatus: 'dns_error', doc: 'the name of the upstream has no address' },
  ERR_EPROXY_CONNECT_TIMEOUT: { status: 504, side: 'upstream', termination: 'sC', proxyStatus: 'connection_timeout', doc: 'no connection to the upstream in time (timeouts.connect)' },
  ERR_EPROXY_CONNECT_FAILED: { status: 502, side: 'upstream', termination: 'SC', proxyStatus: 'connection_refused', doc: 'the upstream refused the connection or cannot be reached' },
  ERR_EPROXY_UPSTREAM_WRITE_TIMEOUT: { status: 504, side: 'upstream', termination: 'sD', proxyStatus: 'connection_write_timeout', doc: 'the upstream took no byte of the request (timeouts.upstreamWriteIdle)' },
  ERR_EPROXY_RESPONSE_HEAD_TIMEOUT: { status: 504, side: 'upstream', termination: 'sH', proxyStatus: 'http_response_timeout', doc: 'no response head in time (timeouts.responseHead)' },
  ERR_EPROXY_RESPONSE_BODY_TIMEOUT: { status: 504, side: 'upstream', termination: 'sD', proxyStatus: 'http_response_timeout', doc: 'a response body stood still (timeouts.responseBodyIdle)' },
  ERR_EPROXY_UPSTREAM_CLOSED: { status: 502, side: 'upstream', termination: 'SH', proxyStatus: 'connection_terminated', doc: 'the upstream closed the connection before its response began' },
  ERR_EPROXY_RESPONSE_INCOMPLETE: { status: 502, side: 'upstream', termination: 'SD', proxyStatus: 'http_response_incomplete', doc: 'the upstream closed the connection in the middle of its response' },
  ERR_EPROXY_RESPONSE_REFUSED: { status: 502, side: 'upstream', termination: 'PH', proxyStatus: 'http_protocol_error', doc: 'the response broke a rule; rule id and RFC section are those of the rule' },
  ERR_EPROXY_REQUEST_TIMEOUT: { status: 504, side: 'proxy', termination: 'sH', proxyStatus: 'http_response_timeout', doc: 'the exchange as a whole took too long (timeouts.request)' },
  ERR_EPROXY_TUNNEL_IDLE: { status: 0, side: 'client', termination: 'cT', proxyStatus: 'connection_read_timeout', doc: 'a tunnel carried nothing (timeouts.tunnelIdle)' },
  ERR_EPROXY_TUNNEL_HALF_CLOSED: { status: 0, side: 'client', termination: 'cT', proxyStatus: 'connection_read_timeout', doc: 'one side of a tunnel ended and the other said nothing (timeouts.halfClose)' },
  ERR_EPROXY_TUNNEL_RESET: { status: 0, side: 'upstream', termination: 'SD', proxyStatus: 'connection_terminated', doc: 'one side of a tunnel reset its connection' },
  ERR_EPROXY_RATE_LIMITED: { status: 429, side: 'client', termination: 'PL', proxyStatus: 'http_request_denied', doc: 'more requests than a rate limit allows; Retry-After says when the next one may come' },
  ERR_EPROXY_RATE_LIMIT_STORE: { status: 503, side: 'proxy', termination: 'PL', proxyStatus: 'proxy_internal_response', doc: 'a shared rate limit cannot be asked, and is to let nothing through then (rateLimitStore.onError)' },
  ERR_EPROXY_CLIENT_CONNECTIONS_MAX: { status: 429, side: 'client', termination: 'PC', proxyStatus: 'connection_limit_reached', doc: 'too many connections of one client address (connectionsPerClient)' },
  ERR_EPROXY_CONNECTIONS_MAX: { status: 503, side: 'proxy', termination: 'PC', proxyStatus: 'connection_limit_reached', doc: 'too many client connections (limits.connections)' },
  ERR_EPROXY_DRAINED: { status: 503, side: 'proxy', termination: 'PD', proxyStatus: 'proxy_internal_response', doc: 'the proxy stopped before the exchange was complete (timeouts.drain)' },
  ERR_EPROXY_INTERNAL: { status: 500, side: 'proxy', termination: 'IR', proxyStatus: 'proxy_internal_error', doc: 'a fault of the proxy itself, contained to one connection' },
} as const satisfies Record<string, ErrorRow>

export type ExchangeErrorCode = keyof typeof errorTable
/** Codes that reach the user of the library as a rejection, never a client. */
export type ApiErrorCode = 'ERR_EPROXY_OPTION' | 'ERR_EPROXY_LISTEN' | 'ERR_EPROXY_STATE' | 'ERR_EPROXY_WORKER'
export type ErrorCode = ExchangeErrorCode | ApiErrorCode

/** `code` is stable API; `message` is not. `cause` keeps the system's error. */
export class ProxyError extends Error {
  readonly code: ErrorCode
  constructor(code: ErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'ProxyError'
    this.code = code
  }
}

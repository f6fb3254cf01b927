/** What the proxy says itself where no server is asked, or none has answered: pure, from the reason to the response. */
import { errorTable, type ExchangeErrorCode } from '../core/errors.ts'
import type { LimitRefusal } from '../limit/request-limits.ts'
import type { LocalResponse } from '../policy/local-response.ts'

/** `status`: that of the row unless a rule has its own. `details`: what happened, where the client may know; '' for what the row says. */
export function answerError(code: ExchangeErrorCode, status: number, details: string): LocalResponse {
  const { proxyStatus, doc } = errorTable[code]
  return { status, error: proxyStatus, details: details || doc, fields: status === 503 ? 'Retry-After: 1\r\n' : '' }
}

/** For the request that these limits have just refused. */
export function answerLimited({ code, fields }: LimitRefusal): LocalResponse {
  const { status, proxyStatus, doc } = errorTable[code]
  return { status, error: proxyStatus, details: doc, fields }
}

/** RFC 9110 section 7.6.2: Max-Forwards has run out, this proxy is the final recipient. */
export function answerLast(method: string): LocalResponse {
  if (method === 'OPTIONS') return { status: 204, error: '', details: '', fields: '' }
  return {
    status: 405,
    error: '',
    details: 'TRACE is not answered by this proxy',
    fields: 'Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n',
  }
}

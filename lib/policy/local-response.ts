/** Responses that the proxy gives in its own name: plain text that says what was wrong, and the same in Proxy-Status (RFC 9209). */
import { STATUS_CODES } from 'node:http'

export interface LocalResponse {
  readonly status: number
  /** RFC 9209 section 2.3 error type, '' when it is no error. */
  readonly error: string
  /** One line: rule, offset, what happened. Shown to the client; no values of its fields, no addresses of ours. */
  readonly details: string
  /** More fields, whole lines with CRLF. */
  readonly fields: string
}

/** @param toHead - the request was HEAD: the body stays away, its length does not. */
export function encodeLocalResponse(
  { status, error, details, fields }: LocalResponse,
  date: string,
  close: boolean,
  toHead: boolean,
): string {
  const reason = STATUS_CODES[status] ?? ''
  const body = `${status} ${reason}\n${details === '' ? '' : details + '\n'}`
  const proxyStatus =
    error === ''
      ? ''
      : `Proxy-Status: eproxy; error=${error}; details="${details.replace(/[^\x20-\x7e]/g, '?').replace(/["\\]/g, '\\$&')}"\r\n`
  const length = status === 204 ? '' : `Content-Type: text/plain; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`
  const head = `HTTP/1.1 ${status} ${reason}\r\n${length}Date: ${date}\r\n${fields}${proxyStatus}${close ? 'Connection: close\r\n' : ''}\r\n`
  return toHead || status === 204 ? head : head + body
}

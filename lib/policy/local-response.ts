/**
 * Responses that the proxy gives in its own name. Of an error the body is a page of the operator's, or says what was wrong as plain text; a client
 * that would rather have JSON gets that (RFC 9457). Proxy-Status says what was wrong in either case (RFC 9209).
 */
import { STATUS_CODES } from 'node:http'
import type { ErrorPages } from './error-pages.ts'

export interface LocalResponse {
  readonly status: number
  /** RFC 9209 section 2.3 error type, '' when it is no error. */
  readonly error: string
  /** One line: rule, offset, what happened. Shown to the client; no values of its fields, no addresses of ours. */
  readonly details: string
  /** More fields, whole lines with CRLF. */
  readonly fields: string
  /** What is sent instead of a text about the status. */
  readonly content?: LocalContent
}

export interface LocalContent {
  readonly type: string
  /** One character for each octet. */
  readonly octets: string
}

/**
 * An answer with what stands in it: the content that it has, or the page for its status, or words about it, in the form that the client would
 * rather have. `rawHead`: a whole request head, '' when there is none. `requestId`: for pages that show it.
 */
export function withContent(answer: LocalResponse, rawHead: string, pages: ErrorPages | null, requestId: string): LocalResponse {
  const { status, details, fields, content } = answer
  if (content !== undefined) return answer
  const reason = reasonOf(status)
  if (status < 400) return { ...answer, content: describeAsText(status, reason, details) }
  const page = pages?.find(status)
  const wantsJson = prefersJson(rawHead)
  const form = wantsJson ? page?.json : page?.text
  return {
    ...answer,
    // RFC 9110 section 12.5.5: who asks for the same with another Accept may get another answer.
    fields: rawHead === '' ? fields : `Vary: Accept\r\n${fields}`,
    content:
      form?.fill({ status: String(status), reason, request_id: requestId }) ??
      (wantsJson ? describeAsProblem(status, reason, details) : describeAsText(status, reason, details)),
  }
}

/** @param toHead - the request was HEAD: the body stays away, its length does not. */
export function encodeLocalResponse(
  { status, error, details, fields, content }: LocalResponse,
  date: string,
  close: boolean,
  toHead: boolean,
): string {
  const proxyStatus =
    error === ''
      ? ''
      : `Proxy-Status: eproxy; error=${error}; details="${details.replace(/[^\x20-\x7e]/g, '?').replace(/["\\]/g, '\\$&')}"\r\n`
  const { type = '', octets = '' } = content ?? {}
  const hasNoContent = status === 204 || status === 304
  const length = hasNoContent ? '' : `${type === '' ? '' : `Content-Type: ${type}\r\n`}Content-Length: ${octets.length}\r\n`
  const head = `HTTP/1.1 ${status} ${reasonOf(status)}\r\n${length}Date: ${date}\r\n${fields}${proxyStatus}${close ? 'Connection: close\r\n' : ''}\r\n`
  return toHead || hasNoContent ? head : head + octets
}

/** RFC 9110 sections 15.5.14 and 15.5.21 have other names for two of them than those before it, which node knows. */
function reasonOf(status: number): string {
  if (status === 413) return 'Content Too Large'
  if (status === 422) return 'Unprocessable Content'
  return STATUS_CODES[status] ?? ''
}

function describeAsText(status: number, reason: string, details: string): LocalContent {
  return { type: 'text/plain; charset=utf-8', octets: toOctets(`${status} ${reason}\n${details === '' ? '' : details + '\n'}`) }
}

/** RFC 9457 section 3.1; without `type` the title is that of the status. */
function describeAsProblem(status: number, reason: string, details: string): LocalContent {
  const problem = { title: reason, status, ...(details !== '' && { detail: details }) }
  return { type: 'application/problem+json', octets: toOctets(`${JSON.stringify(problem)}\n`) }
}

/** Heads and what stands behind them are written as latin-1. */
export function toOctets(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}

/**
 * Whether the client would rather have JSON than text, RFC 9110 section 12.5.1: it names JSON, of whatever kind, and no text before it or with more
 * weight. `rawHead` is a whole request head, or '' when there is none. Wildcards stand for text, but for `application/*`.
 */
export function prefersJson(rawHead: string): boolean {
  let json = 0
  let text = 0
  let left = rangesMax
  for (const [, value = ''] of rawHead.matchAll(/\r\naccept:([^\r]*)/gi)) {
    for (const element of value.split(',', left)) {
      left--
      const [range = '', ...parameters] = element.split(';', parametersMax)
      const type = range.trim().toLowerCase()
      const weight = readWeight(parameters)
      if (jsonPattern.test(type)) json = Math.max(json, weight > text ? weight : 0)
      else if (type === 'text/plain' || type === 'text/html' || type === 'text/*' || type === '*/*')
        text = Math.max(text, weight > json ? weight : 0)
    }
  }
  return json > text
}

/** What stands behind so many is not looked at: no answer is to cost more than the rest of its exchange. */
const rangesMax = 32
const parametersMax = 8

/** Who asks for some vocabulary in JSON reads a problem sooner than a page. */
const jsonPattern = /^application\/(?:json|\*|[!#$&^_.+0-9a-z-]+\+json)$/

/** RFC 9110 section 12.4.2. */
function readWeight(parameters: readonly string[]): number {
  for (const parameter of parameters) {
    const weight = /^[ \t]*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)[ \t]*$/i.exec(parameter)
    if (weight !== null) return Number(weight[1])
  }
  return 1
}

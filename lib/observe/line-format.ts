/**
 * An exchange as one line: JSON, or Apache's combined format. The line is put together by hand because that is several times cheaper than
 * an object and JSON.stringify, and this is paid by every request. Field values never appear, but for the two that combined has.
 * Templates are compiled in line-template.ts; getting lines to where they go is LineWriter's job.
 */
import type { ExchangeSummary } from './exchange-summary.ts'
import { addressWithoutPort, escapeJson, escapeQuoted, escapeWord, formatCommonTime, formatMs, formatTime } from './line-text.ts'
import { Redaction } from './redaction.ts'

/** What lines of one log have in common. */
export interface LineContext {
  /** Number of the worker, 0 for none. */
  readonly worker: number
  readonly redaction: Redaction
}

/** A line with its newline, printable ASCII only. */
export type FormatLine = (summary: ExchangeSummary, context: LineContext) => string

const plainContext: LineContext = Object.freeze({ worker: 0, redaction: new Redaction() })

/** Empty optional members are left out, `worker` 0 too. */
export function formatJsonLine(summary: ExchangeSummary, { worker, redaction }: LineContext = plainContext): string {
  let line = '{"time":"' + formatTime(summary.startedAt)
  line += '","id":"' + escapeJson(summary.id)
  line += '","client":"' + escapeJson(summary.client)
  line += '","method":"' + escapeJson(summary.method)
  line += '","target":"' + escapeJson(redaction.apply(summary.target))
  line += '","version":"' + summary.version
  line += '","status":' + summary.status
  line += ',"in":' + summary.bytesIn
  line += ',"out":' + summary.bytesOut
  if (summary.upstream !== '') line += ',"upstream":"' + escapeJson(summary.upstream) + '"'
  line += ',"conn":' + summary.upstreamConnection
  line += ',"reused":' + summary.reused
  if (summary.retries > 0) line += ',"retries":' + summary.retries
  line += ',"t_head":' + formatMs(summary.headMs)
  line += ',"t_upstream":' + formatMs(summary.upstreamMs)
  line += ',"t_response":' + formatMs(summary.responseMs)
  line += ',"t_total":' + formatMs(summary.totalMs)
  line += ',"term":"' + summary.termination + '"'
  if (summary.error !== '') line += ',"error":"' + summary.error + '"'
  if (summary.rule !== '') line += ',"rule":"' + summary.rule + '"'
  if (summary.tunnel) line += ',"tunnel":true'
  if (summary.route !== '') line += ',"route":"' + escapeJson(summary.route) + '"'
  if (summary.listener !== '') line += ',"listener":"' + escapeJson(summary.listener) + '"'
  if (worker > 0) line += ',"worker":' + worker
  return line + '}\n'
}

/**
 * `client - - [time] "method target version" status bytes "referer" "user-agent"`. Bytes are all that were sent to the client, heads
 * included. The user is never told: it stands beside its password.
 */
export function formatCombinedLine(summary: ExchangeSummary, { redaction }: LineContext = plainContext): string {
  const { method, status, referer = '', userAgent = '' } = summary
  let line = escapeWord(addressWithoutPort(summary.client)) + ' - - [' + formatCommonTime(summary.startedAt)
  line += '] "'
  // What was refused before its request line was known has none.
  line += method === '' ? '-' : escapeWord(method) + ' ' + escapeWord(redaction.apply(summary.target)) + ' HTTP/' + summary.version
  line += '" ' + (status === 0 ? '000' : status)
  line += ' ' + summary.bytesOut
  line += ' "' + (referer === '' ? '-' : escapeQuoted(redaction.apply(referer)))
  line += '" "' + (userAgent === '' ? '-' : escapeQuoted(userAgent))
  return line + '"\n'
}

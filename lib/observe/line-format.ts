/**
 * An exchange as one line: JSON, or Apache's combined format. The line is put together by hand because that is several times cheaper than
 * an object and JSON.stringify, and this is paid by every request. Field values never appear, but for the two that combined has.
 * Templates are compiled in line-template.ts; getting lines to where they go is LineWriter's job.
 */
import type { ExchangeSummary } from './exchange-summary.ts'
import { pieceOf, type LineBytes, type Piece } from './line-bytes.ts'
import type { Redaction } from './redaction.ts'

/** What lines of one log have in common. */
export interface LineContext {
  /** Number of the worker, 0 for none. */
  readonly worker: number
  readonly redaction: Redaction
}

/** Adds a line with its newline, printable ASCII but for what a template has of its own. */
export type FormatLine = (line: LineBytes, summary: ExchangeSummary, context: LineContext) => void

// What stands between the values of a line of JSON.
const json = {
  time: pieceOf('{"time":"'),
  id: pieceOf('","id":"'),
  client: pieceOf('","client":"'),
  method: pieceOf('","method":"'),
  target: pieceOf('","target":"'),
  version: pieceOf('","version":"'),
  status: pieceOf('","status":'),
  bytesIn: pieceOf(',"in":'),
  bytesOut: pieceOf(',"out":'),
  upstream: pieceOf(',"upstream":"'),
  upstreamConnection: pieceOf(',"conn":'),
  reused: pieceOf(',"reused":true'),
  fresh: pieceOf(',"reused":false'),
  retries: pieceOf(',"retries":'),
  headMs: pieceOf(',"t_head":'),
  upstreamMs: pieceOf(',"t_upstream":'),
  responseMs: pieceOf(',"t_response":'),
  totalMs: pieceOf(',"t_total":'),
  termination: pieceOf(',"term":"'),
  error: pieceOf(',"error":"'),
  rule: pieceOf(',"rule":"'),
  route: pieceOf(',"route":"'),
  listener: pieceOf(',"listener":"'),
  quote: pieceOf('"'),
  tunnel: pieceOf(',"tunnel":true'),
  worker: pieceOf(',"worker":'),
  end: pieceOf('}\n'),
}

/** Empty optional members are left out, `worker` 0 too. */
export function formatJsonLine(line: LineBytes, summary: ExchangeSummary, { worker, redaction }: LineContext): void {
  line.put(json.time)
  line.putTime(summary.startedAt)
  line.put(json.id)
  line.putJson(summary.id)
  line.put(json.client)
  line.putJson(summary.client)
  line.put(json.method)
  line.putJson(summary.method)
  line.put(json.target)
  line.putJson(redaction.apply(summary.target))
  line.put(json.version)
  line.putAscii(summary.version)
  line.put(json.status)
  line.putNumber(summary.status)
  line.put(json.bytesIn)
  line.putNumber(summary.bytesIn)
  line.put(json.bytesOut)
  line.putNumber(summary.bytesOut)
  if (summary.upstream !== '') putMember(line, json.upstream, summary.upstream)
  line.put(json.upstreamConnection)
  line.putNumber(summary.upstreamConnection)
  line.put(summary.reused ? json.reused : json.fresh)
  if (summary.retries > 0) {
    line.put(json.retries)
    line.putNumber(summary.retries)
  }
  line.put(json.headMs)
  line.putMs(summary.headMs)
  line.put(json.upstreamMs)
  line.putMs(summary.upstreamMs)
  line.put(json.responseMs)
  line.putMs(summary.responseMs)
  line.put(json.totalMs)
  line.putMs(summary.totalMs)
  putMember(line, json.termination, summary.termination)
  if (summary.error !== '') putMember(line, json.error, summary.error)
  if (summary.rule !== '') putMember(line, json.rule, summary.rule)
  if (summary.tunnel) line.put(json.tunnel)
  if (summary.route !== '') putMember(line, json.route, summary.route)
  if (summary.listener !== '') putMember(line, json.listener, summary.listener)
  if (worker > 0) {
    line.put(json.worker)
    line.putNumber(worker)
  }
  line.put(json.end)
}

function putMember(line: LineBytes, start: Piece, value: string): void {
  line.put(start)
  line.putJson(value)
  line.put(json.quote)
}

// The same for the combined format.
const combined = {
  time: pieceOf(' - - ['),
  request: pieceOf('] "'),
  blank: pieceOf(' '),
  version: pieceOf(' HTTP/'),
  status: pieceOf('" '),
  referer: pieceOf(' "'),
  userAgent: pieceOf('" "'),
  end: pieceOf('"\n'),
}

/**
 * `client - - [time] "method target version" status bytes "referer" "user-agent"`. Bytes are all that were sent to the client, heads
 * included. The user is never told: it stands beside its password.
 */
export function formatCombinedLine(line: LineBytes, summary: ExchangeSummary, { redaction }: LineContext): void {
  const { method, status, referer = '', userAgent = '' } = summary
  line.putWord(addressWithoutPort(summary.client))
  line.put(combined.time)
  line.putCommonTime(summary.startedAt)
  line.put(combined.request)
  // What was refused before its request line was known has none.
  if (method === '') line.putAscii('-')
  else {
    line.putWord(method)
    line.put(combined.blank)
    line.putWord(redaction.apply(summary.target))
    line.put(combined.version)
    line.putAscii(summary.version)
  }
  line.put(combined.status)
  if (status === 0) line.putAscii('000')
  else line.putNumber(status)
  line.put(combined.blank)
  line.putNumber(summary.bytesOut)
  line.put(combined.referer)
  line.putQuoted(referer === '' ? '-' : redaction.apply(referer))
  line.put(combined.userAgent)
  line.putQuoted(userAgent === '' ? '-' : userAgent)
  line.put(combined.end)
}

/** The address without its port, of `ip:port` or `[ip6]:port`; what has no port stays as it is, an `ip6` too. */
export function addressWithoutPort(client: string): string {
  if (client.charCodeAt(0) === openBracket) {
    const end = client.indexOf(']')
    return end === -1 ? client : client.slice(1, end)
  }
  const colon = client.indexOf(':')
  return colon === -1 || client.includes(':', colon + 1) ? client : client.slice(0, colon)
}

const openBracket = 0x5b

/**
 * The access log: one line of JSON for each exchange, made from its summary. The line is put together by hand because that is several
 * times cheaper than an object and JSON.stringify, and this is paid by every request. What a client sent is data here: everything but
 * printable ASCII is escaped, so that a line is always one line, always JSON, and harmless to a terminal. Field values never appear.
 * Getting lines to the file is LineWriter's job.
 */
import type { ExchangeSummary } from './exchange-summary.ts'
import { LineWriter } from './line-writer.ts'

export interface AccessLogOptions {
  /** A file path, or '-' for standard output. */
  destination: string
  /** Number of the worker, in every line. Default 0: not told. */
  worker?: number
  /** Called once when writing begins to fail or lines begin to be dropped, and again only after it has recovered in between. */
  onError?: (error: Error) => void
}

export class AccessLog {
  readonly #writer: LineWriter
  readonly #worker: number

  /** Throws the system's error when the file cannot be opened. */
  constructor({ destination, worker = 0, onError = () => {} }: AccessLogOptions) {
    this.#worker = worker
    this.#writer = new LineWriter({ destination: destination === '-' ? 1 : destination, onError })
  }

  /** Lines that were thrown away because the destination takes none, or too slowly. */
  get dropped(): number {
    return this.#writer.dropped
  }

  /** Never throws and never waits. */
  write(summary: ExchangeSummary): void {
    this.#writer.write(formatAccessLine(summary, this.#worker))
  }

  /** Goes on in a new file of the same name, for log rotation. Never rejects; false when the old one stays in use. */
  reopen(): Promise<boolean> {
    return this.#writer.reopen()
  }

  /** Writes what is left and lets go of the file. Never rejects. */
  close(): Promise<void> {
    return this.#writer.close()
  }
}

/** The line with its newline, printable ASCII only. Empty optional members are left out, `worker` 0 too. */
export function formatAccessLine(summary: ExchangeSummary, worker = 0): string {
  let line = '{"time":"' + formatTime(summary.startedAt)
  line += '","id":"' + escape(summary.id)
  line += '","client":"' + escape(summary.client)
  line += '","method":"' + escape(summary.method)
  line += '","target":"' + escape(summary.target)
  line += '","version":"' + summary.version
  line += '","status":' + summary.status
  line += ',"in":' + summary.bytesIn
  line += ',"out":' + summary.bytesOut
  if (summary.upstream !== '') line += ',"upstream":"' + escape(summary.upstream) + '"'
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
  if (worker > 0) line += ',"worker":' + worker
  return line + '}\n'
}

/** '' to '.999', without zeros at the end: printing a fraction is most of what a number costs. */
const fractions = Array.from({ length: 1_000 }, (_, thousandths) => String(thousandths / 1_000).slice(1))
const wholeMicrosecondsMax = 2 ** 31 - 1

/** Microseconds are enough, and JSON knows no NaN. */
function formatMs(ms: number): string {
  const microseconds = Math.round(ms * 1_000)
  if (microseconds >= 0 && microseconds <= wholeMicrosecondsMax) {
    const whole = (microseconds / 1_000) | 0
    return whole + fractions[microseconds - whole * 1_000]!
  }
  return Number.isFinite(ms) ? String(microseconds / 1_000) : '-1'
}

let cachedSecond = NaN
let cachedPrefix = ''

/** ISO 8601 with milliseconds, UTC. Making a Date is most of the cost of a line, so its text is kept for the second. */
function formatTime(epochMs: number): string {
  const second = Math.floor(epochMs / 1000)
  if (second !== cachedSecond) {
    cachedPrefix = new Date(second * 1000).toISOString().slice(0, -4)
    cachedSecond = second
  }
  const ms = Math.floor(epochMs - second * 1000)
  return cachedPrefix + (ms < 10 ? '00' : ms < 100 ? '0' : '') + ms + 'Z'
}

const plainPattern = /^[ !#-[\]-~]*$/
const specialPattern = /[^ !#-[\]-~]/g

/** Text for the inside of a JSON string; each UTF-16 code unit beyond printable ASCII as \uXXXX. */
function escape(text: string): string {
  return plainPattern.test(text) ? text : text.replace(specialPattern, escapeUnit)
}

function escapeUnit(unit: string): string {
  if (unit === '"') return '\\"'
  if (unit === '\\') return '\\\\'
  return '\\u' + unit.charCodeAt(0).toString(16).padStart(4, '0')
}

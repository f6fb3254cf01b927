/**
 * The access log: one line for each exchange, in one of three formats, of all exchanges or of a share, to a file, a standard stream or a
 * unix socket. What is told of an exchange is its summary; this file puts together who writes it how, where to and whether at all.
 */
import { ProxyError } from '../core/errors.ts'
import type { AccessLogSettings } from '../core/service-options.ts'
import type { ExchangeLog, ExchangeSummary } from './exchange-summary.ts'
import { formatCombinedLine, formatJsonLine, type FormatLine, type LineContext } from './line-format.ts'
import { LineBytes } from './line-bytes.ts'
import { compileTemplate } from './line-template.ts'
import { LineWriter } from './line-writer.ts'
import { Redaction } from './redaction.ts'
import { Sampling } from './sampling.ts'

export interface AccessLogOptions extends Partial<AccessLogSettings> {
  readonly destination: string
  /** Number of the worker, for every line. Default 0: not told. */
  readonly worker?: number
  /** Called once when writing begins to fail or lines begin to be dropped, and again only after it has recovered in between. */
  readonly onError?: (error: Error) => void
}

/** Every exchange, as a line of JSON. */
export const accessLogDefaults: Omit<AccessLogSettings, 'destination'> = Object.freeze({
  format: 'json',
  template: '',
  escape: 'plain',
  sample: 1,
  redactQuery: Object.freeze([]),
})

export class AccessLog implements ExchangeLog {
  readonly #worker: number
  readonly #writer: LineWriter
  #format: FormatLine
  #context: LineContext
  #sampling: Sampling
  readonly #line = new LineBytes()

  /** Throws ProxyError ERR_EPROXY_OPTION, and the system's error when the file cannot be opened. */
  constructor({ worker = 0, onError = () => {}, ...given }: AccessLogOptions) {
    const settings: AccessLogSettings = { ...accessLogDefaults, ...given }
    this.#worker = worker
    this.#format = chooseFormat(settings)
    this.#context = { worker, redaction: new Redaction(settings.redactQuery) }
    this.#sampling = new Sampling(settings.sample)
    this.#writer = new LineWriter({ destination: settings.destination === '-' ? 1 : settings.destination, onError })
  }

  /** Lines that were thrown away because the destination takes none, or too slowly. */
  get dropped(): number {
    return this.#writer.dropped
  }

  /** Never throws and never waits. */
  write(summary: ExchangeSummary): void {
    if (!this.#sampling.takes(summary)) return
    const line = this.#line
    line.clear()
    this.#format(line, summary, this.#context)
    this.#writer.writeBytes(line.bytes, line.length)
  }

  /** Other lines, or other exchanges, from now on; the destination stays. Throws ProxyError ERR_EPROXY_OPTION, and changes nothing then. */
  reformat(given: Partial<AccessLogSettings>): void {
    const settings: AccessLogSettings = { destination: '', ...accessLogDefaults, ...given }
    const format = chooseFormat(settings)
    const sampling = new Sampling(settings.sample)
    this.#context = { worker: this.#worker, redaction: new Redaction(settings.redactQuery) }
    this.#format = format
    this.#sampling = sampling
  }

  /** Goes on in a new file of the same name, for log rotation, or on a new connection. Never rejects; false when the old one stays in use. */
  reopen(): Promise<boolean> {
    return this.#writer.reopen()
  }

  /** Writes what is left and lets go of the destination. Never rejects. */
  close(): Promise<void> {
    return this.#writer.close()
  }
}

/** Throws ProxyError ERR_EPROXY_OPTION for settings that no log can be made with. Opens nothing. */
export function checkAccessLog(settings: AccessLogSettings): void {
  const { destination, sample } = settings
  if (destination === '' || destination === 'unix:')
    throw optionError('the access log needs a file name, unix: and the path of a socket, or - for standard output')
  if (!(sample >= 0 && sample <= 1)) throw optionError(`the share of exchanges in the access log must be from 0 to 1, not ${sample}`)
  chooseFormat(settings)
}

function chooseFormat({ format, template, escape }: AccessLogSettings): FormatLine {
  switch (format) {
    case 'json':
      return formatJsonLine
    case 'combined':
      return formatCombinedLine
    case 'template':
      return compileTemplate(template, escape ?? 'plain')
  }
}

function optionError(message: string): ProxyError {
  return new ProxyError('ERR_EPROXY_OPTION', message)
}

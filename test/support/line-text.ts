/** A line of the access log as text, as the writer gets it. */
import type { ExchangeSummary } from '../../lib/observe/exchange-summary.ts'
import { LineBytes } from '../../lib/observe/line-bytes.ts'
import type { FormatLine, LineContext } from '../../lib/observe/line-format.ts'
import { Redaction } from '../../lib/observe/redaction.ts'

export type LineText = (summary: ExchangeSummary, context?: LineContext) => string

const plainContext: LineContext = { worker: 0, redaction: new Redaction() }

/** One buffer for all lines, as in a log: what is left of a longer line must not show in the next. */
const line = new LineBytes()

export function textOf(format: FormatLine): LineText {
  return (summary, context = plainContext) => {
    line.clear()
    format(line, summary, context)
    return line.toString()
  }
}

/** The command line of the operations run. */
import { parseFlags, readWhole, UsageError } from '../command.ts'
import { eventTable, type OperateEvent } from './events.ts'

export interface OperateOptions {
  readonly requestsPerSecond: number
  /** Load before the first event, after each, and what counts for it. */
  readonly settleSeconds: number
  readonly events: readonly OperateEvent[]
  readonly jsonPath: string | null
  /** For the log of the proxy. */
  readonly logPath: string | null
}

export const usage = `Usage: npm run operate -- [options]

  --rate N        requests a second, 10 to 2000 (default 300)
  --settle N      seconds of load after each event, 1 to 60 (default 3)
  --only A,B      only events whose name holds one of these; there are:
${eventTable.map(({ name }) => `                    ${name}\n`).join('')}  --json FILE     writes every stretch and every lost request to FILE
  --log FILE      writes the log of the proxy to FILE
  --help          this text
`

/** Null asks for the help text. Throws UsageError. */
export function readOptions(args: readonly string[]): OperateOptions | null {
  const text = { type: 'string' } as const
  const options = { rate: text, settle: text, only: text, json: text, log: text, help: { type: 'boolean' } } as const
  const { values } = parseFlags({ args: [...args], options })
  if (values.help === true) return null
  const only = values.only?.split(',') ?? []
  const events = eventTable.filter(({ name }) => only.length === 0 || only.some((part) => name.includes(part)))
  if (events.length === 0) throw new UsageError(`--only leaves no event: ${JSON.stringify(values.only)}`)
  return {
    requestsPerSecond: readWhole('--rate', values.rate, 300, 10, 2_000),
    settleSeconds: readWhole('--settle', values.settle, 3, 1, 60),
    events,
    jsonPath: values.json ?? null,
    logPath: values.log ?? null,
  }
}

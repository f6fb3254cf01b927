/** What an operations run found out, as data and as text for a terminal. Pure. */
import { styleText } from 'node:util'
import { renderTable } from '../e2e/table.ts'
import type { Loss, Stretch } from './losses.ts'

export interface EventReport extends Stretch {
  readonly name: string
  /** What the event has to tell. */
  readonly note: string
  /** What it did not do, '' when all went as it should. */
  readonly failure: string
}

export interface RunReport {
  readonly at: string
  readonly node: string
  readonly requestsPerSecond: number
  readonly warmUp: Stretch
  readonly events: readonly EventReport[]
  readonly log: { readonly lines: number; readonly missing: number; readonly repeated: number; readonly broken: number }
  readonly tunnel: { readonly server: string; readonly pings: number; readonly pongs: number; readonly isGood: boolean }
  readonly isGood: boolean
}

const lossesShown = 10

export function renderReport(report: RunReport): string {
  const { events, warmUp, log, tunnel, isGood } = report
  const all = [warmUp, ...events]
  const sum = (of: (stretch: Stretch) => number): number => all.reduce((total, stretch) => total + of(stretch), 0)
  const rows = [
    ['event', '', 'requests', 'on another server', 'lost', 'savable', 'p50 ms', 'p99 ms', 'max ms'],
    ...events.map((one) => [
      one.name,
      one.failure === '' ? one.note : `FAILED: ${one.failure}`,
      String(one.requests),
      String(one.retried),
      String(one.losses.length),
      String(one.savableLost),
      one.p50Ms.toFixed(1),
      one.p99Ms.toFixed(1),
      one.maxMs.toFixed(0),
    ]),
  ]
  const losses = events.flatMap(({ name, losses: lost }) => lost.map((loss) => describeLoss(name, loss)))
  return [
    '',
    renderTable(rows, 2),
    '',
    ...losses.slice(0, lossesShown),
    ...(losses.length > lossesShown ? [`and ${losses.length - lossesShown} more`] : []),
    `requests: ${sum(({ requests }) => requests)}, lost ${sum(({ losses: lost }) => lost.length)}, of these savable ${sum(({ savableLost }) => savableLost)}`,
    `access log: ${log.lines} lines over a unix socket; ${log.missing} requests without one, ${log.repeated} with more, ${log.broken} broken`,
    `tunnel through it all: ${tunnel.pings} messages to ${tunnel.server}, ${tunnel.pongs} came back${tunnel.isGood ? '' : ': NOT GOOD'}`,
    isGood ? paint('green', 'no request was lost that could have been saved') : paint('red', 'the run FAILED'),
  ].join('\n')
}

function describeLoss(event: string, { check, method, what, excuse, line }: Loss): string {
  const logged =
    line === undefined
      ? 'no line in the log'
      : `log: ${line.term} ${line.error ?? ''} ${line.upstream ?? 'no server'}${line.retries === undefined ? '' : `, ${line.retries} retries`}`
  return `  ${excuse === '' ? paint('red', 'lost, savable') : 'lost'}: ${method} ${check} (${event}): ${what}; ${excuse === '' ? logged : excuse}`
}

function paint(colour: 'green' | 'red', text: string): string {
  const isPlain = !process.stdout.isTTY || (process.env['NO_COLOR'] ?? '') !== ''
  return isPlain ? text : styleText(colour, text)
}

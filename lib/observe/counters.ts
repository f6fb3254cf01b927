/**
 * What has happened so far in one proxy, as numbers. Counting is paid by every exchange, so it is a few stores into plain fields and typed
 * arrays; names and labels are put together only when the figures are read. What is rare (errors, refusals) is counted by name.
 * The figures are nested records of numbers without zeros: those of several processes are added name by name.
 */
import type { ExchangeErrorCode } from '../core/errors.ts'
import { DurationHistogram, noDurations, type DurationFigures } from './duration-histogram.ts'

/** Exchanges of one route by the first digit of their status; 0 for those that were not answered. */
export type RouteCounters = Float64Array
export const statusClasses = ['none', '1xx', '2xx', '3xx', '4xx', '5xx'] as const

/** In place of a name, for requests that were refused before they had a route. */
export const noRoute = '-'

/** Names come from a configuration; who reloads it for years with ever new ones gets one row for the rest. */
const routesMax = 1_000
const otherRoutes = 'other'

export type Side = 'client' | 'upstream'
export type Direction = 'in' | 'out'
type Counts = Readonly<Record<string, number>>

export interface CounterFigures {
  /** By route and class of the status. */
  readonly requests: Readonly<Record<string, Counts>>
  readonly terminations: Counts
  readonly errors: Counts
  /** By rule, side and action. */
  readonly violations: Readonly<Record<string, Readonly<Record<string, Counts>>>>
  /** By side and result. */
  readonly connections: Readonly<Record<Side, Counts>>
  /** By side and direction, seen from the proxy. */
  readonly bytes: Readonly<Record<Side, Readonly<Record<Direction, number>>>>
  /** First byte of a request to the end of its exchange. */
  readonly total: DurationFigures
  readonly head: DurationFigures
  readonly upstream: DurationFigures
  readonly response: DurationFigures
  /** How late the event loop was for its ticks. */
  readonly loopLag: DurationFigures
}

export const noFigures: CounterFigures = Object.freeze({
  requests: {},
  terminations: {},
  errors: {},
  violations: {},
  connections: { client: {}, upstream: {} },
  bytes: { client: { in: 0, out: 0 }, upstream: { in: 0, out: 0 } },
  total: noDurations,
  head: noDurations,
  upstream: noDurations,
  response: noDurations,
  loopLag: noDurations,
})

export class Counters {
  readonly #routes = new Map<string, RouteCounters>()
  #endedWell = 0
  readonly #terminations = new Map<string, number>()
  readonly #errors = new Map<string, number>()
  readonly #violations = new Map<string, Map<string, number>>()
  readonly #connections = { client: new Map<string, number>(), upstream: new Map<string, number>() }
  readonly #total = new DurationHistogram()
  readonly #head = new DurationHistogram()
  readonly #upstream = new DurationHistogram()
  readonly #response = new DurationHistogram()
  readonly loopLag = new DurationHistogram()
  #clientIn = 0
  #clientOut = 0
  upstreamIn = 0
  upstreamOut = 0

  route(name: string): RouteCounters {
    const known = this.#routes.get(name)
    if (known !== undefined) return known
    if (this.#routes.size >= routesMax && name !== otherRoutes) return this.route(otherRoutes)
    const counters = new Float64Array(statusClasses.length)
    this.#routes.set(name, counters)
    return counters
  }

  /** An exchange has ended. Durations are milliseconds, -1 where a phase was not reached. */
  countExchange(
    route: RouteCounters,
    status: number,
    termination: string,
    error: ExchangeErrorCode | '',
    bytesIn: number,
    bytesOut: number,
    headMs: number,
    upstreamMs: number,
    responseMs: number,
    totalMs: number,
  ): void {
    route[(status / 100) | 0]!++
    if (termination === '--') this.#endedWell++
    else addOne(this.#terminations, termination)
    if (error !== '') addOne(this.#errors, error)
    this.#clientIn += bytesIn
    this.#clientOut += bytesOut
    if (headMs >= 0) this.#head.count(headMs)
    if (upstreamMs >= 0) this.#upstream.count(upstreamMs)
    if (responseMs >= 0) this.#response.count(responseMs)
    this.#total.count(totalMs)
  }

  /** A message broke a rule. */
  countViolation(rule: string, side: Side, action: 'reject' | 'warn'): void {
    addOne(innerOf(this.#violations, rule), `${side} ${action}`)
  }

  countConnection(side: Side, result: string): void {
    addOne(this.#connections[side], result)
  }

  get figures(): CounterFigures {
    const terminations = this.#endedWell === 0 ? [] : [['--', this.#endedWell] as const]
    return {
      requests: Object.fromEntries([...this.#routes].map(([name, counts]) => [name, nameClasses(counts)])),
      terminations: Object.fromEntries([...terminations, ...this.#terminations]),
      errors: Object.fromEntries(this.#errors),
      violations: splitPairs(this.#violations),
      connections: {
        client: Object.fromEntries(this.#connections.client),
        upstream: Object.fromEntries(this.#connections.upstream),
      },
      bytes: {
        client: { in: this.#clientIn, out: this.#clientOut },
        upstream: { in: this.upstreamIn, out: this.upstreamOut },
      },
      total: this.#total.figures,
      head: this.#head.figures,
      upstream: this.#upstream.figures,
      response: this.#response.figures,
      loopLag: this.loopLag.figures,
    }
  }
}

function addOne(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1)
}

function innerOf(counts: Map<string, Map<string, number>>, name: string): Map<string, number> {
  let inner = counts.get(name)
  if (inner === undefined) counts.set(name, (inner = new Map()))
  return inner
}

function nameClasses(counts: RouteCounters): Counts {
  return Object.fromEntries(statusClasses.map((name, index) => [name, counts[index] ?? 0] as const).filter(([, count]) => count > 0))
}

/** 'client reject' becomes two levels. */
function splitPairs(counts: ReadonlyMap<string, ReadonlyMap<string, number>>): Record<string, Record<string, Record<string, number>>> {
  const result: Record<string, Record<string, Record<string, number>>> = {}
  for (const [name, pairs] of counts) {
    const rows: Record<string, Record<string, number>> = (result[name] = {})
    for (const [pair, count] of pairs) {
      const [first = '', second = ''] = pair.split(' ')
      const row = (rows[first] ??= {})
      row[second] = count
    }
  }
  return result
}

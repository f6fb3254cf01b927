/**
 * Every metric: its name, labels and meaning, and how it is read from what was counted. The exposition and the table of the README are made
 * of these rows. Labels take few values: those that peers could make up, such as methods or targets, are none.
 */
import type { ExchangeErrorCode } from '../core/errors.ts'
import type { Timeouts } from '../core/options.ts'
import type { DurationFigures } from '../observe/duration-histogram.ts'
import type { BalanceStats, GroupStats, ProxyStats, UpstreamStats } from '../index.ts'
import { noRoute } from '../observe/counters.ts'
import { isUsable } from './readiness.ts'
import { labelGroup, splitServerName } from './server-name.ts'

/** What a scrape is made from. */
export interface MetricSource {
  readonly stats: GroupStats
  readonly version: string
  readonly startedAt: number
  readonly isReady: boolean
  readonly isDraining: boolean
  readonly reloads: ReloadFigures
}

export interface ReloadFigures {
  readonly succeeded: number
  readonly failed: number
  /** Of the last one, or true when there was none. */
  readonly isLastGood: boolean
}

export type Reading<Value> = readonly (readonly [labels: readonly (string | number)[], value: Value])[]

export type MetricRow =
  | {
      readonly type: 'counter' | 'gauge'
      readonly labels: readonly string[]
      readonly doc: string
      readonly read: (source: MetricSource) => Reading<number>
    }
  | {
      readonly type: 'histogram'
      readonly labels: readonly string[]
      readonly doc: string
      readonly read: (source: MetricSource) => Reading<DurationFigures>
    }

/** Which timer it was, for the errors that are timeouts. */
export const timeoutPhases = {
  ERR_EPROXY_FIRST_BYTE_TIMEOUT: 'firstByte',
  ERR_EPROXY_REQUEST_HEAD_TIMEOUT: 'requestHead',
  ERR_EPROXY_REQUEST_BODY_TIMEOUT: 'requestBodyIdle',
  ERR_EPROXY_REQUEST_BODY_RATE: 'minRateGrace',
  ERR_EPROXY_CLIENT_STALLED: 'clientWriteIdle',
  ERR_EPROXY_QUEUE_TIMEOUT: 'queue',
  ERR_EPROXY_DNS_TIMEOUT: 'dns',
  ERR_EPROXY_CONNECT_TIMEOUT: 'connect',
  ERR_EPROXY_UPSTREAM_WRITE_TIMEOUT: 'upstreamWriteIdle',
  ERR_EPROXY_RESPONSE_HEAD_TIMEOUT: 'responseHead',
  ERR_EPROXY_RESPONSE_BODY_TIMEOUT: 'responseBodyIdle',
  ERR_EPROXY_REQUEST_TIMEOUT: 'request',
  ERR_EPROXY_TUNNEL_IDLE: 'tunnelIdle',
  ERR_EPROXY_TUNNEL_HALF_CLOSED: 'halfClose',
} as const satisfies Partial<Record<ExchangeErrorCode, keyof Timeouts>>

// oxfmt-ignore
export const metricTable = {
  eproxy_info: { type: 'gauge', labels: ['version', 'node'], doc: 'always 1; what runs', read: ({ version }) => [[[version, process.versions.node], 1]] },
  eproxy_start_time_seconds: { type: 'gauge', labels: [], doc: 'when the proxy was started, seconds since the epoch', read: ({ startedAt }) => one(startedAt / 1_000) },
  eproxy_ready: { type: 'gauge', labels: [], doc: '1 when it can serve: what /readyz says', read: ({ isReady }) => one(Number(isReady)) },
  eproxy_draining: { type: 'gauge', labels: [], doc: '1 while it finishes what runs, to end', read: ({ isDraining }) => one(Number(isDraining)) },
  eproxy_requests_total: { type: 'counter', labels: ['route', 'code_class'], doc: `requests by route and class of their status; \`none\`: without an answer; route \`default\`: there are none, or none matched; \`${noRoute}\`: refused before that was known`, read: ({ stats }) => readRequests(stats.total) },
  eproxy_request_duration_seconds: { type: 'histogram', labels: [], doc: 'first byte of a request to the end of its exchange', read: ({ stats }) => one(stats.total.counters.total) },
  eproxy_phase_duration_seconds: { type: 'histogram', labels: ['phase'], doc: '`head`: first byte to the end of the request head; `upstream`: to an upstream connection; `response`: to the response head', read: ({ stats }) => readPhases(stats.total) },
  eproxy_terminations_total: { type: 'counter', labels: ['code'], doc: 'how exchanges ended, by the two letters of the access log; `--` is well', read: ({ stats }) => readCounts(stats.total.counters.terminations) },
  eproxy_errors_total: { type: 'counter', labels: ['error'], doc: 'exchanges that ended with an error, by its code', read: ({ stats }) => readCounts(stats.total.counters.errors) },
  eproxy_timeouts_total: { type: 'counter', labels: ['phase'], doc: 'exchanges that a timer ended, by the name of the timer', read: ({ stats }) => readTimeouts(stats.total) },
  eproxy_rule_violations_total: { type: 'counter', labels: ['rule', 'side', 'action'], doc: 'messages that broke a rule, by who sent them and what was done', read: ({ stats }) => readTriples(stats.total.counters.violations) },
  eproxy_retries_total: { type: 'counter', labels: ['upstream', 'reason'], doc: 'attempts after the first; `stale`: a pooled connection was closed already, which says nothing about its server', read: ({ stats }) => readRetries(stats.total) },
  eproxy_pool_stale_total: { type: 'counter', labels: ['upstream'], doc: 'of these, the `stale` ones by themselves: many mean that the server closes idle connections sooner than the pool does', read: ({ stats }) => readGroups(stats.total, ({ retriesTotal }) => retriesTotal['stale'] ?? 0) },
  eproxy_retries_denied_total: { type: 'counter', labels: ['upstream'], doc: 'retries for which the budget of the group had no room', read: ({ stats }) => readGroups(stats.total, ({ retriesDeniedTotal }) => retriesDeniedTotal) },
  eproxy_mirror_copies_total: { type: 'counter', labels: ['upstream', 'result'], doc: 'copies of requests: `sent`, of these `failed`, and `dropped` before that', read: ({ stats }) => readCopies(stats.total) },
  eproxy_ratelimit_total: { type: 'counter', labels: ['rule', 'decision', 'source'], doc: 'decisions about rates, by the limit and who made them', read: ({ stats }) => readLimits(stats.total) },
  eproxy_ratelimit_store_errors_total: { type: 'counter', labels: ['reason'], doc: 'questions to the shared store that had an error, or no answer in time', read: ({ stats }) => readStore(stats.total) },
  eproxy_ratelimit_store_up: { type: 'gauge', labels: [], doc: '1 when the shared store is used, by one worker at least; none without a store', read: ({ stats }) => readStoreState(stats.total) },
  eproxy_bytes_total: { type: 'counter', labels: ['side', 'direction'], doc: 'octets of messages read (`in`) and written (`out`); of clients when their exchange ends', read: ({ stats }) => readPairs(stats.total.counters.bytes) },
  eproxy_connections_total: { type: 'counter', labels: ['side', 'result'], doc: 'connections accepted and refused, made and failed', read: ({ stats }) => readPairs(stats.total.counters.connections) },
  eproxy_connections_active: { type: 'gauge', labels: ['side'], doc: 'connections that are open', read: ({ stats }) => readActive(stats.total) },
  eproxy_upstream_up: { type: 'gauge', labels: ['upstream', 'server'], doc: '1 when the server gets new exchanges', read: ({ stats }) => readServers(stats.total, (server) => Number(isUsable(server))) },
  eproxy_upstream_exchanges_total: { type: 'counter', labels: ['upstream', 'server'], doc: 'exchanges that were given to the server', read: ({ stats }) => readServers(stats.total, (server) => server.exchangesTotal) },
  eproxy_upstream_failures_total: { type: 'counter', labels: ['upstream', 'server'], doc: 'of these, those that it failed', read: ({ stats }) => readServers(stats.total, (server) => server.failuresTotal) },
  eproxy_upstream_ejections_total: { type: 'counter', labels: ['upstream', 'server'], doc: 'how often it was left alone for a while, because too much failed', read: ({ stats }) => readServers(stats.total, (server) => server.ejectionsTotal) },
  eproxy_upstream_broken_total: { type: 'counter', labels: ['upstream'], doc: 'exchanges that the circuit breaker of a group refused', read: ({ stats }) => readGroups(stats.total, ({ brokenTotal }) => brokenTotal) },
  eproxy_upstream_breaker_open: { type: 'gauge', labels: ['upstream'], doc: '1 while the circuit breaker of a group refuses exchanges, and for a second after', read: ({ stats }) => readGroups(stats.total, ({ isBreakerOpen }) => Number(isBreakerOpen)) },
  eproxy_upstream_pool_connections: { type: 'gauge', labels: ['upstream', 'server', 'state'], doc: 'connections of the pool of a server: `idle`, `busy`, `connecting`', read: ({ stats }) => readPools(stats.total) },
  eproxy_upstream_queue_length: { type: 'gauge', labels: ['upstream', 'server'], doc: 'requests that wait for a connection', read: ({ stats }) => readServers(stats.total, (server) => server.waiting) },
  eproxy_upstream_quarantined: { type: 'gauge', labels: ['upstream', 'server'], doc: '1 while connections to the server are not reused', read: ({ stats }) => readServers(stats.total, (server) => Number(server.isQuarantined)) },
  eproxy_desync_suspected_total: { type: 'counter', labels: ['reason'], doc: 'signs that an upstream connection was out of step', read: ({ stats }) => readCounts(stats.total.desync) },
  eproxy_faults_total: { type: 'counter', labels: [], doc: 'faults of the proxy itself; each is a line in its log', read: ({ stats }) => one(stats.total.faultsTotal) },
  eproxy_config_reloads_total: { type: 'counter', labels: ['result'], doc: 'how often the configuration was read again: `good`, `bad`', read: ({ reloads }) => [[['good'], reloads.succeeded], [['bad'], reloads.failed]] },
  eproxy_config_last_reload_success: { type: 'gauge', labels: [], doc: '1 when the last one was good', read: ({ reloads }) => one(Number(reloads.isLastGood)) },
  eproxy_event_loop_lag_seconds: { type: 'histogram', labels: [], doc: 'how late the event loop was for the ticks of its timers', read: ({ stats }) => one(stats.total.counters.loopLag) },
  eproxy_workers: { type: 'gauge', labels: ['state'], doc: 'worker processes by state; none when one process serves', read: ({ stats }) => readWorkerStates(stats) },
  eproxy_worker_crashes_total: { type: 'counter', labels: [], doc: 'workers that ended without being told to', read: ({ stats }) => one(stats.crashesTotal) },
  eproxy_process_cpu_seconds_total: { type: 'counter', labels: ['worker'], doc: 'processor time of each process that serves', read: ({ stats }) => readProcesses(stats, ({ cpuMsTotal }) => cpuMsTotal / 1_000) },
  eproxy_process_resident_memory_bytes: { type: 'gauge', labels: ['worker'], doc: 'memory of each process that serves', read: ({ stats }) => readProcesses(stats, ({ memoryBytes }) => memoryBytes) },
  eproxy_parser_memory_bytes: { type: 'gauge', labels: [], doc: 'memory of the parser', read: ({ stats }) => one(stats.total.parserMemoryBytes) },
} as const satisfies Record<string, MetricRow>

export type MetricName = keyof typeof metricTable

type Counts = Readonly<Record<string, number>>

function one<Value>(value: Value): Reading<Value> {
  return [[[], value]]
}

function readCounts(counts: Counts): Reading<number> {
  return Object.entries(counts).map(([name, count]) => [[name], count])
}

function readPairs(counts: Readonly<Record<string, Counts>>): Reading<number> {
  return Object.entries(counts).flatMap(([first, inner]) =>
    Object.entries(inner).map(([second, count]) => [[first, second], count] as const),
  )
}

function readTriples(counts: Readonly<Record<string, Readonly<Record<string, Counts>>>>): Reading<number> {
  return Object.entries(counts).flatMap(([first, inner]) => readPairs(inner).map(([labels, count]) => [[first, ...labels], count] as const))
}

/** A proxy without routes has one all the same. */
function readRequests({ counters }: ProxyStats): Reading<number> {
  return readPairs(counters.requests).map(([[route = '', ...labels], count]) => [[route === '' ? 'default' : route, ...labels], count])
}

function readPhases({ counters: { head, upstream, response } }: ProxyStats): Reading<DurationFigures> {
  return [
    [['head'], head],
    [['upstream'], upstream],
    [['response'], response],
  ]
}

function readTimeouts({ counters }: ProxyStats): Reading<number> {
  return Object.entries(timeoutPhases).flatMap(([code, phase]) => {
    const count = counters.errors[code]
    return count === undefined ? [] : [[[phase], count] as const]
  })
}

function readActive(stats: ProxyStats): Reading<number> {
  const upstream = Object.values(stats.upstreams).reduce((sum, { idle, busy }) => sum + idle + busy, 0)
  return [
    [['client'], stats.connections],
    [['upstream'], upstream],
  ]
}

function readGroups(stats: ProxyStats, read: (group: BalanceStats) => number): Reading<number> {
  return Object.entries(stats.groups).map(([name, group]) => [[labelGroup(name)], read(group)])
}

function readRetries({ groups }: ProxyStats): Reading<number> {
  return Object.entries(groups).flatMap(([name, { retriesTotal }]) =>
    Object.entries(retriesTotal).map(([reason, count]) => [[labelGroup(name), reason], count] as const),
  )
}

function readCopies({ groups }: ProxyStats): Reading<number> {
  return Object.entries(groups).flatMap(([name, { copiesTotal, copiesFailedTotal, copiesDroppedTotal }]) => {
    const dropped = Object.values(copiesDroppedTotal).reduce((sum, count) => sum + count, 0)
    return Object.entries({ sent: copiesTotal, failed: copiesFailedTotal, dropped }).map(
      ([result, count]) => [[labelGroup(name), result], count] as const,
    )
  })
}

function readLimits({ rateLimits }: ProxyStats): Reading<number> {
  return Object.entries(rateLimits).flatMap(([name, counts]) =>
    readPairs({ ...counts }).map(([labels, count]) => [[name, ...labels], count] as const),
  )
}

function readStore({ rateLimitStore: store }: ProxyStats): Reading<number> {
  if (store === undefined) return []
  return [
    [['error'], store.errorsTotal],
    [['late'], store.lateTotal],
  ]
}

function readStoreState({ rateLimitStore: store }: ProxyStats): Reading<number> {
  return store === undefined ? [] : one(Number(store.state.split(' | ').includes('ready')))
}

function readServers(stats: ProxyStats, read: (server: UpstreamStats) => number): Reading<number> {
  return Object.entries(stats.upstreams).map(([name, server]) => [splitServerName(name), read(server)])
}

function readPools(stats: ProxyStats): Reading<number> {
  return Object.entries(stats.upstreams).flatMap(([name, { idle, busy, connecting }]) =>
    Object.entries({ idle, busy, connecting }).map(([state, count]) => [[...splitServerName(name), state], count] as const),
  )
}

function readWorkerStates({ workers }: GroupStats): Reading<number> {
  const counts = new Map<string, number>()
  for (const { state } of workers) counts.set(state, (counts.get(state) ?? 0) + 1)
  return [...counts].map(([state, count]) => [[state], count])
}

function readProcesses({ total, workers }: GroupStats, read: (stats: ProxyStats) => number): Reading<number> {
  if (workers.length === 0) return [[[0], read(total)]]
  return workers.flatMap(({ number, state, stats }) =>
    stats === undefined || state === 'draining' ? [] : [[[number], read(stats)] as const],
  )
}

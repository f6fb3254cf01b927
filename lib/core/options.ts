/**
 * The options of the proxy as tables: default, bounds and documentation of each stand in one row, and everything else (validation,
 * command-line flags, help, the tables of the README) is made from the rows. `resolveOptions` turns what a user gave into one
 * complete frozen object; inner code never asks "is it set?".
 */
import { isIP, isIPv6 } from 'node:net'
import { ProxyError } from './errors.ts'
import type { ServiceOptions } from './service-options.ts'
import type { Unit } from './units.ts'

export interface NumberRow {
  /** Value when the user gives none, in the row's unit. */
  readonly default: number
  readonly min: number
  readonly max: number
  readonly unit: Unit
  /** Heading in --help and in the README. */
  readonly group: 'Timers' | 'Limits' | 'Upstream' | 'Workers'
  /** One line, shown in --help and in the README. */
  readonly doc: string
  /** Of all workers together: each gets its share. Everything else holds for one connection, message or worker. */
  readonly divided?: true
}

const hour = 3_600_000
const day = 24 * hour

/** Deadlines, one for each phase. Milliseconds; 0 switches one off where its row allows 0. */
// oxfmt-ignore
export const timeoutTable = {
  firstByte: { default: 10_000, min: 1, max: day, doc: 'accepted connection to its first byte; then closed without an answer' },
  requestHead: { default: 10_000, min: 1, max: day, doc: 'first byte of a request to the end of its head; never refreshed; 408' },
  keepAlive: { default: 75_000, min: 1, max: day, doc: 'idle client connection between requests; then closed silently' },
  requestBodyIdle: { default: 30_000, min: 1, max: day, doc: 'between reads of a request body; 408' },
  clientWriteIdle: { default: 60_000, min: 1, max: day, doc: 'client takes no byte of the response; then reset' },
  request: { default: 0, min: 0, max: 7 * day, doc: 'whole exchange, 0 = no limit; 504 or cut' },
  queue: { default: 5_000, min: 1, max: day, doc: 'wait for an upstream connection; 503' },
  dns: { default: 3_000, min: 1, max: day, doc: 'name resolution of an upstream; 503' },
  connect: { default: 4_000, min: 1, max: day, doc: 'TCP connect to one address; next server, then 504' },
  responseHead: { default: 60_000, min: 1, max: day, doc: 'last byte of the request to the response head; 504' },
  responseBodyIdle: { default: 60_000, min: 1, max: day, doc: 'between reads of a response body; cut' },
  upstreamWriteIdle: { default: 60_000, min: 1, max: day, doc: 'upstream takes no byte of the request; 504 or cut' },
  upstreamKeepAlive: { default: 4_000, min: 1, max: 600_000, doc: 'idle pooled upstream connection; a Keep-Alive: timeout=N of the server minus 1s wins' },
  upstreamMaxAge: { default: hour, min: 1, max: 7 * day, doc: 'age at which an upstream connection is retired, varied by 10 %' },
  tunnelIdle: { default: hour, min: 1, max: 7 * day, doc: 'no byte either way through an upgraded connection' },
  halfClose: { default: 30_000, min: 1, max: day, doc: 'one side of a tunnel has ended and the other says nothing' },
  linger: { default: 2_000, min: 0, max: 60_000, doc: 'reading on after a refusal, so that the client sees the answer' },
  drain: { default: 30_000, min: 0, max: day, doc: 'running exchanges may finish after SIGTERM' },
  drainIdle: { default: 5_000, min: 0, max: day, doc: 'an idle client connection of a worker that is replaced may bring one more request' },
  minRateGrace: { default: 5_000, min: 0, max: day, doc: 'request body time before minRate counts' },
  serverDown: { default: 10_000, min: 0, max: day, doc: 'a server that refuses connections is skipped this long' },
  dnsTtlMin: { default: 1_000, min: 0, max: day, doc: 'shortest time an answer of the resolver is kept' },
  dnsTtlMax: { default: 300_000, min: 1, max: day, doc: 'longest time an answer of the resolver is kept' },
  dnsStale: { default: 60_000, min: 0, max: day, doc: 'how long past its time an answer is used when the resolver fails' },
  loopLag: { default: 250, min: 10, max: 60_000, doc: 'event loop delay that is worth a line in the log' },
} as const satisfies Record<string, Pick<NumberRow, 'default' | 'min' | 'max' | 'doc'>>

/** Sizes, counts and rates. */
// oxfmt-ignore
export const limitTable = {
  requestLineBytes: { default: 8_192, min: 64, max: 65_536, unit: 'bytes', doc: 'request line; 414' },
  requestHeadBytes: { default: 32_768, min: 256, max: 1_048_576, unit: 'bytes', doc: 'request line and fields; 431' },
  requestFields: { default: 100, min: 1, max: 10_000, unit: 'count', doc: 'fields of a request; 431' },
  responseHeadBytes: { default: 65_536, min: 256, max: 1_048_576, unit: 'bytes', doc: 'status line and fields of a response; 502' },
  responseFields: { default: 200, min: 1, max: 10_000, unit: 'count', doc: 'fields of a response; 502' },
  chunkSizeDigits: { default: 16, min: 1, max: 16, unit: 'count', doc: 'hex digits of a chunk size' },
  chunkExtensionBytes: { default: 256, min: 0, max: 65_536, unit: 'bytes', doc: 'extensions of one chunk' },
  messageExtensionBytes: { default: 16_384, min: 0, max: 16_777_216, unit: 'bytes', doc: 'chunk extensions of one message' },
  trailerFields: { default: 32, min: 0, max: 10_000, unit: 'count', doc: 'trailer fields of a message' },
  trailerBytes: { default: 8_192, min: 2, max: 1_048_576, unit: 'bytes', doc: 'trailer section of a message' },
  interimResponses: { default: 16, min: 0, max: 1_000, unit: 'count', doc: '1xx responses before the final one' },
  interimBytes: { default: 65_536, min: 0, max: 16_777_216, unit: 'bytes', doc: 'bytes of all 1xx responses before the final one' },
  connections: { default: 10_000, min: 1, max: 1_000_000, unit: 'count', doc: 'client connections', divided: true },
  lingerBytes: { default: 262_144, min: 0, max: 1_073_741_824, unit: 'bytes', doc: 'read and thrown away after a refusal' },
  replayBytes: { default: 65_536, min: 0, max: 1_048_576, unit: 'bytes', doc: 'bytes of a request kept to be sent again, or to another group as a copy' },
  minRate: { default: 240, min: 0, max: 1_073_741_824, unit: 'bytes/s', doc: 'slowest average of a request body, 0 = any; 408' },
  turnMessages: { default: 32, min: 1, max: 100_000, unit: 'count', doc: 'pipelined requests of one client handled before others get a turn' },
  turnBytes: { default: 1_048_576, min: 65_536, max: 1_073_741_824, unit: 'bytes', doc: 'bytes of one peer handled before others get a turn' },
} as const satisfies Record<string, Pick<NumberRow, 'default' | 'min' | 'max' | 'unit' | 'doc' | 'divided'>>

/** The pool of connections to each upstream server. */
// oxfmt-ignore
export const poolTable = {
  connections: { default: 256, min: 1, max: 65_536, unit: 'count', doc: 'connections to one upstream server', divided: true },
  waiting: { default: 1_024, min: 0, max: 1_000_000, unit: 'count', doc: 'requests that wait for a connection to one upstream server; then 503', divided: true },
  attempts: { default: 3, min: 1, max: 16, unit: 'count', doc: 'servers tried for one request when connecting fails' },
} as const satisfies Record<string, Pick<NumberRow, 'default' | 'min' | 'max' | 'unit' | 'doc' | 'divided'>>

/** More worker processes than this are a typing error. */
export const workersMax = 1_024

/** How several worker processes are looked after. Milliseconds. */
// oxfmt-ignore
export const supervisionTable = {
  start: { default: 20_000, min: 100, max: 600_000, doc: 'a new worker has to be ready' },
  hang: { default: 5_000, min: 2_000, max: day, doc: 'a worker whose event loop stands still this long is logged' },
  kill: { default: 30_000, min: 0, max: day, doc: 'a worker whose event loop stands still this long is killed and replaced; 0 = never' },
  restartMin: { default: 100, min: 1, max: day, doc: 'wait before a worker that ended is replaced; doubled while new ones end, too' },
  restartMax: { default: 30_000, min: 1, max: day, doc: 'longest such wait' },
  retire: { default: hour, min: 0, max: 7 * day, doc: 'running exchanges and tunnels of a worker that was replaced by SIGHUP may finish' },
} as const satisfies Record<string, Pick<NumberRow, 'default' | 'min' | 'max' | 'doc'>>

/** When connections to an upstream server that are out of step are not reused at all. Durations in milliseconds. */
// oxfmt-ignore
export const desyncLimitTable = {
  quarantineAfter: { default: 3, min: 0, max: 1_000, unit: 'count', doc: 'proofs within the window that put the reuse of connections to a server in quarantine, 0 = never' },
  window: { default: 60_000, min: 1, max: day, unit: 'ms', doc: 'how long a proof counts' },
  quarantine: { default: 60_000, min: 1, max: day, unit: 'ms', doc: 'how long every request then has a connection of its own' },
} as const satisfies Record<string, Pick<NumberRow, 'default' | 'min' | 'max' | 'unit' | 'doc'>>

export type Timeouts = { readonly [K in keyof typeof timeoutTable]: number }
export type Limits = { readonly [K in keyof typeof limitTable]: number }
export type PoolLimits = { readonly [K in keyof typeof poolTable]: number }
export type DesyncLimits = { readonly [K in keyof typeof desyncLimitTable]: number }
export type Supervision = { readonly [K in keyof typeof supervisionTable]: number }

/** Where a socket listens or connects. */
export type Address =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }

export const forwardedModes = ['off', 'x-forwarded', 'forwarded', 'both'] as const
export type ForwardedMode = (typeof forwardedModes)[number]
export const halfClosedModes = ['abort', 'serve'] as const
export type HalfClosedClients = (typeof halfClosedModes)[number]
export const socketAccesses = ['handles', 'streams'] as const
export type SocketAccess = (typeof socketAccesses)[number]
export const reuseModes = ['same-client', 'anyone'] as const
export type ReuseAfterBody = (typeof reuseModes)[number]

/** What the engine works with: complete, checked, frozen. */
export interface ProxyConfig {
  readonly upstreams: readonly Address[]
  readonly timeouts: Timeouts
  readonly limits: Limits
  readonly pool: PoolLimits
  readonly desync: DesyncLimits
  readonly reuseAfterBody: ReuseAfterBody
  /** Pseudonym in Via (RFC 9110 section 7.6.3), or '' for no Via and no loop detection. */
  readonly via: string
  readonly forwarded: ForwardedMode
  readonly halfClosedClients: HalfClosedClients
  readonly socketAccess: SocketAccess
  /** `ip:port`; none: those of the system. */
  readonly nameServers: readonly string[]
  /** Undefined: every listener takes every request to `upstreams`. */
  readonly service: ServiceOptions | undefined
}

/** What a user of the library gives. Milliseconds and bytes; addresses as on the command line. */
export interface ProxyOptions {
  /** `[http://]host:port` or `unix:path`. None: the embedded origin. */
  upstreams?: readonly string[]
  timeouts?: Partial<Timeouts>
  limits?: Partial<Limits>
  pool?: Partial<PoolLimits>
  desync?: Partial<DesyncLimits>
  /**
   * Who may use an upstream connection that has carried a request body, or a HEAD: 'same-client' (default), so that what a server
   * leaves unread of a body, or answers too much, meets no other client; or 'anyone'.
   */
  reuseAfterBody?: ReuseAfterBody
  /** Pseudonym in Via; '' switches Via and loop detection off. Default: eproxy- and 8 random hex digits. */
  via?: string
  /** Which fields tell the upstream about the client. Default 'off'. */
  forwarded?: ForwardedMode
  /**
   * What a FIN of a client means whose request is complete and not yet answered: 'abort' (default, as nginx) stops the
   * upstream at once; 'serve' answers first.
   */
  halfClosedClients?: HalfClosedClients
  /**
   * How sockets are driven: 'handles' (default) by their libuv handles, which is cheap and is given up by itself on a node that has not
   * what it takes; 'streams' by the public interface of net.Socket alone.
   */
  socketAccess?: SocketAccess
  /** `ip` or `ip:port` of the DNS servers that are asked for upstreams. Default: those of the system. */
  nameServers?: readonly string[]
  /** Listeners, routes, groups of servers and more; `upstreams` is empty then. */
  service?: ServiceOptions | undefined
}

type Rows = Record<string, Pick<NumberRow, 'default' | 'min' | 'max'>>

function resolveNumbers<R extends Rows>(
  table: R,
  given: Partial<Record<keyof R & string, number>> | undefined,
  place: string,
  base?: Readonly<Record<keyof R & string, number>>,
): Record<keyof R & string, number> {
  const result: Record<string, number> = {}
  if (given !== undefined && (typeof given !== 'object' || Array.isArray(given)))
    throw optionError(`${place} must be an object of numbers, not ${String(given)}`)
  for (const [name, row] of Object.entries(table)) result[name] = base?.[name] ?? row.default
  for (const [name, value] of Object.entries(given ?? {})) {
    if (value === undefined) continue
    const row = Object.hasOwn(table, name) ? table[name] : undefined
    if (row === undefined) throw optionError(`${place}.${name} is not an option; there are ${Object.keys(table).join(', ')}`)
    if (!Number.isSafeInteger(value) || value < row.min || value > row.max) {
      throw optionError(`${place}.${name} must be a whole number from ${row.min} to ${row.max}, not ${String(value)}`)
    }
    result[name] = value
  }
  // V8 keeps an object that is filled key by key as a hash table, and a copy of it as a struct: these are read on
  // every request.
  return Object.freeze({ ...result }) as Record<keyof R & string, number>
}

function optionError(message: string): ProxyError {
  return new ProxyError('ERR_EPROXY_OPTION', message)
}

const optionNames = [
  'upstreams',
  'timeouts',
  'limits',
  'pool',
  'desync',
  'reuseAfterBody',
  'via',
  'forwarded',
  'halfClosedClients',
  'socketAccess',
  'nameServers',
  'service',
] as const satisfies readonly (keyof ProxyOptions)[]
/** RFC 9110 section 7.6.3: received-by is a pseudonym (token) or host[:port]; empty for no Via. */
export const viaPattern = /^(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?::[0-9]+)?)?$/

/** Checks and completes what a user gave. Throws ProxyError ERR_EPROXY_OPTION. `via` is the default pseudonym. */
export function resolveOptions(given: ProxyOptions, via: string): ProxyConfig {
  for (const name of Object.keys(given)) {
    if (!(optionNames as readonly string[]).includes(name))
      throw optionError(`${name} is not an option; there are ${optionNames.join(', ')}`)
  }
  const upstreams: unknown = given.upstreams ?? []
  if (!Array.isArray(upstreams) || !upstreams.every((text) => typeof text === 'string'))
    throw optionError('upstreams must be a list of addresses')
  const pseudonym = given.via ?? via
  if (typeof pseudonym !== 'string' || !viaPattern.test(pseudonym))
    throw optionError(`via must be a token or host:port, not ${JSON.stringify(pseudonym)}`)
  const forwarded = given.forwarded ?? 'off'
  if (!forwardedModes.includes(forwarded))
    throw optionError(`forwarded must be off, x-forwarded, forwarded or both, not ${String(forwarded)}`)
  const halfClosedClients = given.halfClosedClients ?? 'abort'
  if (!halfClosedModes.includes(halfClosedClients))
    throw optionError(`halfClosedClients must be abort or serve, not ${String(halfClosedClients)}`)
  const socketAccess = given.socketAccess ?? 'handles'
  if (!socketAccesses.includes(socketAccess)) throw optionError(`socketAccess must be handles or streams, not ${String(socketAccess)}`)
  const reuseAfterBody = given.reuseAfterBody ?? 'same-client'
  if (!reuseModes.includes(reuseAfterBody)) throw optionError(`reuseAfterBody must be same-client or anyone, not ${String(reuseAfterBody)}`)
  if (given.service !== undefined && upstreams.length > 0)
    throw optionError('upstreams and service exclude each other: servers stand in service.groups')
  return Object.freeze({
    upstreams: Object.freeze(upstreams.map(parseUpstreamAddress)),
    timeouts: resolveNumbers(timeoutTable, given.timeouts, 'timeouts'),
    limits: resolveNumbers(limitTable, given.limits, 'limits'),
    pool: resolveNumbers(poolTable, given.pool, 'pool'),
    desync: resolveNumbers(desyncLimitTable, given.desync, 'desync'),
    reuseAfterBody,
    via: pseudonym,
    forwarded,
    halfClosedClients,
    socketAccess,
    nameServers: resolveNameServers(given.nameServers ?? []),
    service: given.service,
  })
}

function resolveNameServers(given: unknown): readonly string[] {
  if (!Array.isArray(given)) throw optionError('nameServers must be a list of addresses')
  return Object.freeze(
    given.map((text: unknown) => {
      if (typeof text === 'string') {
        if (isIPv6(text)) return text
        const address = parseAddress(text, 53)
        if (address.kind === 'tcp' && isIP(address.host) !== 0) return text
      }
      throw optionError(`nameServers: ${JSON.stringify(text)} is not ip, ip:port or [v6]:port`)
    }),
  )
}

/** What one listener, route or group of servers has of its own. */
export type ConfigChanges = {
  readonly timeouts?: Partial<Timeouts> | undefined
  readonly limits?: Partial<Limits> | undefined
  readonly pool?: Partial<PoolLimits> | undefined
  readonly desync?: Partial<DesyncLimits> | undefined
  readonly forwarded?: ForwardedMode | undefined
}

/** The configuration with some of its values changed. Throws ProxyError ERR_EPROXY_OPTION. */
export function mergeConfig(config: ProxyConfig, { timeouts, limits, pool, desync, forwarded }: ConfigChanges): ProxyConfig {
  return Object.freeze({
    ...config,
    timeouts: resolveNumbers(timeoutTable, timeouts, 'timeouts', config.timeouts),
    limits: resolveNumbers(limitTable, limits, 'limits', config.limits),
    pool: resolveNumbers(poolTable, pool, 'pool', config.pool),
    desync: resolveNumbers(desyncLimitTable, desync, 'desync', config.desync),
    forwarded: forwarded ?? config.forwarded,
  })
}

/** Checks and completes the times of `supervisionTable`. Throws ProxyError ERR_EPROXY_OPTION. */
export function resolveSupervision(given: Partial<Supervision> | undefined): Supervision {
  return resolveNumbers(supervisionTable, given, 'supervision')
}

/** `[http://]host:port`, `[v6]:port`, `host` (port 80) or `unix:path`. Throws ProxyError ERR_EPROXY_OPTION. */
export function parseUpstreamAddress(text: string): Address {
  if (/^https:\/\//i.test(text)) throw optionError(`upstream ${text}: TLS to an upstream is not supported, use http://`)
  // A path of a socket is taken as it is, slashes and all.
  if (text.startsWith('unix:')) return parseAddress(text, undefined)
  const rest = text.replace(/^(?:http:\/\/)?([^/]*)\/?$/i, '$1')
  if (rest.includes('/') || rest.startsWith('unix:')) throw optionError(`upstream ${text}: only [http://]host:port or unix:path, no path`)
  const address = parseAddress(rest, 80)
  if (address.kind === 'tcp' && address.host === '') throw optionError(`upstream ${text}: the host is missing`)
  if (address.kind === 'tcp' && address.port === 0) throw optionError(`upstream ${text}: port 0 cannot be connected to`)
  return address
}

/** `host:port`, `[v6]:port`, `:port` (every interface; host is ''), or `unix:path`. Throws ProxyError ERR_EPROXY_OPTION. */
export function parseListenAddress(text: string): Address {
  return parseAddress(text, undefined)
}

function parseAddress(text: string, defaultPort: number | undefined): Address {
  // A host of digits alone would be an address of four octets, and not the one that is meant.
  if (/^[0-9]+$/.test(text)) {
    const meant = defaultPort === undefined ? `:${text}` : `127.0.0.1:${text}`
    throw optionError(`${JSON.stringify(text)} is not an address; did you mean ${meant}?`)
  }
  if (text.startsWith('unix:')) {
    const path = text.slice(5)
    if (path === '') throw optionError(`${text}: the path of the socket is missing`)
    return { kind: 'unix', path }
  }
  const match = /^(?:\[([^\]]+)\]|([A-Za-z0-9._-]*))(?::([0-9]{1,5}))?$/.exec(text)
  const port = match?.[3] === undefined ? defaultPort : Number(match[3])
  if (match === null || port === undefined || port > 65_535 || (match[1] !== undefined && !isIPv6(match[1])) || match[2] === 'unix')
    throw optionError(`${JSON.stringify(text)} is not an address; write host:port, [v6]:port, :port or unix:path`)
  return { kind: 'tcp', host: match[1] ?? match[2] ?? '', port }
}

/** The address as the user would write it. */
export function formatAddress(address: Address): string {
  if (address.kind === 'unix') return `unix:${address.path}`
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`
}

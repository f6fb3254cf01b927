/**
 * Names of upstreams to addresses: IP literals, the hosts file, then DNS (c-ares, never the thread pool's getaddrinfo), kept by TTL.
 * A request waits for DNS only when nothing usable is known; an answer past its time is still given out while one query in the
 * background renews it (RFC 8767). The resolver does not choose among addresses, does not connect, and applies no search domain:
 * a name is asked as it is written. Each query owns its c-ares channel and its timer; `Resolver` owns the queries and ends them in close().
 */
import { NODATA, NOTFOUND, Resolver as DnsChannel, TIMEOUT, type RecordWithTtl, type SrvRecord } from 'node:dns'
import { readFile, stat } from 'node:fs/promises'
import { isIP } from 'node:net'
import { domainToASCII } from 'node:url'
import { ProxyError } from '../core/errors.ts'
import { TtlQuery } from './service-ttl.ts'

export interface ResolvedAddress {
  readonly address: string
  readonly family: 4 | 6
}

export interface ResolverOptions {
  /** For one query, all its attempts and both families together. */
  timeoutMs: number
  ttlMinMs: number
  ttlMaxMs: number
  /** How long past its time an answer is used while it cannot be renewed. */
  staleMs: number
  /** `ip:port` of name servers; default: those of the system, read anew for each query. */
  servers?: readonly string[]
  hostsFile?: string
  /** Monotonic milliseconds. */
  now?: () => number
}

interface Answer {
  readonly addresses: readonly ResolvedAddress[]
  readonly expiresAt: number
  readonly staleUntil: number
}

interface Failure {
  readonly error: ProxyError
  readonly until: number
}

/** Why a name has no answer. */
type NoAnswer =
  /** The servers say that there is none: this is news, not an outage, and replaces what was known (RFC 8767 section 4). */
  { readonly kind: 'absent'; readonly error: ProxyError } | { readonly kind: 'failed'; readonly error: ProxyError }

export type Verdict = { readonly kind: 'addresses'; readonly addresses: readonly ResolvedAddress[]; readonly ttlMs: number } | NoAnswer

/** One server of a service (RFC 2782). */
export interface ServiceRecord {
  /** A host name in lower case without a dot at its end. */
  readonly host: string
  readonly port: number
  /** Lower ones first. */
  readonly priority: number
  readonly weight: number
}

export type ServiceVerdict = { readonly kind: 'services'; readonly services: readonly ServiceRecord[]; readonly ttlMs: number } | NoAnswer

/** What c-ares answered for one address family. */
interface Outcome {
  readonly error: NodeJS.ErrnoException | null
  readonly records: readonly RecordWithTtl[] | undefined
}

/** Bound of the answers and of the failures that are kept. */
const namesMax = 1_000
/** Bound of the queries under way; each has a socket. */
const queriesMax = 256
/** How long a failure is remembered, so that a dead name or server is asked once a second and not once a request. */
const failureMs = 1_000
/** How often the hosts file is looked at for changes. */
const hostsCheckMs = 5_000
/** For records of services whose TTL is not told: over TCP only, or by a server that has lost a datagram. */
export const unknownTtlMs = 10_000
/** Longer than this, or than half of the time for the query, nobody waits for that TTL. */
const ttlWaitMs = 1_000
const nameLengthMax = 253
const ttlsToldMax = 256
/** Labels of RFC 1035 section 2.3.1, and `_`, which names of containers and services contain; one dot at the end (RFC 1034 section 3.1). */
const namePattern = /^(?:[A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?$/
const localhostPattern = /(?:^|\.)localhost$/
const loopback: readonly ResolvedAddress[] = Object.freeze([
  { address: '127.0.0.1', family: 4 },
  { address: '::1', family: 6 },
] as const)

/** A wrong address of a server is the caller's mistake: it throws here and not in the first query. */
function checked(options: ResolverOptions): ResolverOptions {
  if (options.servers !== undefined) new DnsChannel().setServers(options.servers)
  return Object.freeze({ ...options })
}

export class Resolver {
  #options: ResolverOptions
  readonly #now: () => number
  readonly #hosts: HostsFile
  /** By lower-case name (or literal), least recently renewed first. */
  readonly #answers = new Map<string, Answer>()
  readonly #failures = new Map<string, Failure>()
  readonly #queries = new Map<string, { readonly query: Query; readonly promise: Promise<Verdict> }>()
  readonly #serviceQueries = new Set<ServiceQuery>()
  #closed = false

  constructor(options: ResolverOptions) {
    this.#options = checked(options)
    this.#now = options.now ?? (() => performance.now())
    this.#hosts = new HostsFile(options.hostsFile ?? systemHostsFile(), this.#now)
  }

  /** For queries from now on; what is known stays, for as long as it was to stay. */
  configure(options: Omit<ResolverOptions, 'hostsFile' | 'now'>): void {
    this.#options = checked(options)
  }

  /** Names that are being asked for now, in the background or with someone waiting. */
  get queriesPending(): number {
    return this.#queries.size + this.#serviceQueries.size
  }

  /** Synchronous when cached (also when stale and being refreshed); undefined when it must be asked. Hot path: one Map look-up. */
  lookupCached(host: string): readonly ResolvedAddress[] | undefined {
    const answer = this.#answers.get(host)
    if (answer === undefined) return this.#lookupUnlisted(host)
    const now = this.#now()
    if (now < answer.expiresAt) return answer.addresses
    if (now >= answer.staleUntil) return undefined
    // After a failed refresh the next one waits as a request for a dead name does.
    if (this.#recentFailure(host, now) === undefined) void this.#ask(host)
    return answer.addresses
  }

  /** Never rejects with anything but ProxyError ERR_EPROXY_DNS_TIMEOUT or ERR_EPROXY_DNS_FAILED. Concurrent calls for one name share one query. */
  resolve(host: string): Promise<readonly ResolvedAddress[]> {
    const cached = this.lookupCached(host)
    if (cached !== undefined) return Promise.resolve(cached)
    if (this.#closed) return Promise.reject(closedError())
    if (!isHostName(host)) return Promise.reject(notAName(host))
    const name = host.toLowerCase()
    const failure = this.#recentFailure(name, this.#now())
    return failure === undefined ? this.#ask(name).then(addressesOf) : Promise.reject(failure)
  }

  /** Asks anew, whatever is known, for who keeps its own times. Never rejects. Concurrent calls for one name share one query. */
  renew(host: string): Promise<Verdict> {
    if (this.#closed) return Promise.resolve({ kind: 'failed', error: closedError() })
    const family = isIP(host)
    if (family === 4 || family === 6)
      return Promise.resolve({ kind: 'addresses', addresses: [toAddress(host, family)], ttlMs: this.#options.ttlMaxMs })
    if (!isHostName(host)) return Promise.resolve({ kind: 'failed', error: notAName(host) })
    return this.#ask(host.toLowerCase())
  }

  /** Asks for the SRV records of a name, for who keeps its own times. Never rejects. */
  async renewServices(name: string): Promise<ServiceVerdict> {
    if (this.#closed) return { kind: 'failed', error: closedError() }
    if (!isHostName(name)) return { kind: 'failed', error: notAName(name) }
    if (this.queriesPending >= queriesMax) return { kind: 'failed', error: tooManyQueries(name) }
    const query = new ServiceQuery(name, this.#options)
    this.#serviceQueries.add(query)
    const verdict = await query.verdict
    this.#serviceQueries.delete(query)
    return verdict.kind === 'services' ? { ...verdict, ttlMs: this.#boundTtl(verdict.ttlMs) } : verdict
  }

  /** Ends every query (who waits is rejected) and forgets every answer. */
  close(): void {
    this.#closed = true
    for (const { query } of this.#queries.values()) query.cancel()
    for (const query of this.#serviceQueries) query.cancel()
    this.#queries.clear()
    this.#answers.clear()
    this.#failures.clear()
  }

  #lookupUnlisted(host: string): readonly ResolvedAddress[] | undefined {
    const family = isIP(host)
    if (family === 4 || family === 6) {
      const addresses = Object.freeze([toAddress(host, family)])
      keepBounded(this.#answers, host, { addresses, expiresAt: Infinity, staleUntil: Infinity })
      return addresses
    }
    // The pattern comes first: outside ASCII toLowerCase() may yield another valid name (U+212A KELVIN SIGN becomes k).
    if (!isHostName(host)) return undefined
    const name = host.toLowerCase()
    return name === host ? undefined : this.lookupCached(name)
  }

  #recentFailure(name: string, now: number): ProxyError | undefined {
    const failure = this.#failures.get(name)
    return failure !== undefined && now < failure.until ? failure.error : undefined
  }

  /** Never rejects. */
  #ask(name: string): Promise<Verdict> {
    const running = this.#queries.get(name)
    if (running !== undefined) return running.promise
    if (this.queriesPending >= queriesMax) return Promise.resolve({ kind: 'failed', error: tooManyQueries(name) })
    const query = new Query(name, this.#options, this.#hosts)
    const promise = query.verdict.then((verdict) => this.#onVerdict(name, verdict))
    this.#queries.set(name, { query, promise })
    return promise
  }

  #onVerdict(name: string, verdict: Verdict): Verdict {
    if (this.#closed) return { kind: 'failed', error: closedError() }
    this.#queries.delete(name)
    const now = this.#now()
    if (verdict.kind === 'addresses') {
      const { staleMs } = this.#options
      const ttlMs = this.#boundTtl(verdict.ttlMs)
      keepBounded(this.#answers, name, { addresses: verdict.addresses, expiresAt: now + ttlMs, staleUntil: now + ttlMs + staleMs })
      return { ...verdict, ttlMs }
    }
    if (verdict.kind === 'absent') this.#answers.delete(name)
    keepBounded(this.#failures, name, { error: verdict.error, until: now + failureMs })
    return verdict
  }

  /** RFC 8767 section 4: a TTL of 2^31 and more is a large one and is capped, no longer zero as in RFC 2181. */
  #boundTtl(ttlMs: number): number {
    const { ttlMinMs, ttlMaxMs } = this.#options
    return Math.min(ttlMaxMs, Math.max(ttlMinMs, ttlMs))
  }
}

/** One name being asked for: the hosts file, then A and AAAA in parallel, under one deadline. `verdict` settles once and never rejects. */
class Query {
  readonly verdict: Promise<Verdict>
  readonly #name: string
  readonly #options: ResolverOptions
  readonly #timer: NodeJS.Timeout
  #channel: DnsChannel | undefined
  #outcome4: Outcome | undefined
  #outcome6: Outcome | undefined
  #settled = false
  #resolve!: (verdict: Verdict) => void

  constructor(name: string, options: ResolverOptions, hosts: HostsFile) {
    this.#name = name
    this.#options = options
    this.verdict = new Promise((resolve) => {
      this.#resolve = resolve
    })
    this.#timer = setTimeout(() => this.#settle(decideVerdict(name, this.#outcome4, this.#outcome6)), options.timeoutMs).unref()
    this.#run(hosts).catch((cause: unknown) => {
      this.#settle({ kind: 'failed', error: new ProxyError('ERR_EPROXY_DNS_FAILED', `${name} could not be asked for`, cause) })
    })
  }

  cancel(): void {
    this.#settle({ kind: 'failed', error: closedError() })
  }

  async #run(hosts: HostsFile): Promise<void> {
    const name = this.#name.endsWith('.') ? this.#name.slice(0, -1) : this.#name
    const listed = await hosts.lookup(name)
    if (this.#settled) return
    // RFC 6761 section 6.3: names of localhost are loopback and are never sent to a server.
    const known = listed ?? (localhostPattern.test(name) ? loopback : undefined)
    if (known !== undefined) return this.#settle({ kind: 'addresses', addresses: known, ttlMs: hostsCheckMs })

    // A channel of its own: cancel() ends this query and no other. c-ares doubles the time of the second attempt, so that
    // thirds leave one lost datagram room within the deadline.
    const channel = new DnsChannel({ timeout: Math.max(1, Math.floor(this.#options.timeoutMs / 3)), tries: 2 })
    if (this.#options.servers !== undefined) channel.setServers(this.#options.servers)
    this.#channel = channel
    channel.resolve4(this.#name, { ttl: true }, (error, records) => {
      this.#outcome4 = { error, records }
      this.#onOutcome()
    })
    channel.resolve6(this.#name, { ttl: true }, (error, records) => {
      this.#outcome6 = { error, records }
      this.#onOutcome()
    })
  }

  #onOutcome(): void {
    if (this.#settled || this.#outcome4 === undefined || this.#outcome6 === undefined) return
    this.#settle(decideVerdict(this.#name, this.#outcome4, this.#outcome6))
  }

  #settle(verdict: Verdict): void {
    if (this.#settled) return
    this.#settled = true
    clearTimeout(this.#timer)
    // Closes the sockets too: what comes later has no one to come to.
    this.#channel?.cancel()
    this.#resolve(verdict)
  }
}

/** The SRV records of one name and their TTL, under one deadline. `verdict` settles once and never rejects. */
class ServiceQuery {
  readonly verdict: Promise<ServiceVerdict>
  readonly #channel: DnsChannel
  readonly #ttl: TtlQuery
  readonly #ttlTimer: NodeJS.Timeout
  #outcome: ServiceVerdict | undefined
  #ttlMs: number | undefined
  readonly #timer: NodeJS.Timeout
  #settled = false
  #resolve!: (verdict: ServiceVerdict) => void

  constructor(name: string, options: ResolverOptions) {
    this.verdict = new Promise((resolve) => {
      this.#resolve = resolve
    })
    this.#timer = setTimeout(() => this.#settle(decideServices(name, undefined, [])), options.timeoutMs).unref()
    this.#channel = new DnsChannel({ timeout: Math.max(1, Math.floor(options.timeoutMs / 3)), tries: 2 })
    if (options.servers !== undefined) this.#channel.setServers(options.servers)
    const [server = '127.0.0.1'] = this.#channel.getServers()
    this.#ttl = new TtlQuery(name, server, (ttlMs) => {
      this.#ttlMs = ttlMs ?? unknownTtlMs
      this.#onOutcome()
    })
    this.#ttlTimer = setTimeout(() => this.#ttl.cancel(), Math.min(ttlWaitMs, options.timeoutMs / 2)).unref()
    this.#channel.resolveSrv(name, (error, records) => {
      this.#outcome = decideServices(name, error, records)
      this.#onOutcome()
    })
  }

  cancel(): void {
    this.#settle({ kind: 'failed', error: closedError() })
  }

  #onOutcome(): void {
    const outcome = this.#outcome
    if (outcome === undefined) return
    if (outcome.kind !== 'services') return this.#settle(outcome)
    if (this.#ttlMs !== undefined) this.#settle({ ...outcome, ttlMs: this.#ttlMs })
  }

  #settle(verdict: ServiceVerdict): void {
    if (this.#settled) return
    this.#settled = true
    clearTimeout(this.#timer)
    clearTimeout(this.#ttlTimer)
    this.#channel.cancel()
    this.#ttl.cancel()
    this.#resolve(verdict)
  }
}

/** `undefined`: there was no answer when the time was over. */
function decideServices(
  name: string,
  error: NodeJS.ErrnoException | null | undefined,
  records: readonly SrvRecord[] | undefined,
): ServiceVerdict {
  if (error === undefined || error?.code === TIMEOUT)
    return { kind: 'failed', error: new ProxyError('ERR_EPROXY_DNS_TIMEOUT', `${name} was not answered for in time`) }
  if (error !== null && error.code !== NOTFOUND && error.code !== NODATA) {
    const message = `${name} could not be asked for: ${error.code ?? error.message}`
    return { kind: 'failed', error: new ProxyError('ERR_EPROXY_DNS_FAILED', message, error) }
  }
  // RFC 2782: the root as target says that the service is not there. A record that nobody could connect to is passed over.
  const services = (records ?? [])
    .filter((record) => record.port > 0 && isHostName(record.name))
    .map((record) => ({
      host: record.name.toLowerCase().replace(/\.$/, ''),
      port: record.port,
      priority: record.priority,
      weight: record.weight,
    }))
  if (services.length > 0) return { kind: 'services', services, ttlMs: unknownTtlMs }
  return { kind: 'absent', error: new ProxyError('ERR_EPROXY_DNS_FAILED', `${name} names no server`, error ?? undefined) }
}

/** `undefined` stands for a family that has not answered when the time was over. */
function decideVerdict(name: string, outcome4: Outcome | undefined, outcome6: Outcome | undefined): Verdict {
  const records4 = outcome4?.records ?? []
  const records6 = outcome6?.records ?? []
  const outage = [outcome4, outcome6].filter(isOutage)
  if (records4.length + records6.length > 0) {
    const addresses = [...records4.map(({ address }) => toAddress(address, 4)), ...records6.map(({ address }) => toAddress(address, 6))]
    // Half an answer serves, but only for the shortest time: the missing half may be the one that can be reached.
    // node tells the TTL of the first 256 records of a family, and undefined behind them.
    const ttl =
      outage.length > 0
        ? 0
        : Math.min(...[...records4.slice(0, ttlsToldMax), ...records6.slice(0, ttlsToldMax)].map((record) => record.ttl))
    return { kind: 'addresses', addresses: Object.freeze(addresses), ttlMs: ttl * 1000 }
  }
  const cause = outage.find((outcome) => outcome?.error && outcome.error.code !== TIMEOUT)?.error
  if (cause) {
    const message = `${name} could not be asked for: ${cause.code ?? cause.message}`
    return { kind: 'failed', error: new ProxyError('ERR_EPROXY_DNS_FAILED', message, cause) }
  }
  if (outage.length > 0) return { kind: 'failed', error: new ProxyError('ERR_EPROXY_DNS_TIMEOUT', `${name} was not answered for in time`) }
  return { kind: 'absent', error: new ProxyError('ERR_EPROXY_DNS_FAILED', `${name} has no address`, outcome4?.error ?? undefined) }
}

function isOutage(outcome: Outcome | undefined): boolean {
  return outcome === undefined || (outcome.error !== null && outcome.error.code !== NOTFOUND && outcome.error.code !== NODATA)
}

/** Names in a file of the form of hosts(5), read at first use and again when it has changed. Holds nothing open. */
class HostsFile {
  readonly #path: string
  readonly #now: () => number
  #names: ReadonlyMap<string, readonly ResolvedAddress[]> = new Map()
  #version = ''
  #checkedAt = -Infinity
  #checking: Promise<void> | undefined

  constructor(path: string, now: () => number) {
    this.#path = path
    this.#now = now
  }

  async lookup(name: string): Promise<readonly ResolvedAddress[] | undefined> {
    if (this.#checking === undefined && this.#now() - this.#checkedAt >= hostsCheckMs) {
      this.#checking = this.#check().finally(() => {
        this.#checkedAt = this.#now()
        this.#checking = undefined
      })
    }
    await this.#checking
    return this.#names.get(name)
  }

  async #check(): Promise<void> {
    try {
      const file = await stat(this.#path)
      const version = `${file.ino} ${file.size} ${file.mtimeMs}`
      if (version === this.#version) return
      // Reading a FIFO or a device would never end.
      this.#names = file.isFile() ? parseHosts(await readFile(this.#path, 'utf8')) : new Map()
      this.#version = version
    } catch (error) {
      // Only a file that is gone takes its names along: without descriptors (EMFILE) private names must not go to the servers.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') return
      this.#names = new Map()
      this.#version = ''
    }
  }
}

function parseHosts(text: string): ReadonlyMap<string, readonly ResolvedAddress[]> {
  const names = new Map<string, ResolvedAddress[]>()
  for (const line of text.split(/\r?\n/)) {
    const [address = '', ...aliases] = line.replace(/#.*/, '').trim().split(/\s+/)
    const family = isIP(address)
    if (family !== 4 && family !== 6) continue
    for (const alias of aliases) {
      const name = alias.toLowerCase()
      const known = names.get(name)
      if (known === undefined) names.set(name, [toAddress(address, family)])
      else if (!known.some((other) => other.address === address)) known.push(toAddress(address, family))
    }
  }
  // As from DNS: IPv4 first, each family in the order of the file.
  for (const addresses of names.values()) Object.freeze(addresses.sort((one, other) => one.family - other.family))
  return names
}

function systemHostsFile(): string {
  return process.platform === 'win32' ? `${process.env['SystemRoot'] ?? 'C:\\Windows'}\\System32\\drivers\\etc\\hosts` : '/etc/hosts'
}

function isHostName(host: string): boolean {
  if (host.length - (host.endsWith('.') ? 1 : 0) > nameLengthMax || !namePattern.test(host)) return false
  // node:dns turns an A-label that is not valid punycode into the empty name and would ask for the addresses of the root.
  return !/(?:^|\.)xn--/i.test(host) || domainToASCII(host) !== ''
}

function toAddress(address: string, family: 4 | 6): ResolvedAddress {
  return Object.freeze({ address, family })
}

function keepBounded<T>(map: Map<string, T>, name: string, value: T): void {
  map.delete(name)
  map.set(name, value)
  if (map.size <= namesMax) return
  for (const oldest of map.keys()) {
    map.delete(oldest)
    return
  }
}

function closedError(): ProxyError {
  return new ProxyError('ERR_EPROXY_DNS_FAILED', 'the resolver is closed')
}

function notAName(host: string): ProxyError {
  const seen = JSON.stringify(host.length > 80 ? `${host.slice(0, 80)}...` : host)
  const rule = `letters, digits, - and _; ${nameLengthMax} in all, 63 a label`
  return new ProxyError('ERR_EPROXY_DNS_FAILED', `${seen} is not a host name (${rule})`)
}

function tooManyQueries(name: string): ProxyError {
  return new ProxyError('ERR_EPROXY_DNS_FAILED', `${name} was not asked for: ${queriesMax} other names already are`)
}

function addressesOf(verdict: Verdict): readonly ResolvedAddress[] {
  if (verdict.kind !== 'addresses') throw verdict.error
  return verdict.addresses
}

/**
 * The servers that share a load: which of them the next exchange gets, and what follows from how exchanges end. How a choice is made stands in
 * lib/route, what is known of a server in its `Server`; here is the list, which may change at any time, and the bookkeeping between the two.
 */
import { FieldKind, type RequestHead } from '../../native-free-parser/index.ts'
import { assert } from '../core/assert.ts'
import { ProxyError, type ExchangeErrorCode } from '../core/errors.ts'
import { formatAddress, type Address } from '../core/options.ts'
import type { GroupOptions } from '../core/service-options.ts'
import { Deadline, type DeadlineOwner } from '../core/timers.ts'
import type { BreakerLimit, ServerChange } from '../observe/server-event.ts'
import { chooseByHash, chooseLeastConnections, chooseOfTwo, chooseRoundRobin, hashText } from '../route/balance.ts'
import { readCookie } from '../route/cookie.ts'
import { selectUsable, ServerMark, slowStartShare, type Selection } from '../route/usable-servers.ts'
import type { RequestingClient } from './connection.ts'
import type { UpstreamEnvironment } from './environment.ts'
import { formatCheckRequest } from './health-check.ts'
import { Mirror, type MirrorStats } from './mirror.ts'
import type { DesyncStats, PoolStats } from './pool.ts'
import { RetryBudget, type RetryStats } from './retry-budget.ts'
import { Server, type AdminState, type GroupServer, type ServerKeeper, type ServerStats } from './server.ts'
import { findCookieFault, plainCookie } from './sticky-cookie.ts'

export interface UpstreamStats extends PoolStats, DesyncStats, ServerStats {}

/** Figures of a group as a whole. */
export interface BalanceStats extends RetryStats, MirrorStats {
  /** How the last choice came about. */
  readonly selection: Selection
  /** Exchanges that have a server. */
  readonly active: number
  /** Of these, those whose first server failed them. */
  readonly retrying: number
  readonly isBreakerOpen: boolean
  /** Exchanges that the circuit breaker refused. */
  readonly brokenTotal: number
}

/** What a group needs of its options. */
export type Balancing = Pick<
  GroupOptions,
  'balance' | 'hashOn' | 'stickyCookie' | 'stickyAttributes' | 'slowStartMs' | 'panicShare' | 'health' | 'outlier' | 'breaker'
>

/** Nothing was configured but addresses: they take turns, and those that refuse connections are passed over for a while. */
export const plainBalancing: Balancing = Object.freeze({
  balance: 'round-robin',
  hashOn: Object.freeze({ kind: 'client' }),
  stickyCookie: '',
  slowStartMs: 0,
  panicShare: 0,
})

export function plainServers(addresses: readonly Address[]): readonly GroupServer[] {
  return addresses.map((address) => ({ address, weight: 1, backup: false }))
}

/** The weights of servers that get warm are looked at so often on their way up. */
const slowStartSteps = 50
/** The breaker closes when it has refused nothing for so long. */
const breakerQuietMs = 1_000

export class UpstreamGroup implements ServerKeeper, DeadlineOwner {
  readonly #label: string
  /** Its `config` is that of this group. */
  readonly #environment: UpstreamEnvironment
  readonly #breakerDeadline: Deadline = new Deadline(this)
  #options: Balancing
  #hostName = ''
  #rows: readonly GroupServer[] = []
  #servers: readonly Server[] = []
  /** Servers that are not configured any more, and may have exchanges yet. */
  readonly #leaving = new Set<Server>()
  #isClosed = false
  readonly retries = new RetryBudget()
  /** Takes copies of what other groups are asked for. */
  readonly mirror: Mirror
  #isStarted = false

  // One number for each server, by its index: what choices are made from.
  #marks = new Uint8Array(0)
  #selected = new Uint8Array(0)
  /** With slow start. */
  #fullWeights = new Float64Array(0)
  /** 0 for those that may not be chosen. */
  #weights = new Float64Array(0)
  /** The same for one exchange that has tried some already. */
  #weightsLeft = new Float64Array(0)
  #credits = new Float64Array(0)
  #active = new Float64Array(0)
  #seeds = new Uint32Array(0)
  #byStickyId: ReadonlyMap<string, Server> = new Map()
  #selection: Selection = 'none'
  /** The only server, when there is no choice to be made. */
  #only: Server | undefined
  /** What may be chosen has to be looked at again then. */
  #weighAt = Number.NEGATIVE_INFINITY

  #activeTotal = 0
  #retrying = 0
  #brokenTotal = 0
  #openLimit: BreakerLimit | undefined
  #refusal: ExchangeErrorCode = 'ERR_EPROXY_NO_SERVER'

  /** `label`: its name in the configuration. Throws ProxyError ERR_EPROXY_OPTION. */
  constructor(servers: readonly GroupServer[], environment: UpstreamEnvironment, label = '', options: Balancing = plainBalancing) {
    this.#label = label
    this.#environment = environment
    this.mirror = new Mirror(this, environment)
    this.#options = options
    this.update(servers, options)
    this.#isStarted = true
  }

  /**
   * Takes other servers, or the same in another order, and other options. One that stays keeps its connections and all that is known of it; one that
   * is gone closes with its last exchange. Throws ProxyError ERR_EPROXY_OPTION, and has changed nothing then.
   */
  update(servers: readonly GroupServer[], options: Balancing = this.#options): void {
    checkBalancing(options)
    this.#options = options
    this.#rows = servers
    const [first] = servers
    // A path is no host, and nobody's business.
    this.#hostName = first === undefined || first.address.kind === 'unix' ? 'localhost' : formatAddress(first.address)
    const old = new Map(this.#servers.map((server) => [server.name, server]))
    const kept = new Map<string, Server>()
    for (const row of servers) {
      const name = formatAddress(row.address)
      const server = old.get(name) ?? kept.get(name) ?? this.#join(row)
      kept.set(name, server)
      server.configure(row, options)
    }
    this.#arrange([...kept.values()])
    for (const server of this.#leaving) if (server.pool.isEmpty) this.#leaving.delete(server)
    for (const [name, server] of old) {
      if (kept.has(name)) continue
      this.#leaving.add(server)
      server.retire()
      this.#tellIfDrained(server)
    }
    if (this.#isClosed) this.close()
  }

  /** As `update` was given them last. */
  get rows(): readonly GroupServer[] {
    return this.#rows
  }

  get servers(): readonly Server[] {
    return this.#servers
  }

  /** No connection is open, and none is waited for. */
  get isEmpty(): boolean {
    return [...this.#servers, ...this.#leaving].every(({ pool }) => pool.isEmpty)
  }

  /** Stands in Host when a 1.0 client sends none. */
  get name(): string {
    return this.#hostName
  }

  /** Exchanges that have a server. */
  get active(): number {
    return this.#activeTotal
  }

  /** Of these, those whose first server failed them. */
  get retrying(): number {
    return this.#retrying
  }

  /** Some server may be chosen now. */
  get isUsable(): boolean {
    this.#weighIfDue()
    return this.#selection !== 'none'
  }

  get stats(): Readonly<Record<string, UpstreamStats>> {
    return Object.fromEntries(
      [...this.#leaving, ...this.#servers].map((server) => [
        server.name,
        { ...server.pool.stats, ...server.pool.desyncStats, ...server.stats },
      ]),
    )
  }

  get balanceStats(): BalanceStats {
    this.#weighIfDue()
    return {
      selection: this.#selection,
      active: this.#activeTotal,
      retrying: this.#retrying,
      isBreakerOpen: this.#openLimit !== undefined,
      brokenTotal: this.#brokenTotal,
      ...this.retries.stats,
      ...this.mirror.stats,
    }
  }

  /** What is to be given to `pick`: the value that decides between servers, '' where none does. */
  keyOf(head: RequestHead, client: { readonly clientAddress: string }): string {
    const { balance, hashOn, stickyCookie } = this.#options
    if (balance === 'sticky') return cookieOf(head, stickyCookie)
    if (balance !== 'hash') return ''
    switch (hashOn.kind) {
      case 'client':
        return client.clientAddress
      case 'header':
        return fieldOf(head, hashOn.name)
      case 'cookie':
        return cookieOf(head, hashOn.name)
    }
  }

  /**
   * The server for an exchange, of those not in `tried`; the exchange has it until `leave`. Undefined when there is none; `refusal` says why. `isRetry`:
   * another one has failed it, or a connection did.
   */
  pick(tried: readonly Server[], key: string, isRetry: boolean): Server | undefined {
    const { breaker } = this.#options
    if (breaker !== undefined) {
      if (this.#activeTotal >= breaker.exchanges) return this.#break('exchanges')
      if (isRetry && this.#retrying >= breaker.retries) return this.#break('retries')
    }
    this.#weighIfDue()
    const server = tried.length > 0 ? this.#chooseAnother(tried, key) : (this.#only ?? this.#choose(this.#weights, key))
    if (server === undefined) {
      this.#refusal = 'ERR_EPROXY_NO_SERVER'
      return undefined
    }
    if (breaker !== undefined && server.pool.isFull && this.#countWaiting() >= breaker.waiting) return this.#break('waiting')
    server.active++
    server.exchangesTotal++
    this.#active[server.index]!++
    this.#activeTotal++
    if (isRetry) this.#retrying++
    return server
  }

  /** Why the last `pick` found none. */
  get refusal(): ExchangeErrorCode {
    return this.#refusal
  }

  /** The exchange is over, or goes on with another server. */
  leave(server: Server, isRetry: boolean): void {
    assert(server.active > 0, 'a server is left that nobody has')
    server.active--
    this.#activeTotal--
    if (isRetry) this.#retrying--
    if (!server.hasLeft) this.#active[server.index]!--
    if (server.active === 0) this.#tellIfDrained(server)
  }

  /** Set-Cookie for the response to a request with that key, a whole line; '' for none. */
  cookieFor(server: Server, key: string): string {
    return this.#options.balance === 'sticky' && key !== server.stickyId ? server.cookieLine : ''
  }

  /** The server has answered, and the response is complete. */
  onSuccess(server: Server): void {
    server.onSuccess()
  }

  /** It refused the connection, did not answer in time, or not as HTTP is spoken, or said that it cannot serve. */
  onFailure(server: Server): void {
    const reason = server.onFailure()
    if (reason === '' || server.hasLeft || this.#isClosed) return
    const { outlier } = this.#options
    const ejected = this.#servers.reduce((sum, { isEjected }) => sum + (isEjected ? 1 : 0), 0)
    // However many fail: who ejects them all serves nobody.
    if (outlier !== undefined && ejected + 1 <= outlier.ejectShareMax * this.#servers.length) server.eject(reason)
  }

  /** Says whether there is such a server. */
  setServerState(name: string, state: AdminState): boolean {
    const server = this.#servers.find((candidate) => candidate.name === name)
    if (server === undefined) return false
    server.setAdmin(state, this.#options)
    this.#tellIfDrained(server)
    return true
  }

  /** The client is gone: nobody else may use what is reserved for it. */
  abandon(client: RequestingClient): void {
    for (const { pool } of this.#servers) pool.abandon(client)
    for (const { pool } of this.#leaving) pool.abandon(client)
  }

  close(): void {
    this.#isClosed = true
    this.#environment.wheel.remove(this.#breakerDeadline)
    for (const server of this.#servers) server.close()
  }

  destroy(): void {
    this.#environment.wheel.remove(this.#breakerDeadline)
    for (const server of this.#servers) server.destroy()
    for (const server of this.#leaving) server.destroy()
  }

  // ServerKeeper

  onServerChange(server: Server, change: ServerChange, reason: string): void {
    this.#weighAt = Number.NEGATIVE_INFINITY
    if (!this.#isClosed) this.#environment.onServer({ group: this.#label, server: server.name, change, reason })
  }

  onReachabilityChange(): void {
    this.#weighAt = Number.NEGATIVE_INFINITY
  }

  // DeadlineOwner

  /** The breaker has refused nothing for a while. */
  onDeadline(): void {
    const limit = this.#openLimit
    if (limit === undefined) return
    this.#openLimit = undefined
    this.#environment.onBreaker({ group: this.#label, limit, state: 'closes' })
  }

  #join(row: GroupServer): Server {
    const server = new Server(row.address, this.#environment, this)
    // Those that begin together are equally cold.
    if (this.#isStarted) {
      server.since = this.#environment.wheel.clock.now()
      this.#environment.onServer({ group: this.#label, server: server.name, change: 'joined', reason: 'new in the group' })
    }
    return server
  }

  /** Gives each server its place in the arrays; what is remembered of turns goes with it. */
  #arrange(servers: readonly Server[]): void {
    const credits = this.#credits
    const count = servers.length
    this.#credits = Float64Array.from(servers, ({ index }) => (index < 0 ? 0 : credits[index]!))
    this.#active = Float64Array.from(servers, ({ active }) => active)
    this.#seeds = Uint32Array.from(servers, ({ seed }) => seed)
    this.#marks = new Uint8Array(count)
    this.#selected = new Uint8Array(count)
    this.#fullWeights = new Float64Array(count)
    this.#weights = new Float64Array(count)
    this.#weightsLeft = new Float64Array(count)
    for (const [index, server] of servers.entries()) server.index = index
    this.#servers = servers
    this.#byStickyId = new Map(servers.map((server) => [server.stickyId, server]))
    this.#weighAt = Number.NEGATIVE_INFINITY
  }

  #weighIfDue(): void {
    const now = this.#environment.wheel.clock.now()
    if (now >= this.#weighAt) this.#weigh(now)
  }

  /** Looks at every server: what may be chosen, with what weight, and until when that holds. */
  #weigh(now: number): void {
    const { slowStartMs, panicShare } = this.#options
    let until = Number.POSITIVE_INFINITY
    for (const server of this.#servers) {
      let mark = 0
      if (server.admin === 'enabled' && server.weight > 0) mark |= ServerMark.ADMITTED
      if (server.isBackup) mark |= ServerMark.BACKUP
      if (server.isHealthy) mark |= ServerMark.HEALTHY
      if (server.pool.downUntil <= now) mark |= ServerMark.REACHABLE
      else until = Math.min(until, server.pool.downUntil)
      const share = slowStartShare(now - server.since, slowStartMs)
      if (share < 1) until = Math.min(until, now + slowStartMs / slowStartSteps)
      this.#marks[server.index] = mark
      this.#fullWeights[server.index] = server.weight * share
    }
    this.#selection = this.#weighSelected(this.#weights, panicShare)
    this.#only = this.#servers.length === 1 && this.#weights[0]! > 0 ? this.#servers[0] : undefined
    this.#weighAt = until
  }

  #weighSelected(weights: Float64Array, panicShare: number): Selection {
    const selection = selectUsable(this.#marks, panicShare, this.#selected)
    for (let i = 0; i < weights.length; i++) weights[i] = this.#selected[i] === 1 ? this.#fullWeights[i]! : 0
    return selection
  }

  #choose(weights: Float64Array, key: string): Server | undefined {
    const index = this.#chooseIndex(weights, key)
    return index < 0 ? undefined : this.#servers[index]
  }

  #chooseIndex(weights: Float64Array, key: string): number {
    switch (this.#options.balance) {
      case 'round-robin':
        return chooseRoundRobin(weights, this.#credits)
      case 'least-connections':
        return chooseLeastConnections(weights, this.#active, this.#credits)
      case 'hash':
        if (key !== '') return chooseByHash(weights, this.#seeds, hashText(key))
        break
      case 'sticky': {
        const known = key === '' ? undefined : this.#byStickyId.get(key)
        if (known !== undefined && known.canStick && (this.#marks[known.index]! & ServerMark.TRIED) === 0) return known.index
      }
    }
    return chooseOfTwo(weights, this.#active, this.#environment.random)
  }

  #chooseAnother(tried: readonly Server[], key: string): Server | undefined {
    for (const server of tried) if (!server.hasLeft) this.#marks[server.index]! |= ServerMark.TRIED
    this.#weighSelected(this.#weightsLeft, this.#options.panicShare)
    const server = this.#choose(this.#weightsLeft, key)
    for (const { hasLeft, index } of tried) if (!hasLeft) this.#marks[index]! &= ~ServerMark.TRIED
    return server
  }

  /** The circuit breaker refuses an exchange. */
  #break(limit: BreakerLimit): undefined {
    this.#refusal = 'ERR_EPROXY_CIRCUIT_OPEN'
    this.#brokenTotal++
    if (this.#isClosed) return
    this.#environment.wheel.arm(this.#breakerDeadline, 'breaker', breakerQuietMs)
    if (this.#openLimit !== undefined) return
    this.#openLimit = limit
    this.#environment.onBreaker({ group: this.#label, limit, state: 'opens' })
  }

  #countWaiting(): number {
    return this.#servers.reduce((sum, { pool }) => sum + pool.queued, 0)
  }

  #tellIfDrained(server: Server): void {
    if (!server.isDraining || server.active > 0 || this.#isClosed) return
    server.isDraining = false
    this.#environment.onServer({ group: this.#label, server: server.name, change: 'drained', reason: 'its last exchange is over' })
  }
}

/** Throws ProxyError ERR_EPROXY_OPTION. */
export function checkBalancing({ balance, stickyCookie, stickyAttributes = plainCookie, hashOn, health }: Balancing): void {
  if (health !== undefined) formatCheckRequest(health, 'localhost')
  const fault =
    balance === 'sticky'
      ? findCookieFault(stickyCookie, stickyAttributes)
      : balance === 'hash' && hashOn.kind === 'cookie'
        ? findCookieFault(hashOn.name, { ...plainCookie, secure: true })
        : ''
  if (fault !== '') throw new ProxyError('ERR_EPROXY_OPTION', fault)
}

function fieldOf(head: RequestHead, name: string): string {
  const wanted = name.toLowerCase()
  for (let i = 0; i < head.count; i++) if (head.name(i).toLowerCase() === wanted) return head.value(i)
  return ''
}

function cookieOf(head: RequestHead, name: string): string {
  for (let i = 0; i < head.count; i++) {
    if (head.kinds[i] !== FieldKind.OTHER || head.name(i).toLowerCase() !== 'cookie') continue
    const value = readCookie(head.value(i), name)
    if (value !== '') return value
  }
  return ''
}

/**
 * One server of a group: its connections, and what is known of it. It says when its standing changes; what follows from that for the choice is
 * the group's. It owns its pool, its monitor and the deadline of its ejection.
 */
import { createHash } from 'node:crypto'
import type { Address } from '../core/options.ts'
import type { GroupOptions } from '../core/service-options.ts'
import { Deadline, type DeadlineOwner } from '../core/timers.ts'
import type { ServerChange } from '../observe/server-event.ts'
import { hashText } from '../route/balance.ts'
import type { UpstreamEnvironment } from './environment.ts'
import { HealthMonitor, type LastCheck } from './health-monitor.ts'
import { OutlierDetector } from './outlier-detector.ts'
import { Pool, type PoolWatcher } from './pool.ts'
import { formatStickyCookie } from './sticky-cookie.ts'

/** What an operator wants of a server. `draining`: no new exchanges but those of clients that stick to it; `disabled`: none at all. */
export type AdminState = 'enabled' | 'draining' | 'disabled'

/** In one word: what somebody wants of it goes before what is known of it. */
export type ServerState = 'up' | 'down' | 'ejected' | 'draining' | 'disabled'

export interface ServerStats {
  readonly state: ServerState
  /** Why it is not up, '' when it is. */
  readonly reason: string
  readonly weight: number
  readonly isBackup: boolean
  /** Exchanges that have it now, those that wait for a connection included. */
  readonly active: number
  readonly exchangesTotal: number
  readonly failuresTotal: number
  readonly ejectionsTotal: number
  readonly lastCheck: LastCheck | undefined
}

/** A server as its group is told of it. */
export interface GroupServer {
  readonly address: Address
  readonly weight: number
  readonly backup: boolean
}

/** The group, seen from below. */
export interface ServerKeeper {
  /** What is known of it is different now, and worth telling. */
  onServerChange(server: Server, change: ServerChange, reason: string): void
  /** Something of it is different, and not worth telling: perhaps it has refused a connection once more. */
  onReachabilityChange(): void
}

export type ServerSettings = Pick<GroupOptions, 'health' | 'outlier' | 'stickyCookie' | 'stickyAttributes'>

const stickyIdLength = 16

export class Server implements DeadlineOwner, PoolWatcher {
  readonly pool: Pool
  readonly name: string
  /** For rendezvous hashing: the same in every process and on every machine. */
  readonly seed: number
  /** The value of the sticky cookie. It names the server without saying its address; it is no secret to one who can guess that. */
  readonly stickyId: string
  /** Set-Cookie for it, a whole line. */
  cookieLine = ''
  readonly #address: Address
  readonly #environment: UpstreamEnvironment
  readonly #keeper: ServerKeeper
  readonly #ejection: Deadline = new Deadline(this)
  #monitor: HealthMonitor | undefined
  #detector: OutlierDetector | undefined
  #isEjected = false
  /** The last attempt to connect failed. */
  #isRefusing = false
  /** What was told of it last: it refuses connections, or fails its checks. */
  #isDown = false
  #reason = ''
  weight = 1
  isBackup = false
  admin: AdminState = 'enabled'
  /** It gets no new exchanges, and it was not told yet that the last one is over. */
  isDraining = false
  /** Its place in the arrays of its group, -1 when it has left. */
  index = -1
  /** When it joined or came back, for slow start; -Infinity when that is long ago. */
  since = Number.NEGATIVE_INFINITY
  active = 0
  exchangesTotal = 0
  failuresTotal = 0
  ejectionsTotal = 0

  constructor(address: Address, environment: UpstreamEnvironment, keeper: ServerKeeper) {
    this.pool = new Pool(address, environment, this)
    this.name = this.pool.name
    this.seed = hashText(this.name)
    this.stickyId = createHash('sha256').update(`eproxy ${this.name}`).digest('base64url').slice(0, stickyIdLength)
    this.#address = address
    this.#environment = environment
    this.#keeper = keeper
  }

  get isHealthy(): boolean {
    return !this.#isEjected && this.#monitor?.isDown !== true
  }

  get isEjected(): boolean {
    return this.#isEjected
  }

  get hasLeft(): boolean {
    return this.index < 0
  }

  /** A client may stay with it. */
  get canStick(): boolean {
    return this.admin !== 'disabled' && this.isHealthy && !this.pool.isDown
  }

  get stats(): ServerStats {
    const state = this.#state()
    return {
      state,
      reason: state === 'up' ? '' : this.#reason,
      weight: this.weight,
      isBackup: this.isBackup,
      active: this.active,
      exchangesTotal: this.exchangesTotal,
      failuresTotal: this.failuresTotal,
      ejectionsTotal: this.ejectionsTotal,
      lastCheck: this.#monitor?.lastCheck,
    }
  }

  /** Takes what the group's options say of every server: what is known so far stays. Throws ProxyError ERR_EPROXY_OPTION. */
  configure({ weight, backup }: GroupServer, { health, outlier, stickyCookie, stickyAttributes }: ServerSettings): void {
    this.weight = weight
    this.isBackup = backup
    this.cookieLine = formatStickyCookie(stickyCookie, this.stickyId, stickyAttributes)
    if (health === undefined) this.#dropMonitor()
    else if (this.#monitor === undefined) {
      if (this.admin !== 'disabled') this.#monitor = this.#makeMonitor(health)
    } else this.#monitor.update(health)
    if (outlier === undefined) {
      this.#detector = undefined
      if (this.#isEjected) this.onDeadline()
    } else if (this.#detector === undefined) this.#detector = new OutlierDetector(outlier)
    else this.#detector.update(outlier)
  }

  onSuccess(): void {
    // While it is out only what was begun before ends well, or what is tried because all are down.
    if (!this.#isEjected) this.#detector?.onSuccess(this.#environment.wheel.clock.now())
  }

  /** Returns why it is to be ejected, '' when it is not. */
  onFailure(): string {
    this.failuresTotal++
    if (this.#detector === undefined || this.#isEjected) return ''
    return this.#detector.onFailure(this.#environment.wheel.clock.now())
  }

  eject(reason: string): void {
    if (this.#detector === undefined) return
    const ms = this.#detector.eject(this.#environment.wheel.clock.now())
    this.#environment.wheel.arm(this.#ejection, 'ejection', ms)
    this.#isEjected = true
    this.ejectionsTotal++
    this.#tell('ejected', `${reason}; out for ${ms} ms`)
  }

  setAdmin(state: AdminState, settings: ServerSettings): void {
    if (state === this.admin) return
    this.admin = state
    this.isDraining = state !== 'enabled'
    // Nobody looks at a server that is switched off on purpose.
    if (state === 'disabled') this.#dropMonitor()
    else if (this.#monitor === undefined && settings.health !== undefined) this.#monitor = this.#makeMonitor(settings.health)
    if (state === 'enabled') this.since = this.#environment.wheel.clock.now()
    this.#tell(state, 'by an operator')
  }

  /** It is not configured any more: it closes with its last exchange. */
  retire(): void {
    this.index = -1
    this.isDraining = true
    this.#stop()
    this.pool.close()
    this.#tell('draining', 'no longer in the group')
  }

  close(): void {
    this.#stop()
    this.pool.close()
  }

  destroy(): void {
    this.#stop()
    this.pool.destroy()
  }

  // DeadlineOwner

  /** The ejection is over. */
  onDeadline(): void {
    this.#environment.wheel.remove(this.#ejection)
    this.#isEjected = false
    this.since = this.#environment.wheel.clock.now()
    this.#tell('back', 'the ejection is over')
  }

  // PoolWatcher

  onRefused(reason: string): void {
    this.#isRefusing = true
    this.#settleDown(reason)
  }

  onConnected(): void {
    if (!this.#isRefusing) return
    this.#isRefusing = false
    this.#settleDown('it takes connections again')
  }

  #makeMonitor(health: NonNullable<ServerSettings['health']>): HealthMonitor {
    return new HealthMonitor(this.#address, health, this.#environment, ({ isGood, reason }) => {
      // What has just answered can be connected to.
      if (isGood) this.pool.forgetFailure()
      this.#settleDown(`health check: ${reason}`)
    })
  }

  /** Tells when it goes down, for whichever reason comes first, and when no reason is left. */
  #settleDown(reason: string): void {
    const isDown = this.#isRefusing || this.#monitor?.isDown === true
    if (isDown === this.#isDown) return this.#keeper.onReachabilityChange()
    this.#isDown = isDown
    if (!isDown) this.since = this.#environment.wheel.clock.now()
    this.#tell(isDown ? 'down' : 'up', reason)
  }

  #state(): ServerState {
    if (this.hasLeft) return 'draining'
    if (this.admin !== 'enabled') return this.admin
    if (this.#isEjected) return 'ejected'
    return this.#isDown ? 'down' : 'up'
  }

  #tell(change: ServerChange, reason: string): void {
    this.#reason = reason
    this.#keeper.onServerChange(this, change, reason)
  }

  /** What its checks have said is not known any more. */
  #dropMonitor(): void {
    if (this.#monitor === undefined) return
    this.#monitor.stop()
    this.#monitor = undefined
    this.#settleDown('it is not checked any more')
  }

  #stop(): void {
    this.#monitor?.stop()
    this.#monitor = undefined
    this.#isEjected = false
    this.#environment.wheel.remove(this.#ejection)
  }
}

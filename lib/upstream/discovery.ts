/**
 * Which servers a group has at this moment, as DNS tells: each address of a name as a server of its own, and the servers of an SRV record.
 * It asks again when an answer's time is over, and tells the list when it has changed. A name that has no address yet is a server itself: its
 * requests wait for its addresses as those of any upstream do. While DNS fails the last good answer stays, without limit: health is somebody
 * else's matter. It owns its timers; it connects to nothing and chooses nothing.
 */
import { isIP } from 'node:net'
import type { ProxyError } from '../core/errors.ts'
import { formatAddress, parseUpstreamAddress, type Address } from '../core/options.ts'
import type { ServerOptions } from '../core/service-options.ts'
import type { Clock } from '../core/timers.ts'
import type { ServiceVerdict, Verdict } from './resolver.ts'
import type { GroupServer } from './server.ts'

type TcpAddress = Address & { readonly kind: 'tcp' }

/** A resolver for who keeps its own times. */
export interface RenewingResolver {
  renew(host: string): Promise<Verdict>
  renewServices(name: string): Promise<ServiceVerdict>
}

export interface DiscoveryEnvironment {
  readonly clock: Clock
  readonly resolver: RenewingResolver
  /** How long a name that has no address any more is still taken for an error of DNS. */
  readonly absentMs: number
  /**
   * The complete list: once when `ready`, then whenever it is another one than before. The host is an IP address where each address counts,
   * else a name that is resolved for each connection.
   */
  onServers(servers: readonly GroupServer[]): void
  /** A name has no answer: told once, and again only after there was one. `kept`: servers that stay from the last good one. */
  onFailure(name: string, error: ProxyError, kept: number): void
  onFault(error: unknown): void
}

/** Servers that one name can stand for: an answer over TCP has room for thousands. */
export const serversOfNameMax = 256
/** However short a TTL is. After a failure the wait is doubled each time. */
const waitMsMin = 1_000
const waitMsMax = 30_000
const servicePrefix = 'srv:'

/** `srv:_service._proto.name` */
export function isService(address: string): boolean {
  return address.startsWith(servicePrefix)
}

/** Whether the servers of that list can change, or are known only later. */
export function needsDiscovery(servers: readonly ServerOptions[], resolveAll: boolean): boolean {
  return servers.some((server) => isService(server.address) || (resolveAll && isName(parseUpstreamAddress(server.address))))
}

export class Discovery {
  readonly #environment: DiscoveryEnvironment
  readonly #sources: readonly Source[]
  #servers: readonly GroupServer[] = []
  /** So much of the list as is compared. */
  #known = ''
  #isStarted = false
  #isClosed = false
  /** Every name has been asked for once, with or without success. Never rejects. */
  readonly ready: Promise<void>

  constructor(servers: readonly ServerOptions[], resolveAll: boolean, environment: DiscoveryEnvironment) {
    this.#environment = environment
    this.#sources = servers.map((server) => makeSource(server, resolveAll, environment, () => this.#onChange()))
    // What needs no answer is known at once.
    this.#gather()
    this.ready = Promise.all(this.#sources.map((source) => source.start())).then(() => {
      this.#isStarted = true
      this.#gather()
      this.#tell()
    })
  }

  get servers(): readonly GroupServer[] {
    return this.#servers
  }

  /** Nothing is asked or told any more. */
  close(): void {
    this.#isClosed = true
    for (const source of this.#sources) source.close()
  }

  #onChange(): void {
    // Half of the first answers would look like servers that are gone.
    if (this.#isStarted && this.#gather()) this.#tell()
  }

  #tell(): void {
    if (this.#isClosed) return
    try {
      this.#environment.onServers(this.#servers)
    } catch (error) {
      this.#environment.onFault(error)
    }
  }

  /** Returns whether the list is another one than before. */
  #gather(): boolean {
    const byName = new Map<string, GroupServer>()
    for (const source of this.#sources) {
      for (const server of source.servers) {
        const name = formatAddress(server.address)
        const known = byName.get(name)
        // Named twice, it is what its better entry says.
        if (known === undefined || (known.backup && !server.backup)) byName.set(name, server)
      }
    }
    const text = [...byName].map(([name, { weight, backup }]) => `${name} ${weight} ${backup}`).join('\n')
    if (text === this.#known) return false
    this.#known = text
    this.#servers = [...byName.values()]
    return true
  }
}

/** One entry of the configured list. */
abstract class Source {
  abstract readonly servers: readonly GroupServer[]
  /** Resolves after the first answer, whatever it was. Never rejects. */
  abstract start(): Promise<void>
  abstract close(): void
}

function makeSource(server: ServerOptions, resolveAll: boolean, environment: DiscoveryEnvironment, onChange: () => void): Source {
  const { address: text, weight, backup } = server
  if (isService(text)) return new ServiceSource(text.slice(servicePrefix.length), server, resolveAll, environment, onChange)
  const address = parseUpstreamAddress(text)
  if (resolveAll && isName(address)) return new NameSource(address, server, environment, onChange)
  return new FixedSource({ address, weight, backup })
}

class FixedSource extends Source {
  override readonly servers: readonly GroupServer[]

  constructor(server: GroupServer) {
    super()
    this.servers = [server]
  }

  override start(): Promise<void> {
    return Promise.resolve()
  }

  override close(): void {}
}

/** What is asked for again and again. */
abstract class RenewedSource extends Source {
  override servers: readonly GroupServer[]
  readonly #unknown: readonly GroupServer[]
  readonly #name: string
  readonly #onChange: () => void
  readonly #environment: DiscoveryEnvironment
  #cancel: (() => void) | undefined
  #isClosed = false
  #retryMs = waitMsMin
  #isFailing = false
  /** Since when the servers of DNS have said that there is no such name. */
  #absentSince: number | undefined

  /** `unknown`: what stands in while there is no answer. */
  constructor(name: string, unknown: readonly GroupServer[], environment: DiscoveryEnvironment, onChange: () => void) {
    super()
    this.servers = unknown
    this.#unknown = unknown
    this.#name = name
    this.#environment = environment
    this.#onChange = onChange
  }

  /** Asks, and finds out when to ask again. Never rejects. */
  protected abstract ask(): Promise<Finding>

  override start(): Promise<void> {
    return this.#renew()
  }

  override close(): void {
    this.#isClosed = true
    this.#cancel?.()
  }

  async #renew(): Promise<void> {
    const { clock } = this.#environment
    const finding = await this.ask()
    if (this.#isClosed) return
    clock.refresh()
    const nextMs = finding.kind === 'servers' ? this.#onServers(finding) : this.#onNone(finding)
    this.#cancel = clock.schedule(nextMs, () => {
      this.#renew().catch((error: unknown) => this.#environment.onFault(error))
    })
  }

  #onServers({ servers, ttlMs }: Found): number {
    this.#retryMs = waitMsMin
    this.#isFailing = false
    this.#absentSince = undefined
    this.servers = servers
    this.#onChange()
    return Math.max(waitMsMin, ttlMs)
  }

  #onNone({ kind, error }: NotFound): number {
    const now = this.#environment.clock.now()
    if (kind === 'failed') this.#absentSince = undefined
    else this.#absentSince ??= now
    const nextMs = this.#retryMs
    this.#retryMs = Math.min(waitMsMax, nextMs * 2)
    if (!this.#isFailing) {
      this.#isFailing = true
      this.#environment.onFailure(this.#name, error, this.servers === this.#unknown ? 0 : this.servers.length)
    }
    // A name service that has just been started may know of nothing for a moment.
    if (this.#absentSince !== undefined && now - this.#absentSince >= this.#environment.absentMs && this.servers !== this.#unknown) {
      this.servers = this.#unknown
      this.#environment.onFailure(this.#name, error, 0)
      this.#onChange()
    }
    return nextMs
  }
}

interface Found {
  readonly kind: 'servers'
  readonly servers: readonly GroupServer[]
  readonly ttlMs: number
}

interface NotFound {
  readonly kind: 'absent' | 'failed'
  readonly error: ProxyError
}

type Finding = Found | NotFound

/** `host:port`, where each address of the host is a server. */
class NameSource extends RenewedSource {
  readonly #address: TcpAddress
  readonly #server: ServerOptions
  readonly #resolver: RenewingResolver

  constructor(address: TcpAddress, server: ServerOptions, environment: DiscoveryEnvironment, onChange: () => void) {
    super(address.host, [{ address, weight: server.weight, backup: server.backup }], environment, onChange)
    this.#address = address
    this.#server = server
    this.#resolver = environment.resolver
  }

  protected override async ask(): Promise<Finding> {
    const verdict = await this.#resolver.renew(this.#address.host)
    if (verdict.kind !== 'addresses') return verdict
    const { weight, backup } = this.#server
    const servers = verdict.addresses.map(({ address: host }): GroupServer => ({
      address: { kind: 'tcp', host, port: this.#address.port },
      weight,
      backup,
    }))
    return { kind: 'servers', servers: bound(servers), ttlMs: verdict.ttlMs }
  }
}

interface Target extends GroupServer {
  readonly address: TcpAddress
}

/** The servers of an SRV record: those of the lowest priority, and the others as their backup. */
class ServiceSource extends RenewedSource {
  readonly #name: string
  readonly #server: ServerOptions
  readonly #resolveAll: boolean
  readonly #resolver: RenewingResolver
  /** The last good answer for each target whose addresses are asked for. */
  #addresses = new Map<string, readonly string[]>()

  constructor(name: string, server: ServerOptions, resolveAll: boolean, environment: DiscoveryEnvironment, onChange: () => void) {
    super(name, [], environment, onChange)
    this.#name = name
    this.#server = server
    this.#resolveAll = resolveAll
    this.#resolver = environment.resolver
  }

  protected override async ask(): Promise<Finding> {
    const verdict = await this.#resolver.renewServices(this.#name)
    if (verdict.kind !== 'services') return verdict
    const primary = verdict.services.reduce((lowest, { priority }) => Math.min(lowest, priority), Infinity)
    const targets = verdict.services.map(({ host, port, priority, weight }): Target => ({
      address: { kind: 'tcp', host, port },
      // RFC 2782: 0 stands for a very small share, or for none that matters when all have it.
      weight: this.#server.weight * Math.max(1, weight),
      backup: this.#server.backup || priority > primary,
    }))
    const bounded = bound(targets)
    return this.#resolveAll ? this.#resolveTargets(bounded, verdict.ttlMs) : { kind: 'servers', servers: bounded, ttlMs: verdict.ttlMs }
  }

  async #resolveTargets(targets: readonly Target[], serviceTtlMs: number): Promise<Finding> {
    const before = this.#addresses
    const after = new Map<string, readonly string[]>()
    let ttlMs = serviceTtlMs
    let failure: ProxyError | undefined
    await Promise.all(
      [...new Set(targets.map(({ address }) => address.host))].map(async (host) => {
        const verdict = await this.#resolver.renew(host)
        if (verdict.kind === 'addresses') {
          after.set(
            host,
            verdict.addresses.map(({ address }) => address),
          )
          ttlMs = Math.min(ttlMs, verdict.ttlMs)
          return
        }
        failure = verdict.error
        const known = before.get(host)
        if (known !== undefined && verdict.kind === 'failed') after.set(host, known)
      }),
    )
    if (after.size === 0 && failure !== undefined) return { kind: 'failed', error: failure }
    this.#addresses = after
    const servers = targets.flatMap((target) =>
      (after.get(target.address.host) ?? []).map((host): Target => ({ ...target, address: { ...target.address, host } })),
    )
    return { kind: 'servers', servers: bound(servers), ttlMs }
  }
}

function isName(address: Address): address is TcpAddress {
  return address.kind === 'tcp' && isIP(address.host) === 0
}

/** Servers in an order that does not depend on that of the answer, which turns from one to the next: it is a backup that is one too many. */
function bound<S extends GroupServer>(servers: readonly S[]): readonly S[] {
  const named = servers.map((server) => ({ server, name: formatAddress(server.address) }))
  named.sort((one, other) => Number(one.server.backup) - Number(other.server.backup) || (one.name < other.name ? -1 : 1))
  return named.slice(0, serversOfNameMax).map(({ server }) => server)
}

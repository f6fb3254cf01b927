/**
 * The groups of upstream servers that a proxy has: makes them, changes them when the configuration is read again, has DNS tell their servers
 * where that is wanted, and keeps those that are configured no more until the last exchange has left them. Which server an exchange
 * gets is decided in upstream/group.ts.
 */
import type { ParserLimits } from '../../native-free-parser/index.ts'
import type { ProxyConfig } from '../core/options.ts'
import { systemClock } from '../core/timers.ts'
import { parserLimits } from '../policy/policy.ts'
import type { RequestingClient } from '../upstream/connection.ts'
import { Discovery } from '../upstream/discovery.ts'
import type { UpstreamEnvironment } from '../upstream/environment.ts'
import { UpstreamGroup, type BalanceStats, type UpstreamStats } from '../upstream/group.ts'
import type { Resolver } from '../upstream/resolver.ts'
import type { AdminState } from '../upstream/server.ts'
import type { GroupPlan, GroupPlans } from './group-plan.ts'
import type { Reporter } from './reporter.ts'

/** What a group is given: its options change when the configuration is read again. */
export type GroupEnvironment = UpstreamEnvironment & { config: ProxyConfig; responseLimits: ParserLimits }

interface Member {
  readonly group: UpstreamGroup
  readonly environment: GroupEnvironment
  /** Where DNS tells the servers. */
  discovery: Discovery | undefined
  /** What is discovered, to see whether another configuration says the same. */
  discovered: string
}

export class UpstreamGroups {
  readonly #members = new Map<string, Member>()
  /** Groups that are not configured any more, and may have exchanges yet. */
  readonly #leaving = new Set<UpstreamGroup>()
  readonly #resolver: Resolver
  readonly #reporter: Reporter
  readonly #makeEnvironment: (config: ProxyConfig) => GroupEnvironment

  constructor(resolver: Resolver, reporter: Reporter, makeEnvironment: (config: ProxyConfig) => GroupEnvironment) {
    this.#resolver = resolver
    this.#reporter = reporter
    this.#makeEnvironment = makeEnvironment
  }

  /** By name, as they are at this moment. */
  get byName(): ReadonlyMap<string, UpstreamGroup> {
    return new Map([...this.#members].map(([name, { group }]) => [name, group]))
  }

  /** By the name of the server; where groups have names, by `group/server`. */
  get serverStats(): Readonly<Record<string, UpstreamStats>> {
    return Object.fromEntries([...this.#members].flatMap(([name, { group }]) => prefixNames(name, group.stats)))
  }

  /** By the name of the group. */
  get balanceStats(): Readonly<Record<string, BalanceStats>> {
    return Object.fromEntries([...this.#members].map(([name, { group }]) => [name, group.balanceStats]))
  }

  /** Resolves when DNS has answered for every group that waits for it, or has failed to. */
  async discovered(): Promise<void> {
    // All of them ask at once; here is waited for the slowest.
    for (const { discovery } of this.#members.values()) await discovery?.ready
  }

  /** Makes the groups of the configuration, or changes those that there are: what they know of their servers stays. */
  update(wanted: GroupPlans): void {
    for (const [name, plan] of wanted) {
      const { config, servers, balancing } = plan
      const present = this.#members.get(name)
      if (present === undefined) {
        const environment = this.#makeEnvironment(config)
        const member = {
          environment,
          group: new UpstreamGroup(servers, environment, name, balancing),
          discovery: undefined,
          discovered: '',
        }
        this.#members.set(name, member)
        this.#discover(name, member, plan)
        continue
      }
      present.environment.config = config
      present.environment.responseLimits = parserLimits(config.limits, 'response')
      // Until DNS has told which servers it is to be, a group goes on with those that it has.
      if (this.#discover(name, present, plan)) present.group.update(present.group.rows, balancing)
      else present.group.update(servers, balancing)
    }
    for (const group of this.#leaving) if (group.isEmpty) this.#leaving.delete(group)
    for (const [name, { group, discovery }] of this.#members) {
      if (wanted.has(name)) continue
      discovery?.close()
      this.#members.delete(name)
      // Exchanges that run in it may end in it.
      group.close()
      this.#leaving.add(group)
    }
  }

  /** False when there is no such server. */
  setServerState(group: string, server: string, state: AdminState): boolean {
    return this.#members.get(group)?.group.setServerState(server, state) ?? false
  }

  /** The client is gone: nobody else may use the connections that are reserved for it. */
  abandon(client: RequestingClient): void {
    for (const { group } of this.#members.values()) group.abandon(client)
    for (const group of this.#leaving) group.abandon(client)
  }

  /** Connections end with the exchange that is on. */
  close(): void {
    for (const { group } of this.#members.values()) group.close()
  }

  /** Ends everything at once. */
  destroy(): void {
    for (const { group, discovery } of this.#members.values()) {
      discovery?.close()
      group.destroy()
    }
    for (const group of this.#leaving) group.destroy()
  }

  /** Has DNS tell the servers of a group, where that is wanted; until it has, the group keeps those that it has. Returns whether it does. */
  #discover(name: string, member: Member, { config, discovered }: GroupPlan): boolean {
    const key = discovered === undefined ? '' : JSON.stringify(discovered)
    if (key === member.discovered) return key !== ''
    member.discovery?.close()
    member.discovery = undefined
    member.discovered = key
    if (discovered === undefined) return false
    const { servers, resolveAll } = discovered
    member.discovery = new Discovery(servers, resolveAll, {
      clock: systemClock,
      resolver: this.#resolver,
      absentMs: config.timeouts.dnsStale,
      onServers: (found) => {
        member.group.update(found)
        this.#reporter.onServersFound(name, found)
      },
      onFailure: (host, error, kept) => this.#reporter.onDiscoveryFailure(name, host, error, kept),
      onFault: (error) => this.#reporter.onFault(error),
    })
    return true
  }
}

function prefixNames<T>(group: string, servers: Readonly<Record<string, T>>): readonly (readonly [string, T])[] {
  return Object.entries(servers).map(([name, stats]) => [group === '' ? name : `${group}/${name}`, stats])
}

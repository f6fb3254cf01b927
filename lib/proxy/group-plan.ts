/** What the groups of a configuration are to be: checked and complete before any group is made or changed. */
import { mergeConfig, parseUpstreamAddress, type Address, type ProxyConfig } from '../core/options.ts'
import type { GroupOptions } from '../core/service-options.ts'
import { isService, needsDiscovery } from '../upstream/discovery.ts'
import { checkBalancing, plainBalancing, plainServers, type Balancing } from '../upstream/group.ts'
import type { GroupServer } from '../upstream/server.ts'

export interface GroupPlan {
  readonly config: ProxyConfig
  /** Those that are known at once. */
  readonly servers: readonly GroupServer[]
  readonly balancing: Balancing
  /** What DNS tells. */
  readonly discovered: Pick<GroupOptions, 'servers' | 'resolveAll'> | undefined
}

/** By name; '' is the name of the one that has none. */
export type GroupPlans = ReadonlyMap<string, GroupPlan>

/** Throws ProxyError ERR_EPROXY_OPTION. `addresses`: the servers of a configuration without named groups. */
export function planGroups(config: ProxyConfig, addresses: readonly Address[]): GroupPlans {
  if (config.service === undefined)
    return new Map([['', { config, servers: plainServers(addresses), balancing: plainBalancing, discovered: undefined }]])
  return new Map(Object.entries(config.service.groups).map(([name, options]) => [name, planGroup(mergeConfig(config, options), options)]))
}

function planGroup(config: ProxyConfig, options: GroupOptions): GroupPlan {
  checkBalancing(options)
  const { servers, resolveAll } = options
  return {
    config,
    servers: servers
      .filter(({ address }) => !isService(address))
      .map((server) => ({ ...server, address: parseUpstreamAddress(server.address) })),
    balancing: options,
    discovered: needsDiscovery(servers, resolveAll) ? { servers, resolveAll } : undefined,
  }
}

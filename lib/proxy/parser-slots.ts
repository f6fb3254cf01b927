/** How many parsers a configuration needs at most. They are set aside at the start and cannot become more. */
import type { ProxyConfig } from '../core/options.ts'
import { needsDiscovery } from '../upstream/discovery.ts'
import { copiesMax } from '../upstream/mirror.ts'

/** Parser slots for upstream connections beyond those of clients: spare and racing connects. */
const extraSlots = 1_024

export function countSlots({ limits, pool, service, upstreams }: ProxyConfig): number {
  if (service === undefined) return limits.connections + Math.max(1, upstreams.length) * pool.connections + extraSlots
  const groups = Object.values(service.groups)
  // Servers come and go when the configuration is read again.
  const servers = groups.reduce((sum, group) => sum + group.servers.length * (group.pool?.connections ?? pool.connections), 0)
  // However many DNS tells of: a response is read for a client, or for a copy of its request.
  const discovered = groups.some((group) => needsDiscovery(group.servers, group.resolveAll))
    ? limits.connections + groups.length * copiesMax
    : 0
  return limits.connections + 2 * servers + discovered + extraSlots
}

/** Without what `countSlots` has in reserve for servers that come when the configuration is read again: they are what it is for. */
export function leastSlots(config: ProxyConfig): number {
  const { limits, pool, service } = config
  if (service === undefined) return countSlots(config)
  const groups = Object.values(service.groups)
  const servers = groups.reduce((sum, group) => sum + group.servers.length * (group.pool?.connections ?? pool.connections), 0)
  const answers = limits.connections + groups.length * copiesMax
  const isDiscovered = groups.some((group) => needsDiscovery(group.servers, group.resolveAll))
  return limits.connections + (isDiscovered ? answers : Math.min(servers, answers))
}

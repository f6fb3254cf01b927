/** How many parsers a configuration needs at most. They are set aside at the start and cannot become more. */
import type { ProxyConfig } from '../core/options.ts'
import type { ServiceOptions } from '../core/service-options.ts'
import { needsDiscovery } from '../upstream/discovery.ts'
import { copiesMax } from '../upstream/mirror.ts'

/** Parser slots for upstream connections beyond those of clients: spare and racing connects. */
const extraSlots = 1_024

/** With a reserve for what comes when the configuration is read again. */
export function countSlots(config: ProxyConfig): number {
  const { limits, pool, service, upstreams } = config
  if (service === undefined) return limits.connections + Math.max(1, upstreams.length) * pool.connections + extraSlots
  // Servers come and go when the configuration is read again.
  return (
    limits.connections + 2 * countServerSlots(config, service) + (isDiscovered(service) ? countAnswers(config, service) : 0) + extraSlots
  )
}

/** Without what `countSlots` has in reserve for servers that come when the configuration is read again: they are what it is for. */
export function leastSlots(config: ProxyConfig): number {
  const { limits, service } = config
  if (service === undefined) return countSlots(config)
  const answers = countAnswers(config, service)
  return limits.connections + (isDiscovered(service) ? answers : Math.min(countServerSlots(config, service), answers))
}

/** Connections that the pools of all named servers may have. */
function countServerSlots({ pool }: ProxyConfig, { groups }: ServiceOptions): number {
  return Object.values(groups).reduce((sum, group) => sum + group.servers.length * (group.pool?.connections ?? pool.connections), 0)
}

/** However many servers DNS tells of: a response is read for a client, or for a copy of its request. */
function countAnswers({ limits }: ProxyConfig, { groups }: ServiceOptions): number {
  return limits.connections + Object.keys(groups).length * copiesMax
}

function isDiscovered({ groups }: ServiceOptions): boolean {
  return Object.values(groups).some((group) => needsDiscovery(group.servers, group.resolveAll))
}

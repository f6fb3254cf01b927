/** Whether requests may be sent here: what a load balancer or an orchestrator asks. Pure. */
import type { GroupStats, ProxyStats } from '../index.ts'
import { splitServerName } from './server-name.ts'

export type ServerStats = ProxyStats['upstreams'][string] & { readonly state?: string; readonly reason?: string }

/** Why it is not ready, in words; none when it is. */
export function judgeReadiness({ total, workers }: Pick<GroupStats, 'total' | 'workers'>, isDraining: boolean): readonly string[] {
  const reasons: string[] = []
  if (isDraining) reasons.push('draining')
  if (workers.length > 0 && workers.every(({ state }) => state !== 'ready')) reasons.push('no worker is ready')
  const groups = new Map<string, ServerStats[]>()
  for (const [name, server] of Object.entries(total.upstreams)) {
    const [group] = splitServerName(name)
    const servers = groups.get(group)
    if (servers === undefined) groups.set(group, [server])
    else servers.push(server)
  }
  if (groups.size === 0 && !isDraining) reasons.push('not listening yet')
  for (const [group, servers] of groups) if (!servers.some(isUsable)) reasons.push(`no server of group ${group} is usable`)
  return reasons
}

/** It gets new exchanges. */
export function isUsable(server: ServerStats): boolean {
  return server.state === undefined || server.state === 'up' || server.state === 'mixed'
}

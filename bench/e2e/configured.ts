/**
 * What it costs to have everything configured: eproxy as it comes, beside eproxy with a file of routes, edits of fields, rate limits, health
 * checks, outlier ejection, retries and an admin listener, and beside that with an access log, too; in the same rounds.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runWorkload, type WorkloadRuns } from './closed-loop.ts'
import { eproxyCommand, eproxyPeer, type Peer, type PeerContext } from './peers.ts'
import { runAtSameRate, type RateSample } from './open-loop.ts'
import type { Entry, PeerRun, Run } from './run.ts'
import type { Workload } from './workloads.ts'

/** Routes of other sites, which a request has to be told apart from. */
const otherRoutes = 20

const configuredPeer: Peer = {
  ...eproxyPeer('configured'),
  prepare: (context) => {
    const path = join(context.directory, `configured-${context.port}.yaml`)
    // JSON is YAML.
    writeFileSync(path, JSON.stringify(configurationOf(context), null, 2))
    return eproxyCommand(['--config', path, '--log-level', 'silent'])
  },
}

/** The first is what the others are compared with. */
export function configuredEntries(bare: Peer): readonly Entry[] {
  return [
    { name: bare.name, peer: bare, accessLog: false },
    { name: configuredPeer.name, peer: configuredPeer, accessLog: false },
    { name: `${configuredPeer.name}+log`, peer: configuredPeer, accessLog: true },
  ]
}

export interface ConfiguredRuns extends WorkloadRuns {
  /**
   * All at the rate that is 60 % of what the first can do. With as many requests as each can do, the slower of two pays for more than its own work: its
   * peers wait for it, and waking one that sleeps costs the waker.
   */
  readonly atSameRate: readonly PeerRun<RateSample>[]
}

export async function runConfigured(run: Run, workload: Workload, entries: readonly Entry[]): Promise<ConfiguredRuns> {
  const runs = await runWorkload(run, workload, entries)
  const atSameRate = await runAtSameRate(run, workload, entries, 'configured, same rate')
  return { ...runs, name: 'configured', doc: `${workload.doc}, with everything configured`, atSameRate }
}

function configurationOf({ port, upstreamPort, directory, accessLogPath }: PeerContext): object {
  const server = `127.0.0.1:${upstreamPort}`
  return {
    profile: 'edge',
    workers: 1,
    listeners: [{ address: `127.0.0.1:${port}`, connectionsPerClient: 20_000, rateLimits: ['clients'] }],
    upstreams: {
      app: { servers: [server], health: { path: '/', interval: '1s', timeout: '500ms' }, outlier: true, pool: { waiting: 16_384 } },
      other: [server],
    },
    routes: [
      ...Array.from({ length: otherRoutes }, (_, index) => ({
        name: `other-${index}`,
        match: { host: `site-${index}.example`, path: `/part-${index}/` },
        upstream: 'other',
      })),
      {
        name: 'bench',
        match: { host: 'bench.example', path: '/' },
        upstream: 'app',
        retry: { attempts: 1 },
        rateLimits: ['route'],
        requestHeaders: { set: { 'X-Site': 'bench' }, remove: ['X-Debug'] },
        responseHeaders: { set: { 'X-Served-By': 'eproxy' } },
      },
    ],
    rateLimits: {
      clients: { requests: 100_000_000, per: '1s', key: 'client' },
      route: { requests: 100_000_000, per: '1s', key: 'route' },
    },
    admin: `unix:${join(directory, `admin-${port}.sock`)}`,
    ...(accessLogPath !== null && { accessLog: accessLogPath }),
  }
}

/**
 * What the admin listener shows and steers: one proxy, or a group of workers. What only the program around it can do, such as to read its
 * configuration again, comes as `AdminControls`.
 */
import type { AdminState, GroupStats, Proxy, ProxyGroup } from '../index.ts'
import type { LiveEvent } from '../observe/live-event.ts'
import { LiveFeed } from '../workers/live-feed.ts'
import type { ReloadFigures } from './metric-table.ts'
import { namesOfLabel } from './server-name.ts'

export interface AdminSubject {
  /** How many processes serve. */
  readonly workers: number
  stats(): Promise<GroupStats>
  /** In every process. False when there is no such server. */
  setServerState(label: string, server: string, state: AdminState): Promise<boolean>
  /** Tells what happens until it is called with undefined. */
  watch(watcher: ((event: LiveEvent) => void) | undefined): void
}

/** A control that is not there is answered with 501. */
export interface AdminControls {
  /** Reads the configuration again. Rejects with an Error in words for people; then everything is as before. */
  readonly reload?: () => Promise<void>
  /** False when there is no such level. */
  readonly setLogLevel?: (level: string) => boolean
  /** Begins to end the proxy, as a signal does. */
  readonly drain?: () => void
  /** The effective configuration without secrets: it is shown. */
  readonly describeConfig?: () => Promise<string>
  readonly reloadFigures?: () => ReloadFigures
}

/** A proxy in this process. */
export function observeProxy(proxy: Proxy): AdminSubject {
  let watcher: ((event: LiveEvent) => void) | undefined
  const feed = new LiveFeed(proxy, 0, (event) => watcher?.(event))
  return {
    workers: 1,
    stats: () => Promise.resolve({ total: proxy.stats, workers: [], crashesTotal: 0, reloadsTotal: 0 }),
    setServerState: (label, server, state) =>
      Promise.resolve(namesOfLabel(label).some((name) => proxy.setServerState(name, server, state))),
    watch(next) {
      watcher = next
      if (next === undefined) feed.leave()
      else feed.follow()
    },
  }
}

/** Workers, by way of their primary. */
export function observeGroup(group: ProxyGroup): AdminSubject {
  let watcher: ((event: LiveEvent) => void) | undefined
  const tell = (text: string, worker: number, pid: number): void =>
    watcher?.({ at: Date.now(), kind: 'worker', worker, text, fields: { pid } })
  group.on('ready', (number, pid) => tell(`worker ${number} is ready`, number, pid))
  group.on('crash', (number, pid) => tell(`worker ${number} ended unexpectedly`, number, pid))
  return {
    get workers() {
      return group.workers
    },
    stats: () => group.stats(),
    async setServerState(label, server, state) {
      for (const name of namesOfLabel(label)) if (await group.setServerState(name, server, state)) return true
      return false
    },
    watch(next) {
      watcher = next
      group.watch(next)
    },
  }
}

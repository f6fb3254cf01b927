/** A proxy group whose workers are real processes, ended with the test. What it logs is kept. */
import type { TestContext } from 'node:test'
import { createProxyGroup, type GroupStats, type Logger, type ProxyGroup, type ProxyGroupOptions } from '../../lib/index.ts'
import { patiently, until } from './patience.ts'
import { RawClient } from './raw-client.ts'

export interface GroupStart extends ProxyGroupOptions {
  /** Default: a free port on 127.0.0.1. */
  readonly listen?: readonly string[]
}

export class GroupUnderTest {
  readonly group: ProxyGroup
  addresses: readonly string[] = []
  /** Messages of its log, those of workers included. */
  readonly log: string[] = []
  readonly #clients: RawClient[] = []

  static async start(t: TestContext, { listen = ['127.0.0.1:0'], ...options }: GroupStart = {}): Promise<GroupUnderTest> {
    const started = new GroupUnderTest(t, options)
    started.addresses = (
      await patiently(started.group.listen(...listen), () => `the group to start; log: ${started.log.join(', ')}`)
    ).addresses
    return started
  }

  /** Not listening yet. */
  constructor(t: TestContext, options: ProxyGroupOptions) {
    const note = (_fields: object, message: string): void => void this.log.push(message)
    const logger: Logger = { trace: note, debug: note, info: note, warn: note, error: note, fatal: note }
    this.group = createProxyGroup({ workers: 2, logger, ...options })
    t.after(async () => {
      for (const client of this.#clients) client.destroy()
      this.group.destroy()
      await this.group.ended.catch(() => {})
    })
  }

  get address(): string {
    return this.addresses[0]!
  }

  async client(): Promise<RawClient> {
    const client = await RawClient.connect(this.address)
    this.#clients.push(client)
    return client
  }

  /** Process ids of the workers that serve, in the order of their numbers. */
  async pids(): Promise<readonly number[]> {
    const { workers } = await this.group.stats()
    return workers.filter(({ state }) => state === 'ready').map(({ pid }) => pid)
  }

  /** Looks again until the figures are as wanted. */
  async statsWhen(condition: (stats: GroupStats) => boolean): Promise<GroupStats> {
    let stats = await this.group.stats()
    let isAsking = false
    await until(
      () => {
        if (condition(stats)) return true
        if (!isAsking) {
          isAsking = true
          void this.group.stats().then((next) => {
            stats = next
            isAsking = false
          })
        }
        return false
      },
      () => `figures; they are ${JSON.stringify(stats)}, log: ${this.log.join(', ')}`,
    )
    return stats
  }

  async logged(pattern: RegExp): Promise<void> {
    await until(
      () => this.log.some((line) => pattern.test(line)),
      () => `${pattern} in the log: ${this.log.join(', ')}`,
    )
  }

  /** A client for every worker: connects until each has one. */
  async clientsOfAll(): Promise<ReadonlyMap<number, RawClient>> {
    const found = new Map<number, RawClient>()
    const startedAt = performance.now()
    while (found.size < this.group.workers) {
      if (performance.now() - startedAt > 8_000) throw new Error(`only workers ${[...found.keys()].join(', ')} accept`)
      const before = await this.group.stats()
      const client = await this.client()
      const after = await this.statsWhen(({ total }) => total.connectionsTotal > before.total.connectionsTotal)
      for (const { pid, stats } of after.workers) {
        const known = before.workers.find((worker) => worker.pid === pid)?.stats?.connectionsTotal ?? 0
        if ((stats?.connectionsTotal ?? 0) > known && !found.has(pid)) found.set(pid, client)
      }
    }
    return found
  }
}

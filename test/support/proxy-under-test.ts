/**
 * A proxy inside the test's own process, on a free port, with its clients. When the test is over it is destroyed, and then nothing may
 * be left of it: no connection, no parser slot, no deadline, and no fault of its own that the test did not ask for.
 */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { createProxy, type CreateProxyOptions, type ExchangeSummary, type PoolStats, type Proxy } from '../../lib/index.ts'
import { until } from './patience.ts'
import { RawClient } from './raw-client.ts'
import { socketAccess } from './socket-access.ts'

export interface StartOptions extends CreateProxyOptions {
  /** Where to listen. Default: a free port on 127.0.0.1. */
  readonly listen?: string
}

export class ProxyUnderTest {
  readonly proxy: Proxy
  address = ''
  /** All exchanges, in the order in which they ended. */
  readonly summaries: ExchangeSummary[] = []
  /** What the proxy blames on itself. A test that provokes such faults empties this. */
  readonly faults: Error[] = []
  readonly #clients: RawClient[] = []
  #summariesTaken = 0

  /** Destroyed and looked over when the test is over. */
  static async start(t: TestContext, { listen = '127.0.0.1:0', ...options }: StartOptions): Promise<ProxyUnderTest> {
    const started = new ProxyUnderTest(createProxy({ ...socketAccess, ...options }))
    t.after(() => started.#finish())
    started.address = (await started.proxy.listen(listen)).address
    return started
  }

  private constructor(proxy: Proxy) {
    this.proxy = proxy
    proxy.on('exchange', (summary) => this.summaries.push(summary))
    proxy.on('error', (error) => this.faults.push(error))
  }

  async client(): Promise<RawClient> {
    const client = await RawClient.connect(this.address)
    this.#clients.push(client)
    return client
  }

  /** The next exchange that ends, or has ended and was not asked for yet. */
  async summary(): Promise<ExchangeSummary> {
    const index = this.#summariesTaken++
    await until(
      () => this.summaries.length > index,
      () => `exchange ${index} to end; stats: ${JSON.stringify(this.proxy.stats)}`,
    )
    return this.summaries[index]!
  }

  /** The connections of all upstream servers together. */
  get pool(): PoolStats {
    const sum = { idle: 0, busy: 0, connecting: 0, waiting: 0 }
    for (const stats of Object.values(this.proxy.stats.upstreams)) {
      sum.idle += stats.idle
      sum.busy += stats.busy
      sum.connecting += stats.connecting
      sum.waiting += stats.waiting
    }
    return sum
  }

  /** No client is connected and nothing goes on any more; idle upstream connections may be left. */
  async quiet(): Promise<void> {
    const isQuiet = (): boolean => {
      const { busy, connecting, waiting } = this.pool
      const { connections, parserSlots } = this.proxy.stats
      return connections + parserSlots + busy + connecting + waiting === 0
    }
    await until(isQuiet, () => `quiet; stats: ${JSON.stringify(this.proxy.stats)}`)
  }

  async #finish(): Promise<void> {
    this.proxy.destroy()
    for (const client of this.#clients) client.destroy()
    await this.quiet()
    assert.equal(this.proxy.stats.deadlines, 0, 'a deadline is left in the wheel')
    assert.equal(this.pool.idle, 0, 'an idle upstream connection is left')
    assert.deepEqual(this.faults, [], 'the proxy blames itself')
  }
}

/**
 * A proxy on a port of its own, for one test: keeps the summaries of its exchanges, and when it is given back checks that it leaves
 * nothing open. The upstream servers are the test's.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createProxy, desyncTable, type CreateProxyOptions, type DesyncKind, type ExchangeSummary, type Proxy } from '../../lib/index.ts'
import { socketAccess } from './socket-access.ts'

export class ProxyFront implements AsyncDisposable {
  readonly proxy: Proxy
  readonly port: number
  /** All exchanges that have ended. */
  readonly exchanges: ExchangeSummary[] = []
  /** Faults of the proxy itself. */
  readonly faults: Error[] = []

  private constructor(proxy: Proxy, port: number) {
    this.proxy = proxy
    this.port = port
    proxy.on('exchange', (summary) => this.exchanges.push(summary))
    proxy.on('error', (error) => this.faults.push(error))
  }

  static async start(options: CreateProxyOptions): Promise<ProxyFront> {
    const proxy = createProxy({ ...socketAccess, ...options })
    const { address } = await proxy.listen('127.0.0.1:0')
    return new ProxyFront(proxy, Number(address.slice(address.lastIndexOf(':') + 1)))
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** Resolves when so many exchanges have ended since the start. A client may have its whole response a moment before. */
  async ended(count: number): Promise<readonly ExchangeSummary[]> {
    while (this.exchanges.length < count) await once(this.proxy, 'exchange')
    return this.exchanges
  }

  /** Fails when the proxy did something wrong that no client has seen, or when something of it stays behind. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy.close({ graceMs: 0 })
    assert.deepEqual(this.faults, [])
    const { connections, parserSlots, deadlines, desync } = this.proxy.stats
    const proofs = Object.entries(desync).filter(([kind, count]) => count > 0 && desyncTable[kind as DesyncKind].isEvidence)
    assert.deepEqual(proofs, [], 'a connection to a server was out of step')
    assert.deepEqual({ connections, parserSlots, deadlines }, { connections: 0, parserSlots: 0, deadlines: 0 })
  }
}

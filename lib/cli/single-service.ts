/** The command as one process: the proxy and its access log are here. */
import type { AdminSubject } from '../admin/subject.ts'
import { createProxy, type Proxy } from '../index.ts'
import { CommandAccessLog } from './command-access-log.ts'
import { explainListenError } from './explain-system-error.ts'
import type { Settings } from './flags.ts'
import type { CommandLogger } from './logger.ts'
import type { Service } from './service.ts'

export class SingleService implements Service {
  readonly workers = 1
  /** What fails in this process is contained, or ends it. */
  readonly failed = new Promise<never>(() => {})
  readonly #settings: Settings
  readonly #logger: CommandLogger
  readonly #accessLog: CommandAccessLog
  readonly #proxy: Proxy

  constructor(settings: Settings, logger: CommandLogger) {
    this.#settings = settings
    this.#logger = logger
    this.#accessLog = new CommandAccessLog(settings.accessLog, 0, logger)
    this.#proxy = createProxy({ ...settings.options, logger })
    this.#accessLog.follow(this.#proxy)
  }

  async listen(): Promise<readonly string[]> {
    const addresses: string[] = []
    for (const wanted of this.#settings.listen) {
      try {
        const { address } = await this.#proxy.listen(wanted)
        addresses.push(address)
      } catch (error) {
        throw explainListenError(error, [wanted])
      }
    }
    return addresses
  }

  reload(): void {
    this.#logger.info({}, 'SIGHUP: there is nothing to reload; it replaces workers where there are two or more')
  }

  async observe(): Promise<AdminSubject> {
    const { observeProxy } = await import('../admin/subject.ts')
    return observeProxy(this.#proxy)
  }

  /** Its log is that of the command. */
  setLogLevel(): void {}

  reopen(): void {
    this.#accessLog.reopen()
  }

  async close(): Promise<object> {
    await this.#proxy.close()
    const { connectionsTotal, exchangesTotal, refusedTotal, faultsTotal } = this.#proxy.stats
    return { connectionsTotal, exchangesTotal, refusedTotal, faultsTotal }
  }

  destroy(): Promise<void> {
    this.#proxy.destroy()
    return Promise.resolve()
  }

  dispose(): Promise<void> {
    return this.#accessLog.close()
  }
}

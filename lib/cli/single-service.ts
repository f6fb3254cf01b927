/** The command as one process: the proxy and its access log are here. */
import type { AdminSubject } from '../admin/subject.ts'
import { createProxy, type Proxy } from '../index.ts'
import { CommandAccessLog } from './command-access-log.ts'
import { explainListenError } from './explain-system-error.ts'
import { findFixed } from './fixed-settings.ts'
import type { Settings } from './flags.ts'
import type { CommandLogger } from './logger.ts'
import type { Service } from './service.ts'

export class SingleService implements Service {
  readonly workers = 1
  /** What fails in this process is contained, or ends it. */
  readonly failed = new Promise<never>(() => {})
  #settings: Settings
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
    for (const wanted of this.#settings.listen) addresses.push(await this.#listenOn(wanted))
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

  async reconfigure(settings: Settings): Promise<readonly string[]> {
    const fixed = findFixed(this.#settings, settings, ['workers', 'supervision', 'logLevel', 'logFormat', 'accessLog', 'admin'])
    if (fixed !== '') throw new Error(fixed)
    const before = this.#settings
    // First, so that a new socket has its own rules from its first connection on.
    this.#proxy.reload(settings.options)
    const opened: string[] = []
    const addresses: string[] = []
    try {
      for (const address of settings.listen) {
        if (before.listen.includes(address)) continue
        addresses.push(await this.#listenOn(address))
        opened.push(address)
      }
    } catch (error) {
      for (const address of opened) this.#proxy.unlisten(address)
      this.#proxy.reload(before.options)
      throw error
    }
    for (const address of before.listen) if (!settings.listen.includes(address)) this.#proxy.unlisten(address)
    this.#settings = settings
    return addresses
  }

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

  async #listenOn(wanted: string): Promise<string> {
    try {
      const { address } = await this.#proxy.listen(wanted)
      return address
    } catch (error) {
      throw explainListenError(error, [wanted])
    }
  }
}

/** The command as one process: the proxy and its access log are here. */
import type { AdminSubject } from '../admin/subject.ts'
import { createProxy, type Proxy } from '../index.ts'
import { findColliding } from '../net/colliding.ts'
import { resolveWorkers } from '../workers/proxy-group.ts'
import { CommandAccessLog } from './command-access-log.ts'
import { explainListenError } from './explain-system-error.ts'
import type { Settings } from './flags.ts'
import type { CommandLogger } from './logger.ts'
import type { Reconfigured, Service } from './service.ts'

export class SingleService implements Service {
  readonly workers = 1
  /** What fails in this process is contained, or ends it. */
  readonly failed = new Promise<never>(() => {})
  #settings: Settings
  readonly #logger: CommandLogger
  readonly #accessLog: CommandAccessLog
  readonly #proxy: Proxy
  /** Addresses as they can be connected to, by what was asked for. */
  readonly #addresses = new Map<string, string>()

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

  async reconfigure(settings: Settings): Promise<Reconfigured> {
    const before = this.#settings
    const { config } = this.#proxy
    const { socketAccess } = config
    const kept = [
      ...(resolveWorkers(settings.workers) === 1 ? [] : ['workers']),
      ...((settings.options.socketAccess ?? socketAccess) === socketAccess ? [] : ['socketAccess']),
    ]
    const log = this.#accessLog.prepare(settings.accessLog)
    const left = before.listen.filter((address) => !settings.listen.includes(address))
    const opened: string[] = []
    const closed: string[] = []
    const addresses: string[] = []
    try {
      // First, so that a new socket has its own rules from its first connection on.
      this.#proxy.reload({ ...settings.options, socketAccess })
      for (const address of settings.listen) {
        if (before.listen.includes(address)) continue
        addresses.push(await this.#listenInstead(address, left, closed))
        opened.push(address)
      }
    } catch (error) {
      await log.abandon()
      for (const address of opened) this.#proxy.unlisten(address)
      if (this.#proxy.config !== config) this.#proxy.reload({ ...before.options, socketAccess })
      for (const address of closed) await this.#listenOn(address)
      throw error
    }
    for (const address of left) if (!closed.includes(address)) this.#proxy.unlisten(address)
    this.#settings = settings
    await log.commit()
    return { addresses, kept }
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
      return await this.#open(wanted)
    } catch (error) {
      throw explainListenError(error, [wanted])
    }
  }

  /** Of what is to be left, what is in the way is closed first, and noted. A connection there is refused for a moment, and only there. */
  async #listenInstead(wanted: string, left: readonly string[], closed: string[]): Promise<string> {
    try {
      return await this.#open(wanted)
    } catch (error) {
      const open = left.filter((address) => !closed.includes(address))
      const sockets = open.map((address) => ({ wanted: address, address: this.#addresses.get(address)! }))
      const colliding = findColliding(error, [wanted], sockets)
      if (colliding.length === 0) throw explainListenError(error, [wanted])
      for (const socket of colliding) {
        this.#proxy.unlisten(socket.wanted)
        closed.push(socket.wanted)
      }
      return this.#listenOn(wanted)
    }
  }

  async #open(wanted: string): Promise<string> {
    const { address } = await this.#proxy.listen(wanted)
    this.#addresses.set(wanted, address)
    return address
  }
}

/** The admin listener of the command: there is one, none, or another one than before, as the configuration says. Loaded only when it is wanted. */
import type { AdminListener } from '../admin/admin-listener.ts'
import type { AdminControls, AdminSubject } from '../admin/subject.ts'
import type { AdminOptions } from '../core/service-options.ts'
import type { CommandLogger } from './logger.ts'
import type { Service } from './service.ts'
import { readVersion } from './version.ts'

/** Other settings that can be taken: what had to be opened is open. One of the two is to be called. */
interface CommandAdminChange {
  commit(): void
  /** All stays as it was. */
  abandon(): Promise<void>
}

export class CommandAdmin {
  readonly #service: Service
  readonly #controls: AdminControls
  readonly #logger: CommandLogger
  /** One for all listeners: a service has one watcher at a time. */
  #subject: AdminSubject | undefined
  #listener: AdminListener | undefined
  /** Those that were turned off may have something to answer still. */
  readonly #left = new Set<AdminListener>()
  #isDraining = false

  constructor(service: Service, controls: AdminControls, logger: CommandLogger) {
    this.#service = service
    this.#controls = controls
    this.#logger = logger
  }

  /** Undefined for none. Rejects with an Error in words for people when it cannot be had; then nothing has changed. */
  async prepare(settings: AdminOptions | undefined): Promise<CommandAdminChange> {
    const before = this.#listener
    if (settings === undefined) return { commit: () => this.#turnOff(), abandon: () => Promise.resolve() }
    const { token } = settings
    if (before !== undefined) {
      const change = await before.prepare(settings)
      return {
        commit: () => {
          change.commit()
          if (change.address !== undefined) this.#announce(change.address, token)
        },
        abandon: () => change.abandon(),
      }
    }
    const { AdminListener } = await import('../admin/admin-listener.ts')
    this.#subject ??= await this.#service.observe()
    const next = new AdminListener({
      ...settings,
      subject: this.#subject,
      controls: this.#controls,
      logger: this.#logger,
      version: readVersion(),
    })
    const { address } = await next.listen()
    return {
      commit: () => {
        this.#listener = next
        if (this.#isDraining) next.beginDrain()
        this.#announce(address, token)
      },
      abandon: () => next.close(),
    }
  }

  /** The proxy finishes what runs: it is not ready any more. */
  beginDrain(): void {
    this.#isDraining = true
    this.#listener?.beginDrain()
  }

  async close(): Promise<void> {
    const listeners = [...this.#left, ...(this.#listener === undefined ? [] : [this.#listener])]
    await Promise.all(listeners.map((listener) => listener.close()))
  }

  #turnOff(): void {
    const listener = this.#listener
    if (listener === undefined) return
    this.#listener = undefined
    this.#left.add(listener)
    void listener.leave().then(() => this.#left.delete(listener))
    this.#logger.info({}, 'there is no admin listener any more')
  }

  #announce(address: string, token: string): void {
    this.#logger.info({ address, changes: token === '' ? 'none without a token' : 'with the token' }, `admin listener on ${address}`)
  }
}

/**
 * The settings that the running command has, and the one way to others: the service, the admin listener and the log take them together, or
 * none of them does.
 */
import type { CommandAdmin } from './command-admin.ts'
import type { Configured } from './configured.ts'
import type { Settings } from './flags.ts'
import type { CommandLogger } from './logger.ts'
import type { Reconfigured, Service } from './service.ts'

export class SettingsInForce {
  readonly #atStart: Settings
  #configured: Configured
  readonly #service: Service
  readonly #logger: CommandLogger

  constructor(configured: Configured, service: Service, logger: CommandLogger) {
    this.#atStart = configured.settings
    this.#configured = configured
    this.#service = service
    this.#logger = logger
  }

  get settings(): Settings {
    return this.#configured.settings
  }

  /** As a file would have them, without secrets. */
  describe(): Promise<string> {
    return this.#configured.describe()
  }

  /** Rejects with an Error in words for people when they cannot be taken; then all is as before. */
  async take(configured: Configured, admin: CommandAdmin): Promise<Reconfigured> {
    const next = configured.settings
    const change = await admin.prepare(next.admin)
    let done: Reconfigured
    try {
      done = await this.#service.reconfigure(next)
    } catch (error) {
      await change.abandon()
      throw error
    }
    change.commit()
    // What an operator has set meanwhile holds until the file says something else than before.
    if (next.logLevel !== this.settings.logLevel) {
      this.#logger.setLevel(next.logLevel)
      this.#service.setLogLevel(next.logLevel)
    }
    this.#configured = configured
    const { addresses, kept } = done
    return { addresses, kept: next.logFormat === this.#atStart.logFormat ? kept : [...kept, 'log.format'] }
  }
}

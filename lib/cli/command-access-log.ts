/** The access log of one process of the command: opened, reopened and closed with words for people. */
import type { AccessLogSettings } from '../core/service-options.ts'
import { AccessLog } from '../observe/access-log.ts'
import type { Proxy } from '../proxy.ts'
import { explainSystemError } from './explain-system-error.ts'
import type { CommandLogger } from './logger.ts'

export class CommandAccessLog {
  readonly #log: AccessLog | undefined
  readonly #logger: CommandLogger

  /** Undefined for none. `worker` stands in every line, 0 in none. Throws an Error in words for people. */
  constructor(settings: AccessLogSettings | undefined, worker: number, logger: CommandLogger) {
    this.#logger = logger
    this.#log = settings === undefined ? undefined : this.#open(settings, worker)
  }

  /** Writes a line for each exchange. */
  follow(proxy: Proxy): void {
    proxy.logTo(this.#log)
  }

  reopen(): void {
    const logger = this.#logger
    void this.#log
      ?.reopen()
      .then((isNew) =>
        isNew ? logger.info({}, 'access log reopened') : logger.warn({}, 'access log: cannot be reopened, the old file stays in use'),
      )
  }

  async close(): Promise<void> {
    await this.#log?.close()
    const dropped = this.#log?.dropped ?? 0
    if (dropped > 0) this.#logger.warn({ dropped }, 'lines of the access log were dropped')
  }

  #open(settings: AccessLogSettings, worker: number): AccessLog {
    const { destination } = settings
    try {
      const log: AccessLog = new AccessLog({
        ...settings,
        worker,
        onError: (error) => this.#logger.error({ error, destination, dropped: log.dropped }, 'access log: lines may be lost'),
      })
      return log
    } catch (error) {
      throw new Error(`cannot open the access log ${destination}: ${explainSystemError(error)}`, { cause: error })
    }
  }
}

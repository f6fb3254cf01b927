/**
 * The access log of one process of the command: opened, changed, reopened and closed with words for people. What logs wrote before a change
 * is written out, and they are closed, while the new one takes lines already.
 */
import { isDeepStrictEqual } from 'node:util'
import type { AccessLogSettings } from '../core/service-options.ts'
import { AccessLog } from '../observe/access-log.ts'
import type { Proxy } from '../proxy.ts'
import { explainSystemError } from './explain-system-error.ts'
import type { CommandLogger } from './logger.ts'

/** Other settings that can be taken: what had to be opened is open. One of the two is to be called. */
export interface AccessLogChange {
  /** Resolves when what was logged before is written, and its file closed. */
  commit(): Promise<void>
  /** All stays as it was. */
  abandon(): Promise<void>
}

export class CommandAccessLog {
  readonly #worker: number
  readonly #logger: CommandLogger
  #settings: AccessLogSettings | undefined
  #log: AccessLog | undefined
  #proxy: Proxy | undefined
  /** Logs that were left, until they are closed. */
  readonly #leaving = new Set<Promise<void>>()
  #isClosed = false

  /** Undefined for none. `worker` stands in every line, 0 in none. Throws an Error in words for people. */
  constructor(settings: AccessLogSettings | undefined, worker: number, logger: CommandLogger) {
    this.#worker = worker
    this.#logger = logger
    this.#settings = settings
    this.#log = settings === undefined ? undefined : this.#open(settings)
  }

  /** Writes a line for each exchange. Once. */
  follow(proxy: Proxy): void {
    this.#proxy = proxy
    proxy.logTo(this.#log)
  }

  /** Throws an Error in words for people when these settings cannot be taken; then nothing has changed. */
  prepare(settings: AccessLogSettings | undefined): AccessLogChange {
    const before = this.#settings
    const log = this.#log
    if (isDeepStrictEqual(settings, before)) return { commit: () => Promise.resolve(), abandon: () => Promise.resolve() }
    // Two that write to one pipe would tear each other's lines.
    const staysOpen = settings !== undefined && log !== undefined && settings.destination === before?.destination
    const next = staysOpen ? log : settings === undefined ? undefined : this.#open(settings)
    return {
      commit: async () => {
        if (this.#isClosed) return staysOpen ? undefined : next?.close()
        if (staysOpen) log.reformat(settings)
        this.#log = next
        this.#settings = settings
        this.#proxy?.logTo(next)
        if (!staysOpen && log !== undefined) await this.#leave(log)
      },
      abandon: async () => {
        if (!staysOpen) await next?.close()
      },
    }
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
    this.#isClosed = true
    if (this.#log !== undefined) void this.#leave(this.#log)
    await Promise.all(this.#leaving)
  }

  #leave(log: AccessLog): Promise<void> {
    const left = log.close().then(() => {
      this.#leaving.delete(left)
      const { dropped } = log
      if (dropped > 0) this.#logger.warn({ dropped }, 'lines of the access log were dropped')
    })
    this.#leaving.add(left)
    return left
  }

  #open(settings: AccessLogSettings): AccessLog {
    const { destination } = settings
    try {
      const log: AccessLog = new AccessLog({
        ...settings,
        worker: this.#worker,
        onError: (error) => this.#logger.error({ error, destination, dropped: log.dropped }, 'access log: lines may be lost'),
      })
      return log
    } catch (error) {
      throw new Error(`cannot open the access log ${destination}: ${explainSystemError(error)}`, { cause: error })
    }
  }
}

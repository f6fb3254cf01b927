/**
 * Another configuration for the running service, when it is asked for (SIGHUP) or when the file has changed. One reload at a time; what
 * comes meanwhile is looked at afterwards. A file that is wrong changes nothing.
 */
import { FileWatch } from '../config/file-watch.ts'
import { readText } from '../config/load.ts'
import { readConfigured } from './configured.ts'
import type { ConfigRequest } from './flags.ts'
import type { CommandLogger } from './logger.ts'
import type { Service } from './service.ts'

export interface ReloadStats {
  readonly reloadsTotal: number
  readonly failuresTotal: number
  /** The configuration that runs is the one in the file, as far as is known. */
  readonly isLastGood: boolean
}

export class Reloader implements Disposable {
  readonly #request: ConfigRequest & { readonly path: string }
  readonly #service: Service
  readonly #logger: CommandLogger
  readonly #watch: FileWatch
  /** What was read last, good or not: the same is not read again for nothing. */
  #text: string | undefined
  #running: Promise<void> | undefined
  #next: Promise<void> | undefined
  #reloadsTotal = 0
  #failuresTotal = 0
  #isLastGood = true

  /** `text` is what the running configuration was made of. */
  constructor(request: ConfigRequest & { readonly path: string }, text: string, service: Service, logger: CommandLogger) {
    this.#request = request
    this.#service = service
    this.#logger = logger
    this.#text = text
    this.#watch = new FileWatch(request.path, {
      onChange: () => this.#onChange(),
      onError: (error) => logger.error({ err: error }, `${request.path} is not watched any more; SIGHUP reads it again`),
    })
    // It may have changed before it was watched.
    this.#onChange()
  }

  get stats(): ReloadStats {
    return { reloadsTotal: this.#reloadsTotal, failuresTotal: this.#failuresTotal, isLastGood: this.#isLastGood }
  }

  /** Resolves when the new configuration holds. Rejects with an Error in words for people when it does not; the old one holds then. */
  reload(reason: string): Promise<void> {
    if (this.#running === undefined) {
      // Not at the end of #reload, which may be over before the promise is known.
      this.#running = this.#reload(reason).finally(() => (this.#running = undefined))
      return this.#running
    }
    // Whatever is read from now on is as new as all that was asked for.
    this.#next ??= this.#running
      .catch(() => {})
      .then(() => {
        this.#next = undefined
        return this.reload(reason)
      })
    return this.#next
  }

  /** For those who cannot be told: it is in the log. */
  reloadQuietly(reason: string): void {
    this.reload(reason).catch(() => {})
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]()
  }

  #onChange(): void {
    const text = readQuietly(this.#request.path)
    // Between two links there may be no file for a moment; it will come, and be told.
    if (text === undefined || text === this.#text) return
    this.reloadQuietly('the file has changed')
  }

  async #reload(reason: string): Promise<void> {
    const { path } = this.#request
    try {
      this.#text = readQuietly(path)
      const { settings, warnings, text } = readConfigured(this.#request)
      this.#text = text
      const added = await this.#service.reconfigure(settings)
      for (const address of added) this.#logger.info({ address }, `listening on ${address}`)
      for (const warning of warnings) this.#logger.warn({}, warning)
      this.#reloadsTotal++
      this.#isLastGood = true
      this.#logger.info({ reason, config: path }, 'configuration reloaded')
    } catch (error) {
      this.#failuresTotal++
      this.#isLastGood = false
      const { message } = error as Error
      this.#logger.error({ reason, config: path }, `the configuration was not reloaded and stays as it was: ${message}`)
      throw error
    }
  }
}

function readQuietly(path: string): string | undefined {
  try {
    return readText(path)
  } catch {
    return undefined
  }
}

/**
 * Another configuration for the running service, when it is asked for (SIGHUP) or when the file has changed. One reload at a time; what
 * comes meanwhile is looked at afterwards. A file that is wrong changes nothing.
 */
import { FileWatch } from '../config/file-watch.ts'
import { readText } from '../config/load.ts'
import { readConfigured, type Configured } from './configured.ts'
import type { ConfigRequest } from './flags.ts'
import type { CommandLogger } from './logger.ts'
import type { Reconfigured } from './service.ts'

export interface ReloadStats {
  readonly reloadsTotal: number
  readonly failuresTotal: number
  /** The configuration that runs is the one in the file, as far as is known. */
  readonly isLastGood: boolean
}

export interface ReloaderOptions {
  readonly request: ConfigRequest & { readonly path: string }
  /** What the running configuration was made of. */
  readonly text: string
  /** Rejects with an Error in words for people when the settings cannot be taken; then all is as before. */
  readonly take: (configured: Configured) => Promise<Reconfigured>
  readonly logger: CommandLogger
}

export class Reloader implements Disposable {
  readonly #request: ConfigRequest & { readonly path: string }
  readonly #take: (configured: Configured) => Promise<Reconfigured>
  readonly #logger: CommandLogger
  #watch: FileWatch | undefined
  #isDisposed = false
  /** What was read last, good or not: the same is not read again for nothing. */
  #text: string | undefined
  #running: Promise<void> | undefined
  #next: Promise<void> | undefined
  #reloadsTotal = 0
  #failuresTotal = 0
  #isLastGood = true

  constructor({ request, text, take, logger }: ReloaderOptions) {
    this.#request = request
    this.#take = take
    this.#logger = logger
    this.#text = text
  }

  /** From now on changes of the file are seen. Once. */
  watch(): void {
    const { path } = this.#request
    this.#watch = new FileWatch(path, {
      onChange: () => this.#onChange(),
      onError: (error) => this.#logger.error({ err: error }, `${path} is not watched any more; SIGHUP reads it again`),
    })
    // It may have changed before it was watched.
    this.#onChange()
  }

  get stats(): ReloadStats {
    return { reloadsTotal: this.#reloadsTotal, failuresTotal: this.#failuresTotal, isLastGood: this.#isLastGood }
  }

  /** Resolves when the new configuration holds. Rejects with an Error in words for people when it does not; the old one holds then. */
  reload(reason: string): Promise<void> {
    if (this.#isDisposed) return Promise.reject(new Error('it is stopping'))
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

  /** It stops: there is no other configuration any more, and one that is not taken for that is nobody's mistake. */
  [Symbol.dispose](): void {
    this.#isDisposed = true
    this.#watch?.[Symbol.dispose]()
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
      const configured = readConfigured(this.#request)
      const { warnings, text } = configured
      this.#text = text
      const { addresses, kept } = await this.#take(configured)
      for (const address of addresses) this.#logger.info({ address }, `listening on ${address}`)
      for (const warning of warnings) this.#logger.warn({}, warning)
      this.#reloadsTotal++
      this.#isLastGood = true
      if (kept.length === 0) this.#logger.info({ reason, config: path }, 'configuration reloaded')
      else this.#logger.warn({ reason, config: path, kept }, `configuration reloaded, but for what takes a restart: ${kept.join(', ')}`)
    } catch (error) {
      if (this.#isDisposed) throw error
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

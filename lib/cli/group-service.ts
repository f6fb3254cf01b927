/**
 * The command as several processes: this one is the primary, each worker runs worker.ts. Workers write the log and the access log
 * themselves; only where the access log is a pipe, and lines of several writers would tear each other, it comes through here.
 */
import fs from 'node:fs'
import type { AdminSubject } from '../admin/subject.ts'
import { LineWriter } from '../observe/line-writer.ts'
import type { LogLevel } from '../observe/logger.ts'
import { createProxyGroup, type ProxyGroup } from '../workers/proxy-group.ts'
import { explainListenError, explainSystemError } from './explain-system-error.ts'
import { findFixed } from './fixed-settings.ts'
import type { Settings } from './flags.ts'
import type { CommandLogger } from './logger.ts'
import type { Service } from './service.ts'
import type { WorkerPayload } from './worker.ts'

export class GroupService implements Service {
  readonly workers: number
  readonly failed: Promise<never>
  #settings: Settings
  readonly #logger: CommandLogger
  readonly #group: ProxyGroup
  /** The access log, where workers cannot share it. */
  readonly #output: LineWriter | undefined

  constructor(settings: Settings, workers: number, logger: CommandLogger) {
    const { accessLog, options, supervision } = settings
    this.workers = workers
    this.#settings = settings
    this.#logger = logger
    this.#output = accessLog !== undefined && isPipe(accessLog.destination) ? this.#openOutput(accessLog.destination) : undefined
    const payload = this.#makePayload(settings)
    const output = this.#output
    this.#group = createProxyGroup({
      ...options,
      workers,
      supervision,
      logger,
      module: new URL('./worker.js', import.meta.url),
      payload,
      ...(output !== undefined && { onLine: (line: string) => output.write(line) }),
    })
    this.failed = this.#group.ended.then(() => new Promise<never>(() => {}))
    this.failed.catch(() => {})
  }

  async listen(): Promise<readonly string[]> {
    try {
      const { addresses } = await this.#group.listen(...this.#settings.listen)
      return addresses
    } catch (error) {
      throw explainListenError(error, this.#settings.listen)
    }
  }

  reload(): void {
    this.#logger.info({}, `SIGHUP: replacing ${this.workers} workers, one after the other`)
    this.#group.reload().then(
      () => this.#logger.info({}, 'reloaded: every worker is a new one'),
      (error: unknown) => this.#logger.error({}, `reload failed, workers that were not replaced go on: ${(error as Error).message}`),
    )
  }

  async observe(): Promise<AdminSubject> {
    const { observeGroup } = await import('../admin/subject.ts')
    return observeGroup(this.#group)
  }

  setLogLevel(level: LogLevel): void {
    this.#group.setLogLevel(level)
  }

  async reconfigure(settings: Settings): Promise<readonly string[]> {
    // The primary has its own log, and the pipe that lines of workers may come through.
    const fixed = findFixed(this.#settings, settings, ['workers', 'supervision', 'logLevel', 'logFormat', 'accessLog', 'admin'])
    if (fixed !== '') throw new Error(fixed)
    try {
      const added = await this.#group.reconfigure({ ...settings.options, payload: this.#makePayload(settings) }, settings.listen)
      this.#settings = settings
      return added
    } catch (error) {
      throw explainListenError(error, settings.listen)
    }
  }

  reopen(): void {
    this.#group.reopen()
    void this.#output?.reopen()
  }

  async close(): Promise<object> {
    await this.#group.close()
    const { total, crashesTotal } = await this.#group.stats()
    const { connectionsTotal, exchangesTotal, refusedTotal, faultsTotal } = total
    return { connectionsTotal, exchangesTotal, refusedTotal, faultsTotal, crashesTotal }
  }

  async destroy(): Promise<void> {
    this.#group.destroy()
    await this.#group.ended.catch(() => {})
  }

  async dispose(): Promise<void> {
    await this.#output?.close()
  }

  #makePayload({ logLevel, logFormat, accessLog }: Settings): WorkerPayload {
    // What comes through here goes to standard output over there.
    return {
      logLevel,
      logFormat,
      accessLog: accessLog === undefined || this.#output === undefined ? accessLog : { ...accessLog, destination: '-' },
    }
  }

  #openOutput(destination: string): LineWriter {
    try {
      const output: LineWriter = new LineWriter({
        destination: destination === '-' ? 1 : destination,
        onError: (error) => this.#logger.error({ error, destination, dropped: output.dropped }, 'access log: lines may be lost'),
      })
      return output
    } catch (error) {
      throw new Error(`cannot open the access log ${destination}: ${explainSystemError(error)}`, { cause: error })
    }
  }
}

/** Or a socket. A file is appended to, and a terminal takes each write as a whole. */
function isPipe(path: string): boolean {
  const status = path === '-' ? fs.fstatSync(1) : fs.statSync(path, { throwIfNoEntry: false })
  return status !== undefined && (status.isFIFO() || status.isSocket())
}

/**
 * The command as several processes: this one is the primary, each worker runs worker.ts. Workers write the log and the access log
 * themselves; only where the access log is a pipe, and lines of several writers would tear each other, it comes through here. A worker has the
 * pipe to here from its start, or never; one that has it may write to a file all the same.
 */
import fs from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { AdminSubject } from '../admin/subject.ts'
import type { AccessLogSettings } from '../core/service-options.ts'
import { LineWriter } from '../observe/line-writer.ts'
import type { LogFormat, LogLevel } from '../observe/logger.ts'
import { createProxyGroup, type ProxyGroup } from '../workers/proxy-group.ts'
import { explainListenError, explainSystemError } from './explain-system-error.ts'
import type { Settings } from './flags.ts'
import type { CommandLogger } from './logger.ts'
import type { Reconfigured, Service } from './service.ts'
import type { WorkerPayload } from './worker.ts'

export class GroupService implements Service {
  readonly failed: Promise<never>
  #settings: Settings
  readonly #logger: CommandLogger
  readonly #group: ProxyGroup
  /** The access log, where workers cannot share it. */
  #output: LineWriter | undefined
  /** Outputs that were left, until they are closed. */
  readonly #leaving = new Set<Promise<void>>()
  /** Workers that start from now on have a pipe to here. */
  #isPiped: boolean
  readonly #onLine = (line: string): void => this.#output?.write(line)

  constructor(settings: Settings, workers: number, logger: CommandLogger) {
    const { accessLog, options, supervision } = settings
    this.#settings = settings
    this.#logger = logger
    this.#isPiped = needsPipe(accessLog, false)
    this.#output = this.#isPiped ? this.#openOutput(accessLog!.destination) : undefined
    this.#group = createProxyGroup({
      ...options,
      workers,
      supervision,
      logger,
      module: new URL('./worker.js', import.meta.url),
      payload: makePayload(settings, settings.logFormat, this.#isPiped),
      ...(this.#isPiped && { onLine: this.#onLine }),
    })
    this.failed = this.#group.ended.then(() => new Promise<never>(() => {}))
    this.failed.catch(() => {})
  }

  get workers(): number {
    return this.#group.workers
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

  async reconfigure(settings: Settings): Promise<Reconfigured> {
    const { accessLog, options, supervision, workers, listen } = settings
    const wasPiped = this.#isPiped
    const before = this.#output
    const isPiped = needsPipe(accessLog, wasPiped)
    // What one process cannot open is not asked of all.
    const next = isPiped ? this.#outputFor(accessLog!.destination) : undefined
    if (!isPiped) this.#assertOpens(accessLog)
    if (next !== undefined) this.#output = next
    this.#isPiped ||= isPiped
    try {
      const addresses = await this.#group.reconfigure(
        {
          ...options,
          workers,
          supervision,
          payload: makePayload(settings, this.#settings.logFormat, isPiped),
          ...(this.#isPiped && { onLine: this.#onLine }),
        },
        listen,
      )
      this.#settings = settings
      if (before !== undefined && before !== next) {
        // What workers wrote before they said that they have changed is in their pipes, and read within this turn of the loop or the next one.
        for (let turn = 0; turn < 2; turn += 1) await setImmediate()
        this.#output = next
        await this.#leave(before)
      }
      return { addresses, kept: [] }
    } catch (error) {
      this.#isPiped = wasPiped
      this.#output = before
      if (next !== undefined && next !== before) await this.#leave(next)
      throw explainListenError(error, listen)
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
    await Promise.all(this.#leaving)
  }

  /** The one in use, when it goes to the same place. */
  #outputFor(destination: string): LineWriter {
    if (this.#output !== undefined && this.#settings.accessLog?.destination === destination) return this.#output
    return this.#openOutput(destination)
  }

  /** Resolves when what it has is written and it is closed. */
  #leave(output: LineWriter): Promise<void> {
    const left = output.close().then(() => void this.#leaving.delete(left))
    this.#leaving.add(left)
    return left
  }

  #assertOpens(accessLog: AccessLogSettings | undefined): void {
    if (accessLog === undefined || accessLog.destination === '-' || isDeepStrictEqual(accessLog, this.#settings.accessLog)) return
    void this.#openOutput(accessLog.destination).close()
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

/** What comes through the primary goes to standard output over there. The format of the log is that of the start. */
function makePayload({ logLevel, accessLog }: Settings, logFormat: LogFormat, isPiped: boolean): WorkerPayload {
  return { logLevel, logFormat, accessLog: isPiped && accessLog !== undefined ? { ...accessLog, destination: '-' } : accessLog, isPiped }
}

/** Where workers have a pipe instead of our standard output, all that goes there comes through here. */
function needsPipe(accessLog: AccessLogSettings | undefined, isPiped: boolean): boolean {
  return accessLog !== undefined && ((isPiped && accessLog.destination === '-') || isPipe(accessLog.destination))
}

/** Or a socket. A file is appended to, and a terminal takes each write as a whole. */
function isPipe(path: string): boolean {
  const status = path === '-' ? fs.fstatSync(1) : fs.statSync(path, { throwIfNoEntry: false })
  return status !== undefined && (status.isFIFO() || status.isSocket())
}

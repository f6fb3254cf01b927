/** What the command runs: one proxy in this process, or a group of workers. */
import type { AdminSubject } from '../admin/subject.ts'
import type { LogLevel } from '../observe/logger.ts'
import type { Settings } from './flags.ts'

export interface Reconfigured {
  /** Addresses that are new, as they can be connected to. */
  readonly addresses: readonly string[]
  /** What keeps its value until the process is another one. */
  readonly kept: readonly string[]
}

export interface Service {
  readonly workers: number
  /** Never resolves; rejects when the service has ended by itself. */
  readonly failed: Promise<never>
  /** Resolves with the addresses as they can be connected to. Throws an Error in words for people. */
  listen(): Promise<readonly string[]>
  /** SIGHUP without a configuration file. What comes of it is in the log. */
  reload(): void
  /** For the admin listener. */
  observe(): Promise<AdminSubject>
  /** Of the processes that serve; this one has a log of its own. */
  setLogLevel(level: LogLevel): void
  /**
   * Takes other settings, for exchanges that begin from now on. Rejects with an Error in words for people when they cannot be taken; then all is
   * as before.
   */
  reconfigure(settings: Settings): Promise<Reconfigured>
  /** SIGUSR2: goes on in a new access log. */
  reopen(): void
  /** Lets running exchanges finish. Resolves with what there is to say about the time that is over. */
  close(): Promise<object>
  /** Cuts running exchanges. */
  destroy(): Promise<void>
  /** Writes what is left of the access log. */
  dispose(): Promise<void>
}

/**
 * What a primary and its workers say to each other, over the channel that node opens between a process and its child. Both ends are of
 * one version and one owner, so nothing is checked here.
 */
import type { ProxyOptions } from '../core/options.ts'
import type { LiveEvent } from '../observe/live-event.ts'
import type { Logger } from '../observe/logger.ts'
import type { ProxyStats } from '../proxy/stats.ts'
import type { AdminState } from '../upstream/server.ts'

export type ToWorker =
  /** The first message, once. */
  | { readonly kind: 'start'; readonly start: WorkerStart }
  /** Accept no more, let exchanges finish. A second one shortens the first. */
  | { readonly kind: 'drain'; readonly graceMs: number; readonly idleMs: number }
  /** End now. */
  | { readonly kind: 'destroy' }
  /** The access log was moved away. */
  | { readonly kind: 'reopen' }
  | ({ readonly kind: 'reload'; readonly question: number } & WorkerChange)
  | { readonly kind: 'stats'; readonly question: number }
  /** What an operator wants of an upstream server. */
  | { readonly kind: 'server'; readonly question: number; readonly order: ServerOrder }
  /** Somebody watches what happens, or nobody does any more. */
  | { readonly kind: 'watch'; readonly isWatched: boolean }
  | { readonly kind: 'log-level'; readonly level: string }
  /** Client connections of the other workers, on average. */
  | { readonly kind: 'level'; readonly connections: number }

export type FromWorker =
  /** It accepts connections. */
  | { readonly kind: 'ready' }
  /** It cannot start, and ends. */
  | { readonly kind: 'failed'; readonly message: string }
  /** Its event loop goes round. The counters are kept for when it ends without a word. */
  | { readonly kind: 'beat'; readonly stats: ProxyStats }
  | { readonly kind: 'stats'; readonly question: number; readonly stats: ProxyStats }
  | { readonly kind: 'server'; readonly question: number; readonly isKnown: boolean }
  /** Something has happened; only while it is watched. */
  | { readonly kind: 'event'; readonly event: LiveEvent }
  /** The answer to `reload`: undefined, or why the options need another process. */
  | { readonly kind: 'reloaded'; readonly question: number; readonly refusal: string | undefined }
  /** How many client connections it has. */
  | { readonly kind: 'count'; readonly connections: number }
  /** It was asked to end by somebody else, and wants to be replaced first. */
  | { readonly kind: 'retire' }
  /** Its last words: counters that do not change any more. */
  | { readonly kind: 'farewell'; readonly stats: ProxyStats }
  | { readonly kind: 'log'; readonly level: keyof Logger; readonly fields: object; readonly message: string }

export interface ServerOrder {
  /** '' for a proxy without named groups. */
  readonly group: string
  readonly server: string
  readonly state: AdminState
}

/** What a worker is told while it serves. */
export interface WorkerChange {
  /** For exchanges that begin from now on. */
  readonly options: ProxyOptions
  readonly payload: unknown
  /** Addresses that are not listened on any more, as they were given. */
  readonly closed: readonly string[]
}

export interface WorkerStart {
  /** Of its place in the group, from 1; a replacement has the number of the one before it. */
  readonly number: number
  readonly options: ProxyOptions
  readonly sockets: readonly InheritedSocket[]
  /** For the module that the worker runs; the group does not look into it. */
  readonly payload: unknown
}

export interface InheritedSocket {
  /** As the user wrote it. */
  readonly address: string
  readonly fd: number
}

/** How often a worker says that it lives. */
export const beatMs = 1_000

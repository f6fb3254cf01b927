/** What the process under test is told and tells. */
import type { ProxyStats } from '../../lib/index.ts'
import type { Door, Doors } from './crowd-messages.ts'
import type { Faults } from './fault-list.ts'

/** How the process under test stands, by its own account. */
export interface Standing {
  readonly proxies: Readonly<Record<Door, ProxyStats>>
  /** By how they ended: 'well' or the error code. */
  readonly exchanges: Readonly<Record<string, number>>
  /** Refused messages, by rule. */
  readonly rules: Readonly<Record<string, number>>
  /** Lines of the log, by level and message. */
  readonly logLines: Readonly<Record<string, number>>
  /** Lines of level error and above. */
  readonly errorLines: Faults
  readonly uncaught: Faults
  /** The most client connections that the narrow door had at once. */
  readonly narrowPeak: number
  readonly heapBytes: number
  /** Memory outside the heap that belongs to objects in it: buffers, WebAssembly. */
  readonly externalBytes: number
  readonly residentBytes: number
  /** How late the event loop was since this was last asked for with `isSettled`, p99. */
  readonly loopDelayMs: number
}

export type SubjectOrders = {
  readonly open: {
    readonly details: { readonly goodUpstreams: readonly string[]; readonly roughUpstreams: readonly string[] }
    readonly reply: Doors
  }
  /** Puts a defect into the engine. */
  readonly plant: { readonly details: { readonly defect: string }; readonly reply: void }
  /** `settled`: after the garbage has been collected. */
  readonly standing: { readonly details: { readonly isSettled: boolean }; readonly reply: Standing }
  /** Closes all proxies. Then the process has nothing left to do, and ends. */
  readonly close: { readonly details: null; readonly reply: void }
}

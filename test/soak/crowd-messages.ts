/** What the crowd is told and tells. */
import type { Faults } from './fault-list.ts'

/** The proxies of the run: the one of the good clients, the one in front of rough origins, and one with few places. */
export type Door = 'front' | 'rough' | 'narrow'

export interface Doors extends Readonly<Record<Door, number>> {
  /** limits.connections behind the narrow door. */
  readonly narrowConnections: number
}

export interface RaidTally {
  readonly runs: number
  /** How connections ended: a status, or what happened instead of one. */
  readonly endings: Readonly<Record<string, number>>
}

export interface CrowdTally {
  readonly raids: Readonly<Record<string, RaidTally>>
  readonly misdeeds: Readonly<Record<string, number>>
  readonly faults: Faults
}

export type CrowdOrders = {
  /** Rough origins begin to listen: their addresses, one of which refuses. */
  readonly open: { readonly details: { readonly seed: number }; readonly reply: readonly string[] }
  readonly raid: { readonly details: { readonly doors: Doors; readonly clients: number; readonly seed: number }; readonly reply: void }
  readonly tally: { readonly details: null; readonly reply: CrowdTally }
  /** Every raider leaves. Origins stay. */
  readonly stop: { readonly details: null; readonly reply: CrowdTally }
  readonly close: { readonly details: null; readonly reply: void }
}

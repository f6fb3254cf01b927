/** What the processes of those who misbehave are told and tell. */
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

export interface RaidsTally {
  readonly raids: Readonly<Record<string, RaidTally>>
  readonly faults: Faults
}

export interface MisdeedsTally {
  readonly misdeeds: Readonly<Record<string, number>>
  readonly faults: Faults
}

export type RaidOrders = {
  readonly raid: { readonly details: { readonly doors: Doors; readonly clients: number; readonly seed: number }; readonly reply: void }
  /** Every raider leaves. */
  readonly stop: { readonly details: null; readonly reply: RaidsTally }
  readonly close: { readonly details: null; readonly reply: void }
}

export type OriginOrders = {
  /** Rough origins begin to listen: their addresses, one of which refuses. */
  readonly open: { readonly details: { readonly seed: number }; readonly reply: readonly string[] }
  readonly tally: { readonly details: null; readonly reply: MisdeedsTally }
  readonly close: { readonly details: null; readonly reply: void }
}

/**
 * Which servers of a group may be chosen at all, from what is known of each: the rules for backups, for servers that are down, and for the moment
 * when nearly all of them seem to be. Pure: a byte of marks for each server comes in, a byte for each goes out.
 */

/** What is known of a server, as bits. */
export const ServerMark = {
  /** Nobody has taken it out: it is enabled and its weight is not 0. */
  ADMITTED: 1,
  /** Used when no other can be. */
  BACKUP: 2,
  /** Neither its checks nor its exchanges speak against it. */
  HEALTHY: 4,
  /** It did not refuse a connection a moment ago. */
  REACHABLE: 8,
  /** It was tried for this request already. */
  TRIED: 16,
} as const

/** How the choice came about: what an operator wants to know first. */
export type Selection =
  | 'usable'
  /** None but backups can be used. */
  | 'backup'
  /** So many seem to be down that health is not looked at: the checks are more likely to be wrong than all the servers. */
  | 'panic'
  /** All refused connections a moment ago; one may be back, and there is nothing to lose. */
  | 'last-resort'
  | 'none'

const { ADMITTED, BACKUP, HEALTHY, REACHABLE, TRIED } = ServerMark
const usable = ADMITTED | HEALTHY | REACHABLE
const all = 0xff

/**
 * Writes 1 for each server that may be chosen and 0 for the others. `panicShare`: with fewer than this share of the admitted servers healthy all
 * that can be reached are selected, from 0 (never) to 1. What was tried counts, and is not selected.
 */
export function selectUsable(marks: Uint8Array, panicShare: number, selected: Uint8Array): Selection {
  let primaries = 0
  let healthyPrimaries = 0
  let usablePrimaries = 0
  let isBackupUsable = false
  for (let i = 0; i < marks.length; i++) {
    const mark = marks[i]! & ~TRIED
    if (mark === (usable | BACKUP)) isBackupUsable = true
    if ((mark & (ADMITTED | BACKUP)) !== ADMITTED) continue
    primaries++
    if ((mark & HEALTHY) !== 0) healthyPrimaries++
    if (mark === usable) usablePrimaries++
  }
  // Checks may be wrong about many; a connection that was refused was refused.
  const isShort = healthyPrimaries < panicShare * primaries
  if (isShort && (usablePrimaries > 0 || !isBackupUsable) && select(marks, ADMITTED | BACKUP | REACHABLE, ADMITTED | REACHABLE, selected))
    return 'panic'
  if (select(marks, all, usable, selected)) return 'usable'
  if (select(marks, all, usable | BACKUP, selected)) return 'backup'
  if (panicShare > 0 && select(marks, ADMITTED | REACHABLE, ADMITTED | REACHABLE, selected)) return 'panic'
  if (select(marks, ADMITTED | HEALTHY | BACKUP, ADMITTED | HEALTHY, selected)) return 'last-resort'
  if (select(marks, ADMITTED | HEALTHY, ADMITTED | HEALTHY, selected)) return 'last-resort'
  return panicShare > 0 && select(marks, ADMITTED, ADMITTED, selected) ? 'panic' : 'none'
}

/** Selects the servers whose marks under `mask` are `wanted`. Returns whether there is one. */
function select(marks: Uint8Array, mask: number, wanted: number, selected: Uint8Array): boolean {
  let isAny = false
  for (let i = 0; i < marks.length; i++) {
    const matches = (marks[i]! & (mask | TRIED)) === wanted
    selected[i] = matches ? 1 : 0
    if (matches) isAny = true
  }
  return isAny
}

/** The part of its weight that a server gets `elapsedMs` after it joined or came back: from a tenth up to all. */
export function slowStartShare(elapsedMs: number, slowStartMs: number): number {
  if (elapsedMs >= slowStartMs) return 1
  return Math.max(slowStartShareMin, elapsedMs / slowStartMs)
}

/** With nothing at all it would never get warm. */
const slowStartShareMin = 0.1

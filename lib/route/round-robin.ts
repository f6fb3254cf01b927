/** Which server of a group comes next. Pure: what is known of the servers comes in, an index goes out. */

export interface Candidate {
  /** It refused a connection a moment ago. */
  readonly isDown: boolean
  /** It was tried for this request already. */
  readonly isTried: boolean
}

/**
 * The index of the first candidate from `next` on that is neither down nor tried; when all that are left are down, the first of those:
 * a server that was down may be back, and there is nothing to lose. -1 when all were tried.
 */
export function pickRoundRobin(candidates: readonly Candidate[], next: number): number {
  let last = -1
  for (let i = 0; i < candidates.length; i++) {
    const index = (next + i) % candidates.length
    const candidate = candidates[index]!
    if (candidate.isTried) continue
    if (!candidate.isDown) return index
    if (last < 0) last = index
  }
  return last
}

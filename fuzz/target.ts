/** What a fuzz target is. A target knows its subject and what must hold of it; where the bytes come from is not its business. */
import type { SeededRandom } from '../test/support/seeded-random.ts'

export interface FuzzTarget {
  readonly name: string
  /** What `run` holds the subject to, one sentence each. */
  readonly invariants: readonly string[]
  /** Throws when an invariant is broken. The same bytes and the same chance give the same result; nothing outlives the call. */
  run(data: Uint8Array, random: SeededRandom): void
}

/** The same target with a subject that was broken on purpose: the proof that the target can find something. */
export interface Canary {
  /** What is wrong with the subject. */
  readonly bug: string
  readonly target: FuzzTarget
}

/** An invariant does not hold. */
export class Violation extends Error {
  override readonly name = 'Violation'
}

export function expect(condition: boolean, message: () => string): asserts condition {
  if (!condition) throw new Violation(message())
}

/** Both as JSON, with the first difference marked. */
export function expectSame(actual: unknown, wanted: unknown, what: string): void {
  const left = JSON.stringify(actual) ?? 'undefined'
  const right = JSON.stringify(wanted) ?? 'undefined'
  if (left === right) return
  let at = 0
  while (at < left.length && left[at] === right[at]) at++
  const from = Math.max(0, at - 60)
  throw new Violation(`${what}\n  is     …${left.slice(from, at + 120)}\n  wanted …${right.slice(from, at + 120)}`)
}

/** What came of a case, in the form that every report is made from, and the loop in which cases run side by side. */
import type { ConformanceCase } from './case-format.ts'
import type { Fault } from './judge.ts'

export interface CaseResult {
  readonly id: string
  readonly group: string
  readonly section: string
  readonly title: string
  readonly passed: boolean
  /** Handled safely: only the status of the refusal, or the close after it, is another one. */
  readonly isMild: boolean
  /** Sentences that say what was wrong. */
  readonly faults: readonly string[]
  readonly isClosed: boolean
  /** Whole bytes of both ends, latin-1; reports cut them. */
  readonly received: string
  /** Messages that reached the origin, the unfinished ones too; null where nobody could look. */
  readonly upstream: readonly string[] | null
  readonly marker: string
  readonly elapsedMs: number
}

/** A case that was not run, and why. */
export interface LeftOut {
  readonly id: string
  readonly group: string
  readonly why: string
}

export interface Progress {
  readonly done: number
  readonly total: number
  readonly failed: number
  readonly id: string
  /** What failed, and its neighbours, are run again. */
  readonly isRepetition: boolean
}

export function resultOf(
  one: ConformanceCase,
  faults: readonly Fault[],
): Pick<CaseResult, 'id' | 'group' | 'section' | 'title' | 'passed' | 'isMild' | 'faults'> {
  return {
    id: one.id,
    group: one.group,
    section: one.section,
    title: one.title,
    passed: faults.length === 0,
    isMild: faults.length > 0 && faults.every((fault) => fault.isMild),
    faults: faults.map((fault) => fault.text),
  }
}

export async function inParallel(indexes: readonly number[], concurrency: number, run: (index: number) => Promise<void>): Promise<void> {
  const left = indexes.values()
  const work = async (): Promise<void> => {
    for (const index of left) await run(index)
  }
  await Promise.all(Array.from({ length: Math.min(concurrency, indexes.length) }, work))
}

/** Which cases a run is about: patterns from people against groups and ids. */
import type { ConformanceCase } from './case-format.ts'

export interface Selection {
  readonly cases: readonly ConformanceCase[]
  /** Patterns that no case fits. */
  readonly unmatched: readonly string[]
}

/**
 * A pattern is the name of a group, a glob (`*` and `?`) for an id or a group, or else a part of an id. No pattern: all cases.
 */
export function selectCases(all: readonly ConformanceCase[], patterns: readonly string[]): Selection {
  if (patterns.length === 0) return { cases: all, unmatched: [] }
  const groups = new Set(all.map(({ group }) => group))
  const tests = patterns.map((pattern) => ({ pattern, fits: toTest(pattern, groups) }))
  return {
    cases: all.filter((one) => tests.some(({ fits }) => fits(one))),
    unmatched: tests.filter(({ fits }) => !all.some(fits)).map(({ pattern }) => pattern),
  }
}

function toTest(pattern: string, groups: ReadonlySet<string>): (one: ConformanceCase) => boolean {
  if (groups.has(pattern)) return ({ group }) => group === pattern
  if (!/[*?]/.test(pattern)) return ({ id }) => id.includes(pattern)
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
  const glob = new RegExp(`^${source}$`)
  return ({ id, group }) => glob.test(id) || glob.test(group)
}

/** "Did you mean": the known name that a mistyped one is nearest to. */

/** Undefined when none is near enough to be worth a guess. */
export function suggest(typed: string, names: readonly string[]): string | undefined {
  // A forgotten prefix (--request-head for --timeout-request-head) is far by distance, but clear.
  const endings = names.filter((name) => name.endsWith(`-${typed}`))
  if (endings.length === 1) return endings[0]
  let nearest: string | undefined
  let least = Math.max(2, Math.floor(typed.length / 4)) + 1
  for (const name of names) {
    if (Math.abs(name.length - typed.length) >= least) continue
    const distance = editDistance(typed, name)
    // What has less than half in common was not meant.
    if (distance < least && distance <= Math.max(name.length, typed.length) / 2) {
      least = distance
      nearest = name
    }
  }
  return nearest
}

/** Insertions, deletions, substitutions, and swaps of neighbours that make one text of the other (optimal string alignment). */
export function editDistance(a: string, b: string): number {
  let beforePrevious: number[] = []
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row]
    for (let column = 1; column <= b.length; column += 1) {
      const same = a[row - 1] === b[column - 1]
      let cost = Math.min(at(current, column - 1) + 1, at(previous, column) + 1, at(previous, column - 1) + (same ? 0 : 1))
      const isSwap = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      if (isSwap) cost = Math.min(cost, at(beforePrevious, column - 2) + 1)
      current.push(cost)
    }
    beforePrevious = previous
    previous = current
  }
  return at(previous, b.length)
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? Infinity
}

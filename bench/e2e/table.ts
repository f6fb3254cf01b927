/**
 * An aligned table for a terminal: the first column (or as many as told) to the left, the others to the right. Widths are those of the text, which is plain ASCII
 * but for the dash of a range.
 */
export function renderTable(rows: readonly (readonly string[])[], leftColumns = 1): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows
    .map((row) =>
      row
        .map((cell, column) => (column < leftColumns ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
        .join('   ')
        .trimEnd(),
    )
    .join('\n')
}

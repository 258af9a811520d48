/** Lays out rows in columns: the first to the left, the others to the right. */
export function table(rows: string[][]): string {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)))
  return rows
    .map((row) =>
      row
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** A number with about three digits; `-` where there is none. */
export function digits(value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return '-'
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2)
}

export function times(value: number | undefined): string {
  return value === undefined || !Number.isFinite(value) ? '-' : `${digits(value)}x`
}

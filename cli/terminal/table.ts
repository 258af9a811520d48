import { fit, printable, type Styles, widthOf } from './style.ts'

export interface Column {
  title: string
  /** Numbers stand at the right. */
  align?: 'left' | 'right'
}

const GAP = 2

/** The fewest columns of the terminal that a column of a table is cut to. */
const LEAST = 6

/**
 * Draws a table, a line each row. Where the terminal is too narrow, the widest columns are cut.
 * @param columns width of the terminal; undefined: as wide as the table is
 */
export function drawTable(
  heads: Column[],
  rows: string[][],
  { bold }: Pick<Styles, 'bold'>,
  columns?: number,
): string {
  const cells = [heads.map(({ title }) => title), ...rows].map((row) => row.map(oneLine))
  const widths = heads.map((_, i) => Math.max(...cells.map((row) => widthOf(row[i] ?? ''))))
  if (columns !== undefined) shrink(widths, columns - GAP * (heads.length - 1))
  const lines = cells.map((row) =>
    heads
      .map(({ align }, i) => {
        const text = fit(row[i] ?? '', widths[i]!)
        const blank = ' '.repeat(Math.max(0, widths[i]! - widthOf(text)))
        return align === 'right' ? blank + text : text + blank
      })
      .join(' '.repeat(GAP))
      .trimEnd(),
  )
  return [bold(lines[0]!), ...lines.slice(1)].map((line) => `${line}\n`).join('')
}

/** Takes columns off the widest ones until they fit. */
function shrink(widths: number[], columns: number): void {
  let over = widths.reduce((sum, one) => sum + one, 0) - columns
  while (over > 0) {
    const widest = Math.max(...widths)
    if (widest <= LEAST) return
    widths[widths.indexOf(widest)] = widest - 1
    over--
  }
}

function oneLine(text: string): string {
  return printable(text).replaceAll('\n', '⏎').replaceAll('\t', ' ')
}

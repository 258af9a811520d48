import { elementsOf, type Json, membersOf } from '../../lib/json/json.ts'
import { scanNow } from '../../lib/json/scan.ts'
import { jsonOf, stringOf } from '../../lib/json/text.ts'
import type { Io } from '../io.ts'
import { showTable } from '../terminal/show.ts'
import { styles } from '../terminal/style.ts'
import { count, duration } from '../terminal/words.ts'

/** What stands for NULL. */
const NULL = '∅'

/**
 * Shows the rows of a call as a table, and how many there are. Values stay as they came: JSON.parse
 * would lose digits.
 */
export function showRows(answer: string, io: Io): void {
  const body = scanNow(Buffer.from(answer))
  const members = new Map(membersOf(body).map(({ key, value }) => [stringOf(key), value]))
  const rows = elementsOf(members.get('rows')!).map(
    (row) => new Map(membersOf(row).map(({ key, value }) => [stringOf(key), value])),
  )
  const names = [...new Set(rows.flatMap((row) => [...row.keys()]))]
  const heads = names.map((title) => ({
    title,
    align: rows.every((row) => isNumber(row.get(title))) ? ('right' as const) : ('left' as const),
  }))
  const cells = rows.map((row) => names.map((name) => shown(row.get(name))))
  if (rows.length > 0) showTable(io, heads, cells, '')
  const ms = Number(jsonOf(members.get('execution_time_ms')!))
  io.out(`${styles(io.hasColor).dim(`${count(rows.length, 'row')} (${duration(ms)})`)}\n`)
}

function isNumber(value: Json | undefined): boolean {
  return value === undefined || value.kind === 'number' || value.kind === 'null'
}

function shown(value: Json | undefined): string {
  if (!value || value.kind === 'null') return NULL
  return value.kind === 'string' ? stringOf(value) : jsonOf(value)
}

import type postgres from 'postgres'
import { expect } from 'vitest'
import type { Json } from '../../helpers/gateway.ts'
import type { Book } from './book.ts'

/** Rows of one token, compared with what its client was told. */
export interface Miscount {
  database: string
  token: string
  rows: number
  least: number
  most: number
}

/** Counts what every call has written, and the runs of those that count them. */
export async function countWrites(
  book: Book,
  database: string,
  sql: postgres.Sql,
): Promise<Miscount[]> {
  const miscounts: Miscount[] = []
  const rows = await sql<{ token: string; rows: number }[]>`
    select token, count(*)::int as rows from writes group by token
  `
  const counted = new Map(rows.map((row) => [row.token, row.rows]))
  const owed = book.owed.get(database) ?? new Map()
  for (const [token, { least, most }] of owed) {
    const rows = counted.get(token) ?? 0
    if (rows < least || rows > most) miscounts.push({ database, token, rows, least, most })
    counted.delete(token)
  }
  for (const [token, rows] of counted) {
    miscounts.push({ database, token, rows, least: 0, most: 0 })
  }
  const [row] = await sql<[{ runs: number }]>`
    select case when is_called then last_value else 0 end::int as runs from runs
  `
  const runs = book.runs.get(database) ?? { least: 0, most: 0 }
  if (row.runs < runs.least || row.runs > runs.most) {
    miscounts.push({ database, token: 'runs of those that count them', rows: row.runs, ...runs })
  }
  return miscounts
}

/** What is told of a storm. */
export function report(book: Book, seconds: number): string {
  const counts = [...book.counts].sort(([, a], [, b]) => b - a)
  const wrong = [...book.wrong].sort(([, a], [, b]) => b.count - a.count)
  const line = (count: number, what: string) => `  ${String(count).padStart(8)}  ${what}`
  return [
    `${book.calls} calls in ${Math.round(seconds)} s; the longest took ${Math.round(book.longestMs)} ms`,
    ...counts.map(([what, count]) => line(count, what)),
    `${book.wrongs} wrong`,
    ...wrong.map(([what, { count }]) => line(count, what)),
  ].join('\n')
}

/** Fails where an answer was wrong, a write is lost or there twice, or the gateway has met a bug. */
export function expectRight(book: Book, miscounts: Miscount[], bugs: Json[]): void {
  const wrong = [...book.wrong].map(([what, { count, first }]) => `${count} ${what} ${first}`)
  const some = { wrong, miscounts: miscounts.slice(0, 20), bugs: bugs.slice(0, 5) }
  expect(some, `${book.wrongs} wrong answers, ${miscounts.length} miscounts`).toEqual({
    wrong: [],
    miscounts: [],
    bugs: [],
  })
}

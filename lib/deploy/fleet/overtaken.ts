import { someOf } from '../../common/shown.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { DatabaseResult } from './results.ts'
import type { Site } from './sites.ts'
import type { Target } from './targets.ts'

/** Names that the warning shows. */
const SHOWN = 5

/**
 * Warns of databases that another request, which went through them at the same time, has brought to another
 * archive since: each database has what came to it last, so that a platform may end with two.
 */
export async function warnOfOvertaken(
  sites: Site<Target>[],
  results: DatabaseResult[],
  checksum: string,
): Promise<void> {
  const done = new Map(
    results.flatMap(({ database, status, result }) =>
      status === 'completed' && result && !result.isSuperseded ? [[database, result]] : [],
    ),
  )
  const found = await Promise.all(
    sites.map(async ({ parts, targets }) => {
      const names = targets.map(({ database }) => database).filter((name) => done.has(name))
      if (!parts || names.length === 0) return []
      // What is done stays done where the catalog does not answer.
      return parts.catalog.use((sql) => readOvertaken(sql, names, checksum)).catch(() => [])
    }),
  )
  const names = found.flat()
  if (names.length === 0) return
  const which = someOf(names, SHOWN)
  const warning = `Another request has brought databases to another archive since: ${which}. Send one after the other`
  for (const name of names) done.get(name)!.warnings.push(warning)
}

async function readOvertaken(sql: Sql, names: string[], checksum: string): Promise<string[]> {
  const rows = await sql<{ database: string }[]>`
    select database
    from json_array_elements_text(${JSON.stringify(names)}::text::json) as n (name)
    join _db_gateway_databases on database = n.name
    where schema_checksum <> ${checksum}
    order by database
  `
  return rows.map(({ database }) => database)
}

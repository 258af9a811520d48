import type { Sql } from '../../postgres/pools/connection.ts'
import { FACTS } from './facts-sql.ts'

/** One object of a schema; `parent` is the table that it is part of. */
export type Fact = [kind: string, name: string, parent: string | null, definition: string]

/** The longest that one database is asked for. */
const LIMIT_MS = 30_000

/**
 * The digest of the schema of a database: the same in all that have the same objects, without regard to
 * oids, to the order of columns and to what the gateway has there.
 */
export async function readDigest(sql: Sql): Promise<string> {
  const [row] = await readOnly<{ digest: string }>(
    sql,
    `select md5(coalesce(string_agg(md5(concat_ws(E'\\x01', kind, name, parent, definition)), ''
       order by kind collate "C", name collate "C", definition collate "C"), '')) as digest
     from (${FACTS}) as facts`,
  )
  return row!.digest
}

/** The objects of the schema of a database. */
export async function readFacts(sql: Sql): Promise<Fact[]> {
  const [row] = await readOnly<{ facts: Fact[] }>(
    sql,
    `select coalesce(json_agg(json_build_array(kind, name, parent, definition)), '[]') as facts
     from (${FACTS}) as facts`,
  )
  return row!.facts
}

/**
 * Definitions are written with the names that the search path asks for, so that is the same
 * everywhere. One round trip; nothing of it is left in the session.
 */
async function readOnly<T>(sql: Sql, query: string): Promise<T[]> {
  const results = (await sql.unsafe(`
    begin read only;
    set local search_path = pg_catalog, pg_temp;
    set local statement_timeout = ${LIMIT_MS};
    set local datestyle = 'ISO';
    ${query};
    rollback
  `)) as unknown as T[][]
  return results.find((rows) => rows.length > 0) ?? []
}

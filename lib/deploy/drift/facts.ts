import type { Sql } from '../../postgres/pools/connection.ts'
import { FACTS } from './facts-sql.ts'

/** An object of a database; `parent` is the table that it is part of. */
export type Fact = [kind: string, name: string, parent: string | null, definition: string]

/** statement_timeout of one query, in milliseconds. */
const LIMIT_MS = 30_000

const DIGEST = `
  md5(coalesce(string_agg(md5(concat_ws(E'\\x01', kind, name, parent, definition)), ''
    order by kind collate "C", name collate "C", definition collate "C"), '')) as digest`

const OBJECTS = `coalesce(json_agg(json_build_array(kind, name, parent, definition)), '[]') as facts`

/**
 * Returns the digest of a database's objects. Databases with the same objects have the same digest;
 * oids, the order of columns and the gateway's own objects do not count.
 */
export async function readDigest(sql: Sql): Promise<string> {
  const row = await readOnly<{ digest: string }>(sql, DIGEST)
  return row.digest
}

/** Returns the objects of a database. */
export async function readFacts(sql: Sql): Promise<Fact[]> {
  const row = await readOnly<{ facts: Fact[] }>(sql, OBJECTS)
  return row.facts
}

/** Returns the objects of a database and their digest, in the time that one of the two takes. */
export function readBoth(sql: Sql): Promise<{ digest: string; facts: Fact[] }> {
  return readOnly(sql, `${DIGEST}, ${OBJECTS}`)
}

/**
 * Selects from the objects in a read-only transaction with a fixed search_path, so that names in
 * definitions are qualified the same way in every database. One round trip; the session keeps no
 * setting.
 */
async function readOnly<T>(sql: Sql, columns: string): Promise<T> {
  const results = (await sql.unsafe(`
    begin read only;
    set local search_path = pg_catalog, pg_temp;
    set local statement_timeout = ${LIMIT_MS};
    set local datestyle = 'ISO';
    select ${columns} from (${FACTS}) as facts;
    rollback
  `)) as unknown as T[][]
  return results.flat()[0]!
}

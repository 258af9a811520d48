import type { Sql } from '../../../postgres/pools/connection.ts'
import type { Owner } from '../../../tenancy/names.ts'
import { moveRefused } from '../check.ts'

/** Catalogs of what `readFacts` does not have, with the column by which objects of PostgreSQL are left out. */
const CATALOGS: Record<string, string> = {
  pg_description: 'objoid',
  pg_seclabel: 'objoid',
  pg_default_acl: 'oid',
  pg_statistic_ext: 'oid',
  pg_cast: 'oid',
  pg_operator: 'oid',
  pg_opfamily: 'oid',
  pg_opclass: 'oid',
  pg_amop: 'oid',
  pg_amproc: 'oid',
  pg_am: 'oid',
  pg_collation: 'oid',
  pg_conversion: 'oid',
  pg_language: 'oid',
  pg_transform: 'oid',
  pg_ts_parser: 'oid',
  pg_ts_template: 'oid',
  pg_ts_dict: 'oid',
  pg_ts_config: 'oid',
  pg_ts_config_map: 'mapcfg',
  pg_foreign_data_wrapper: 'oid',
  pg_foreign_server: 'oid',
  pg_foreign_table: 'ftrelid',
}

/** Digests by catalog. */
export type Definitions = Record<string, string>

/**
 * Reads digests of the definitions that are not compared with those of a copy: they are copied once, when a
 * replication begins.
 * @param sql session in the source
 */
export async function readDefinitions(sql: Sql): Promise<Definitions> {
  const digests = Object.entries(CATALOGS).map(
    ([catalog, column]) => `
      select '${catalog}' as catalog, md5(coalesce(
        string_agg(md5(c::text), '' order by md5(c::text)), ''
      )) as digest
      from ${catalog} c where ${column} >= 16384`,
  )
  const rows = await sql.unsafe<{ catalog: string; digest: string }[]>(digests.join(' union all '))
  return Object.fromEntries(rows.map(({ catalog, digest }) => [catalog, digest]))
}

/**
 * Checks that the definitions are those of `readDefinitions` before.
 * @param sql session in the source
 * @throws {GatewayError} move_refused, naming the catalogs
 */
export async function checkDefinitions(sql: Sql, owner: Owner, before: Definitions): Promise<void> {
  const now = await readDefinitions(sql)
  const changed = Object.keys(CATALOGS).filter((catalog) => now[catalog] !== before[catalog])
  if (changed.length === 0) return
  throw moveRefused(
    owner,
    `definitions were changed while it was replicated (${changed.join(', ')})`,
    'Send the request again when nobody does that, or move it with "how": "dump"',
  )
}

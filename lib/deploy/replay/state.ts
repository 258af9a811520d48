import { createHash } from 'node:crypto'
import { send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteLiteral } from '../../postgres/quote.ts'
import { SESSION_ROLE } from '../../postgres/session-role.ts'
import { STANDING } from '../ledger/key.ts'
import type { LeftState } from './left-state.ts'
import { STATE } from './state-sql.ts'

/** Everything that a deploy's decisions come from, except its request and the rows. */
export interface StateBefore {
  left: LeftState | null
  digest: string | null
  /** Digest of the ledger's files and migrations. */
  ledger: string
  archive_checksum: string | null
  /** Properties of the database, and the settings of its sessions. */
  database: object
}

/** SQL expression for the state that the last deploy left (`LeftState`); null if it left none. */
export const LEFT_STATE = `(
  select objects from public._db_gateway_files
  where section = '${STANDING}' and name = 'state'
)`

/** SQL expression for the checksum of the archive that was deployed last. */
export const LAST_ARCHIVE = `(
  select archive_checksum from public._db_gateway_deployments
  where status = 'completed' order by id desc limit 1
)`

/** SQL select list for `StateBefore` without its digest, for a search_path of pg_catalog alone. */
export const STANDING_BEFORE = `
  ${LEFT_STATE} as left,
  (
    select coalesce(sum(hash), 0)::text
    from (
      select hash_record_extended(row(section, name, checksum, objects), 0)
      from public._db_gateway_files
      where section <> '${STANDING}'
      union all
      select hash_record_extended(row(migration_file, checksum, status, error), 0)
      from public._db_gateway_migrations
    ) as entry (hash)
  ) as ledger,
  ${LAST_ARCHIVE} as archive_checksum,
  (
    select json_build_array(
      d.encoding, d.datlocprovider, d.datcollate, d.datctype, current_setting('server_version'),
      (
        select json_agg(
          json_build_array(s.setrole::regrole, s.setdatabase = 0, s.setconfig)
          order by s.setrole, s.setdatabase = 0
        )
        from pg_db_role_setting s
        where s.setdatabase = d.oid or s.setdatabase = 0 and s.setrole in (
          0, ${SESSION_ROLE}
        )
      )
    )
    from pg_database d
    where d.datname = current_database()
  ) as database
`

/** Returns whether an archive was deployed before, as an SQL expression. */
export function wasDeployedSql(checksum: string): string {
  return `exists (
    select from public._db_gateway_deployments
    where status = 'completed' and archive_checksum = ${quoteLiteral(checksum)}
  )`
}

/** Sends the query for the state, in an open transaction whose search_path is the session's. */
export async function sendStateBefore(sql: Sql): Promise<StateBefore> {
  const results: unknown = await send(
    sql.unsafe(`
      ${IN_CATALOG};
      select ${STANDING_BEFORE}, (select digest from (${STATE}) as state) as digest;
      ${AS_IN_SESSION}
    `),
  )
  return (results as [unknown, [StateBefore]])[1][0]
}

/** Statements around queries that must find PostgreSQL's own objects. */
export const IN_CATALOG = 'set local search_path to pg_catalog'
export const AS_IN_SESSION = 'set local search_path to default'

/**
 * Returns a key that is equal for databases in the same state; undefined if the state is not known,
 * because somebody has changed the database since its last deploy.
 */
export function stateKey(state: StateBefore): string | undefined {
  const { left, digest, ledger, archive_checksum, database } = state
  if (digest === null || left?.digest !== digest) return undefined
  const parts = [left.print, ledger, archive_checksum, database]
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}

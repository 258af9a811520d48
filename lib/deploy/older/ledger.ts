import { send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteLiteral } from '../../postgres/quote.ts'

/** The archive in place in a database to which another archive was deployed before. */
export interface Superseding {
  /** Checksum of the archive in place. */
  checksum: string
  /** Time of its deploy, ISO 8601. */
  deployedAt: string
  functionsDeployed: number
}

/** A row of `supersedingSql`. */
export interface SupersedingRow {
  archive_checksum: string
  deployed_at: string
  functions_deployed: number
}

/**
 * Returns the archive that superseded the given one, by the database's own ledger. Undefined if the
 * given archive is in place or was never deployed. One round trip: without parameters, the query
 * needs no separate describe step.
 */
export async function findSuperseding(
  sql: Sql,
  checksum: string,
): Promise<Superseding | undefined> {
  const [row] = await send(sql.unsafe<SupersedingRow[]>(supersedingSql(checksum)))
  return supersedingOf(row)
}

/** Returns the SQL query for the archive that superseded the given one; it has at most one row. */
export function supersedingSql(checksum: string): string {
  const literal = quoteLiteral(checksum)
  return `
    select archive_checksum, to_json(deployed_at) as deployed_at, functions_deployed
    from (
      select *
      from public._db_gateway_deployments
      where status = 'completed'
      order by id desc
      limit 1
    ) as last
    where archive_checksum <> ${literal} and exists (
      select from public._db_gateway_deployments
      where status = 'completed' and archive_checksum = ${literal}
    )
  `
}

export function supersedingOf(row: SupersedingRow | undefined): Superseding | undefined {
  return (
    row && {
      checksum: row.archive_checksum,
      deployedAt: row.deployed_at,
      functionsDeployed: row.functions_deployed,
    }
  )
}

/** Returns the archive in place and the time of its deploy (ISO 8601), by the database's ledger. */
export async function readInPlace(
  sql: Sql,
): Promise<{ checksum: string; deployedAt: string } | undefined> {
  const [row] = await sql<{ checksum: string; deployedAt: string }[]>`
    select archive_checksum as checksum, to_json(deployed_at) as "deployedAt"
    from public._db_gateway_deployments
    where status = 'completed'
    order by id desc
    limit 1
  `
  return row
}

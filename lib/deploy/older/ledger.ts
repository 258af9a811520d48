import { send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteLiteral } from '../../postgres/quote.ts'

/** The archive that a database has, where another one was deployed to it before that. */
export interface Superseding {
  /** Of the archive in place. */
  checksum: string
  /** ISO 8601. */
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
 * What has superseded the archive with this checksum in a database; undefined where the archive is
 * in place, or was never deployed. From the database's own ledger. One round trip, since it has no
 * parameters to describe.
 */
export async function findSuperseding(
  sql: Sql,
  checksum: string,
): Promise<Superseding | undefined> {
  const [row] = await send(sql.unsafe<SupersedingRow[]>(supersedingSql(checksum)))
  return supersedingOf(row)
}

/** SQL for a row that has what has superseded the archive with this checksum, if anything. */
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

/** The archive in place and when it came (ISO 8601), by a database's own ledger. */
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

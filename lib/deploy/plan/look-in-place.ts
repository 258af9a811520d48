import type { Sql } from '../../postgres/pools/connection.ts'
import { inOrderSql, type Order } from '../database/in-order.ts'
import { type LastDeploy, lastDeploySql } from '../ledger/ledger.ts'
import {
  type Superseding,
  type SupersedingRow,
  supersedingOf,
  supersedingSql,
} from '../older/ledger.ts'

/** How an archive stands to a database that is in order. */
export interface InPlace {
  /** Set if the archive was the last one deployed and its objects are unchanged since. */
  unchanged: { functionsDeployed: number; standing: string[] } | undefined
  /** The archive that replaced this one, if this one was deployed before. */
  superseding: Superseding | undefined
}

/**
 * Reads whether the archive with this checksum is in place. Sends one query of several statements,
 * which costs one round trip on a new connection too; postgres.js holds separate queries back
 * there.
 * @returns undefined if the database is not in order (see `inOrderSql`)
 */
export async function lookInPlace(
  sql: Sql,
  checksum: string,
  order: Order,
): Promise<InPlace | undefined> {
  const texts = [inOrderSql(order), lastDeploySql(checksum), supersedingSql(checksum)]
  const results: unknown = await sql.unsafe(texts.join(';'))
  const [[fit], [last], [row]] = results as [
    { is_in_order: boolean }[],
    LastDeploy[],
    SupersedingRow[],
  ]
  if (!fit?.is_in_order) return undefined
  const isThere = last?.archive_checksum === checksum && last.is_as_left
  return {
    unchanged: isThere
      ? { functionsDeployed: last.functions_deployed, standing: last.standing }
      : undefined,
    superseding: supersedingOf(row),
  }
}

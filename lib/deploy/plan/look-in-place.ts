import type { Sql } from '../../postgres/pools/connection.ts'
import { inOrderSql, type Order } from '../database/in-order.ts'
import { type LastDeploy, lastDeploySql } from '../ledger/ledger.ts'
import {
  type Superseding,
  type SupersedingRow,
  supersedingOf,
  supersedingSql,
} from '../older/ledger.ts'

/** What a database says of an archive, where it is in order. */
export interface InPlace {
  /** Where the archive was the last one deployed, and what it made is as it was then. */
  unchanged: { functionsDeployed: number; standing: string[] } | undefined
  /** What came behind the archive, where it was deployed before. */
  superseding: Superseding | undefined
}

/**
 * Asks whether the archive with this checksum is in place. All is one query of several statements:
 * one round trip on a connection that has just been opened too, where postgres.js keeps some of
 * several queries back.
 * @returns undefined where the database is not in order
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

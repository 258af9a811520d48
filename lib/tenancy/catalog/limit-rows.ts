import type { Sql } from '../../postgres/pools/connection.ts'
import type { LimitChanges } from '../limits/tenant-limits.ts'
import { noteLimits } from './catalog-identity.ts'

/**
 * Changes the limits of a database. Removes the stored digest of its functions if other functions
 * can be called from now on. Writes nothing where nothing changes.
 */
export async function changeLimits(
  sql: Sql,
  database: string,
  changes: LimitChanges,
): Promise<void> {
  await noteLimits(sql)
  await sql`
    with merged as (
      select coalesce(limits, '{}') as before,
        jsonb_strip_nulls(coalesce(limits, '{}') || ${JSON.stringify(changes)}::text::jsonb) as after
      from _db_gateway_databases where database = ${database} for update
    ), changed as (
      select after || jsonb_build_object('revision', coalesce((before->>'revision')::integer, 0) + 1)
          as limits,
        after->'callable_schemas' is not distinct from before->'callable_schemas' as is_digest_kept
      from merged where after <> before
    )
    update _db_gateway_databases d
    set limits = changed.limits,
      functions_digest = case when is_digest_kept then functions_digest end,
      functions_version = case when is_digest_kept then functions_version end
    from changed where d.database = ${database} and d.hidden_as is null
  `
}

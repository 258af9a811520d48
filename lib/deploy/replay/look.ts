import { sendLook } from '../../call/signatures/look.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { Look } from '../look.ts'
import { STATE } from './state-sql.ts'

/**
 * Takes a look at the catalogs and at their state. The state comes first: a change by another session
 * in between makes the state one that no longer fits, never a wrong one.
 */
export async function lookAtState(sql: Sql): Promise<Look> {
  const looked = await sendLook<{ digest: string; content: string }>(sql, STATE)
  const { print, version, first } = looked
  return { print, version, state: { ...first, print } }
}

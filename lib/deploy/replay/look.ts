import { sendLook } from '../../call/signatures/look.ts'
import { send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { Look } from '../look.ts'
import { AS_IN_SESSION, IN_CATALOG } from './state.ts'
import { STATE, STATE_AND_VERSIONS } from './state-sql.ts'

/**
 * Takes a look at the catalogs and at their state. The state comes first: a change by another session
 * in between makes the state one that no longer fits, never a wrong one.
 */
export async function lookAtState(sql: Sql): Promise<Look> {
  const looked = await sendLook<{ digest: string; content: string }>(sql, STATE)
  const { print, version, first } = looked
  return { print, version, state: { ...first, print } }
}

/**
 * Returns a look at the catalogs that counts now: `last` if nothing in them has changed since, else
 * another one. Asking for the state alone takes less than half of the time.
 */
export async function lookAgain(sql: Sql, last: Look): Promise<Look> {
  const results: unknown = await send(
    sql.unsafe(`${IN_CATALOG}; ${STATE_AND_VERSIONS}; ${AS_IN_SESSION}`),
  )
  const [, [now]] = results as [unknown, [{ digest: string | null; version: string }]]
  const isSame = now.digest !== null && now.digest === last.state?.digest
  return isSame && now.version === last.version ? last : lookAtState(sql)
}

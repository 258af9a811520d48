import type { Sql } from '../../postgres/pools/connection.ts'
import { LAST_ARCHIVE, LEFT_STATE } from '../replay/state.ts'
import { PREPARE_STATE, TAKE_STATE } from '../replay/state-sql.ts'

/** The template is not as its deploy left it: somebody has changed it by hand, or made it. */
export class ChangedTemplate extends Error {}

/**
 * Checks that a copy is what the deploy of the template left: the archive in its ledger, and the very rows in
 * its catalogs. Prepares TAKE_STATE in the session.
 * @param sql session in the copy, before it is handed over, with a search_path of pg_catalog alone
 * @param checksum the archive's
 * @throws {ChangedTemplate}
 */
export async function checkUnchanged(sql: Sql, template: string, checksum: string): Promise<void> {
  const [ledger] = await sql<{ is_there: boolean }[]>`
    select to_regclass('public._db_gateway_deployments') is not null
      and to_regclass('public._db_gateway_files') is not null as is_there
  `
  if (!ledger!.is_there) throw changed(template)
  await sql.unsafe(PREPARE_STATE)
  const [now] = await sql.unsafe<{ digest: string | null }[]>(TAKE_STATE)
  const [left] = await sql.unsafe<{ digest: string | null; checksum: string | null }[]>(
    `select ${LEFT_STATE}->>'digest' as digest, ${LAST_ARCHIVE} as checksum`,
  )
  if (left!.checksum !== checksum || left!.digest === null || left!.digest !== now!.digest)
    throw changed(template)
}

function changed(template: string): ChangedTemplate {
  return new ChangedTemplate(`${template} is not as its deploy left it`)
}

import { randomInt } from 'node:crypto'
import { quoteIdentifier } from '../quote.ts'

import type { Session } from '../session/session.ts'
import { RELEASE_LOCKS } from './call-sessions.ts'
import type { Connection } from './connection.ts'

/** Timeout of a reset in milliseconds; the connection is closed after it. */
const LIMIT_MS = 5000

const HALF_RANGE = 2 ** 46

/**
 * Resets a session to its state after opening: role, settings, cursors, temporary tables, LISTEN,
 * advisory locks, last values of sequences, SQL-level prepared statements, random seed. DISCARD ALL
 * would also drop the statements that the gateway has prepared.
 * @returns false if the reset failed and the connection must not be used again
 */
export async function resetSession(connection: Connection): Promise<boolean> {
  const timer = setTimeout(() => connection.destroy(), LIMIT_MS)
  try {
    const session = await connection.session
    await reset(session, connection.settings)
    connection.needsReset = false
    connection.mode = 'exclusive'
    connection.modeTimeoutMs = undefined
    return true
  } catch {
    return false
  } finally {
    clearTimeout(timer)
  }
}

/** Settings come first: with another search_path, unqualified names may not be PostgreSQL's own. */
async function reset(session: Session, settings: string): Promise<void> {
  const resetting = session.simple(`
    close all;
    set session authorization default;
    reset role;
    reset all;
    ${settings}
    unlisten *;
    discard temp;
    discard sequences;
    select
      ${RELEASE_LOCKS},
      pg_catalog.setseed(${randomSeed()}),
      (
        select pg_catalog.json_agg(s.name)
        from pg_catalog.pg_prepared_statements s
        where s.from_sql
      ),
      (select pg_catalog.count(*) from pg_catalog.pg_prepared_statements s where not s.from_sql)
  `)
  session.flush()
  const results = await resetting
  const [wasPresent, , , , fromSql, ofSession] = results.at(-1)!.rows[0]!
  if (wasPresent!.toString() !== 't') throw new Error('The session did not hold its presence lock')
  if (fromSql) {
    const names = JSON.parse(fromSql.toString()) as string[]
    await session.simple(names.map((name) => `deallocate ${quoteIdentifier(name)}`).join('; '))
  }
  // Must come after DEALLOCATE: a function may have prepared statements under the same names.
  if (Number(ofSession!.toString()) < session.prepared) session.forgetStatements()
}

/** Returns a seed from -1 to 1. */
function randomSeed(): number {
  return randomInt(2 * HALF_RANGE) / HALF_RANGE - 1
}

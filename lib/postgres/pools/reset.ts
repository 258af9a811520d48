import { randomInt } from 'node:crypto'
import { quoteIdentifier } from '../quote.ts'

import type { Session } from '../session/session.ts'
import { RELEASE_LOCKS } from './call-sessions.ts'
import type { Connection } from './connection.ts'

/** A connection whose session is not reset in this time is cut. */
const LIMIT_MS = 5000

const HALF_RANGE = 2 ** 46

/**
 * Makes the session of a connection what it was when it was opened: role, settings, cursors,
 * temporary tables, LISTEN, advisory locks, sequences' last values, prepared statements, random
 * numbers. As DISCARD ALL does, which would also take the statements that the session has prepared.
 * @returns false where it could not, and the connection is not to be used again
 */
export async function resetSession(connection: Connection): Promise<boolean> {
  const timer = setTimeout(() => connection.destroy(), LIMIT_MS)
  try {
    const session = await connection.session
    await reset(session)
    connection.needsReset = false
    connection.mode = 'exclusive'
    return true
  } catch {
    return false
  } finally {
    clearTimeout(timer)
  }
}

/** The settings first: with another search path, names may not be PostgreSQL's own. */
async function reset(session: Session): Promise<void> {
  const resetting = session.simple(`
    close all;
    set session authorization default;
    reset role;
    reset all;
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
  if (wasPresent!.toString() !== 't') throw new Error('A deploy may have passed the session over')
  if (fromSql) {
    const names = JSON.parse(fromSql.toString()) as string[]
    await session.simple(names.map((name) => `deallocate ${quoteIdentifier(name)}`).join('; '))
  }
  // Last, since it closes by their names what the function may have prepared.
  if (Number(ofSession!.toString()) < session.prepared) session.forgetStatements()
}

/** From -1 to 1. */
function randomSeed(): number {
  return randomInt(2 * HALF_RANGE) / HALF_RANGE - 1
}

import { randomInt } from 'node:crypto'
import { quoteIdentifier } from '../names.ts'
import type { Connection, Sql } from './connection.ts'

/** A connection whose session is not reset in this time is cut. */
const LIMIT_MS = 5000

const HALF_RANGE = 2 ** 46

/**
 * Makes the session of a connection what it was when it was opened: role, settings, cursors,
 * temporary tables, LISTEN, advisory locks, sequences' last values, prepared statements, random
 * numbers. As DISCARD ALL does, which would also take the statements that the driver has prepared.
 * @returns false where it could not, and the connection is not to be used again
 */
export async function resetSession(connection: Connection): Promise<boolean> {
  const timer = setTimeout(() => connection.destroy(), LIMIT_MS)
  try {
    await reset(connection.sql)
    connection.needsReset = false
    return true
  } catch {
    return false
  } finally {
    clearTimeout(timer)
  }
}

/** The settings first: with another search path, names may not be PostgreSQL's own. */
async function reset(sql: Sql): Promise<void> {
  const results = await sql.unsafe<{ prepared: string[] | null }[][]>(`
    close all;
    set session authorization default;
    reset role;
    reset all;
    unlisten *;
    discard temp;
    discard sequences;
    select
      pg_catalog.pg_advisory_unlock_all(),
      pg_catalog.setseed(${randomSeed()}),
      (
        select pg_catalog.json_agg(s.name)
        from pg_catalog.pg_prepared_statements s
        where s.from_sql
      ) as prepared
  `)
  const [{ prepared }] = results.at(-1) as [{ prepared: string[] | null }]
  if (!prepared) return
  await sql.unsafe(prepared.map((name) => `deallocate ${quoteIdentifier(name)}`).join('; '))
}

/** From -1 to 1. */
function randomSeed(): number {
  return randomInt(2 * HALF_RANGE) / HALF_RANGE - 1
}

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
    // Without the driver's own statements, each of its queries would fail.
    if (!(await reset(connection.sql))) connection.isSpent = true
    connection.needsReset = false
    return true
  } catch {
    return false
  } finally {
    clearTimeout(timer)
  }
}

interface Left {
  /** Statements that SQL has prepared, by name. */
  prepared: string[] | null
  /** Whether those that the driver has prepared are still there. */
  is_whole: boolean
}

/**
 * The settings first: with another search path, names may not be PostgreSQL's own.
 * @returns false where the statements that the driver has prepared are gone
 */
async function reset(sql: Sql): Promise<boolean> {
  const results = await sql.unsafe<Left[][]>(`
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
      ) as prepared,
      exists (select from pg_catalog.pg_prepared_statements s where not s.from_sql) as is_whole
  `)
  const [{ prepared, is_whole: isWhole }] = results.at(-1) as [Left]
  if (!prepared) return isWhole
  await sql.unsafe(prepared.map((name) => `deallocate ${quoteIdentifier(name)}`).join('; '))
  return isWhole
}

/** From -1 to 1. */
function randomSeed(): number {
  return randomInt(2 * HALF_RANGE) / HALF_RANGE - 1
}

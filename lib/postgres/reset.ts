import { randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { quoteIdentifier } from '../names.ts'
import type { Connection } from './connection.ts'

/** A session that is not reset in this time is given up. */
const LIMIT_MS = 5000

const HALF_RANGE = 2 ** 46

/**
 * Makes the session of a connection what it was when it was opened: role, settings, cursors,
 * temporary tables, LISTEN, advisory locks, sequences' last values, prepared statements, random
 * numbers. As DISCARD ALL does, which would also take the statements that the driver has prepared.
 * Who may have set another search path comes first, so that all names are PostgreSQL's own.
 * @returns false where it could not, and the connection is not to be used again
 */
export async function resetSession(connection: Connection): Promise<boolean> {
  const patience = new AbortController()
  const timeout = sleep(LIMIT_MS, false, { signal: patience.signal })
  const isReset = await Promise.race([reset(connection), timeout]).catch(() => false)
  timeout.catch(() => {})
  patience.abort()
  if (isReset) connection.needsReset = false
  return isReset
}

async function reset({ sql }: Connection): Promise<boolean> {
  const results = await sql.unsafe<{ name: string }[][]>(`
    close all;
    set session authorization default;
    reset role;
    reset all;
    unlisten *;
    select pg_catalog.pg_advisory_unlock_all(), pg_catalog.setseed(${randomSeed()});
    discard temp;
    discard sequences;
    select s.name from pg_catalog.pg_prepared_statements s where s.from_sql
  `)
  const prepared = results.at(-1)!
  if (prepared.length > 0) {
    const names = prepared.map(({ name }) => quoteIdentifier(name))
    await sql.unsafe(names.map((name) => `deallocate ${name}`).join('; '))
  }
  return true
}

/** From -1 to 1. */
function randomSeed(): number {
  return randomInt(2 * HALF_RANGE) / HALF_RANGE - 1
}

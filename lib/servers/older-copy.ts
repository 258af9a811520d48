import type { Sql } from '../postgres/pools/connection.ts'
import { isBehind, type Written } from './written.ts'

/** Runs work in the catalog of a server. */
type Use = <T>(work: (sql: Sql) => Promise<T>) => Promise<T>

/** A server that is an older copy; the message is a predicate. */
export class OlderCopy extends Error {
  override readonly name = 'OlderCopy'
}

/** Columns of the table _db_gateway_servers: what was seen last. */
export const WRITTEN_COLUMNS = { wal_system: 'text', wal_timeline: 'integer', wal_position: 'text' }

/**
 * Checks that a server is not an older copy of the one that has its name, such as a snapshot, or a
 * primary that a failover has left behind: what was written since would be lost, without a word. A server
 * that was promoted, or restored to a point in time, has a higher timeline and is taken; so is another
 * cluster with the same catalog. Writes down in `main` how far the server is.
 * @param home runs work in the catalog of `main`
 * @param there runs work on the server
 * @returns how far it is; undefined where PostgreSQL does not tell
 * @throws {OlderCopy}
 */
export async function checkNotOlder(
  home: Use,
  there: Use,
  name: string,
): Promise<Written | undefined> {
  // In this order: what another gateway writes down meanwhile is never further than what is read then.
  const seen = await home((sql) => readSeen(sql, name))
  const now = await there(readWritten)
  if (!now) return undefined
  if (seen && isBehind(now, seen)) {
    throw new OlderCopy(
      `is an older copy of the server: it has written up to ${describe(now)}, and ${describe(seen)} was seen. If it was put back on purpose, delete its row in _db_gateway_servers of main`,
    )
  }
  if (seen?.position === now.position) return now
  await home(
    (sql) => sql`
      update _db_gateway_servers
      set wal_system = ${now.system}, wal_timeline = ${now.timeline}, wal_position = ${now.position}
      where name = ${name} and (
        wal_system is distinct from ${now.system}
        or (wal_timeline, wal_position::pg_lsn) < (${now.timeline}, ${now.position}::pg_lsn)
      )
    `,
  )
  return now
}

async function readSeen(sql: Sql, name: string): Promise<Written | undefined> {
  const [row] = await sql<[Written?]>`
    select wal_system as system, wal_timeline as timeline, wal_position as position
    from _db_gateway_servers where name = ${name} and wal_system is not null
  `
  return row
}

/** Returns undefined where PostgreSQL does not tell: a standby, or a service that hides it. */
async function readWritten(sql: Sql): Promise<Written | undefined> {
  try {
    const [row] = await sql<[Written]>`
      select system_identifier::text as system, position::text as position,
        ('x' || left(pg_walfile_name(position), 8))::bit(32)::integer as timeline
      from pg_control_system(), pg_current_wal_flush_lsn() as position
    `
    return row
  } catch (error) {
    const { code = '' } = error as { code?: string }
    // 42501: no right to ask; 55000: it is a standby; 0A000, 42883: PostgreSQL in another's clothes.
    if (['42501', '55000', '0A000', '42883'].includes(code)) return undefined
    throw error
  }
}

function describe({ timeline, position }: Written): string {
  return `${position} of timeline ${timeline}`
}

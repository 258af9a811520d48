import type { Sql } from './connection.ts'

/** Limits of the server on connections of the gateway's role. */
export interface ServerCapacity {
  maxConnections: number
  /** Connections reserved for superusers and members of pg_use_reserved_connections. */
  reserved: number
  /** CONNECTION LIMIT of the role; -1 means no limit. */
  roleLimit: number
}

/** Returns the number of connections that the gateway can open if nothing else is connected. */
export function usableConnections({ maxConnections, reserved, roleLimit }: ServerCapacity): number {
  const left = Math.max(1, maxConnections - reserved)
  return roleLimit < 0 ? left : Math.min(left, roleLimit)
}

/** Reads the limits from the server. `reserved_connections` came with PostgreSQL 16. */
export async function readServerCapacity(sql: Sql): Promise<ServerCapacity> {
  const [capacity] = await sql<ServerCapacity[]>`
    select
      current_setting('max_connections')::int as "maxConnections",
      current_setting('superuser_reserved_connections')::int
        + coalesce(current_setting('reserved_connections', true)::int, 0) as reserved,
      (select rolconnlimit from pg_roles where rolname = current_user) as "roleLimit"
  `
  return capacity!
}

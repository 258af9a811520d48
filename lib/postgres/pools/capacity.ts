import type { Sql } from './connection.ts'

/** How many connections the server has for the gateway's role. */
export interface ServerCapacity {
  maxConnections: number
  /** Kept for superusers and for roles with a privilege of their own. */
  reserved: number
  /** CONNECTION LIMIT of the role; -1 is no limit. */
  roleLimit: number
}

/** What is left for the gateway, if nobody else is connected. */
export function usableConnections({ maxConnections, reserved, roleLimit }: ServerCapacity): number {
  const left = Math.max(1, maxConnections - reserved)
  return roleLimit < 0 ? left : Math.min(left, roleLimit)
}

/** Asks the server. `reserved_connections` came with PostgreSQL 16. */
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

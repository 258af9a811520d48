import { GatewayError } from '../errors.ts'
import { findPgTool, type PgTool } from './pg-tools.ts'
import type { Sql } from './pools/connection.ts'

/** Returns the major version of a session's server. */
export async function readMajor(sql: Sql): Promise<number> {
  const [row] = await sql<{ major: number }[]>`
    select current_setting('server_version_num')::integer / 10000 as major
  `
  return row!.major
}

/**
 * Returns the path of a program whose major version is the server's, or a later one.
 * @param instead what the client can do other than to have it installed, for the error
 * @throws {GatewayError} dump_not_available if none is installed
 */
export async function requirePgTool(sql: Sql, tool: PgTool, instead = ''): Promise<string> {
  const major = await readMajor(sql)
  const path = await findPgTool(tool, major)
  if (path !== undefined) return path
  throw new GatewayError(
    'dump_not_available',
    `This gateway finds no ${tool} of PostgreSQL ${major}, the version of the server, or later: install it (its folder in PATH)${instead}`,
  )
}

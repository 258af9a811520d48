import postgres from 'postgres'
import { inject } from 'vitest'
import { parseDatabaseUrl } from '../../lib/postgres/hosts/server.ts'
import { databaseName } from '../../lib/tenancy/names.ts'
import { Secret } from '../../lib/tenancy/secrets/secret.ts'
import { TEST_SECRET } from './gateway.ts'

/** The test server as seen by the gateway: the kind of its role, and the URI. */
export const SERVERS = [
  ['no superuser', inject('databaseUrl')],
  ['a superuser', inject('superuserUrl')],
].filter((one): one is [string, string] => one[1] !== undefined)

/** Result of an attack: the SQLSTATE of its error, or the result as JSON if nothing stopped it. */
export type Outcome = string

/** Opens a connection as a platform's role, with the password that only the gateway has. */
export function connectAs(platform: string, database: string, url: string): postgres.Sql {
  const user = `gw_${platform}`
  const password = new Secret(TEST_SECRET).passwordOf(user)
  const server = parseDatabaseUrl(url)
  return postgres({ ...server, user, password, database, max: 1, onnotice: () => {} })
}

/** Runs a statement as a platform's role, on a new connection to the platform's database. */
export async function attack(platform: string, statement: string, url: string): Promise<Outcome> {
  const database = databaseName({ platform, tenantId: null, schema: null })
  const sql = connectAs(platform, database, url)
  try {
    return JSON.stringify(await sql.unsafe(statement))
  } catch (error) {
    return (error as postgres.PostgresError).code
  } finally {
    await sql.end()
  }
}

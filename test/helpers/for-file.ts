import type { Sql } from 'postgres'
import { afterAll } from 'vitest'
import { parseDatabaseUrl } from '../../lib/postgres/hosts/server.ts'
import {
  connectTo,
  createAdminDatabase,
  dropAdminDatabase,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from './gateway.ts'

// What a file of tests has from its beginning to its end: each is called at the top of the file, and is
// taken away behind the last test.

/** Two gateways on one catalog; each with its settings. */
export async function startTwoGateways(
  settings: Record<string, string> = {},
  otherSettings: Record<string, string> = settings,
): Promise<{
  /** The catalog's DATABASE_URL, for further ones. */
  url: string
  gateway: TestGateway
  other: TestGateway
}> {
  const url = await createAdminDatabase()
  const [gateway, other] = [
    await startTestGateway({ ...settings, DATABASE_URL: url }),
    await startTestGateway({ ...otherSettings, DATABASE_URL: url }),
  ]
  afterAll(async () => {
    await gateway.stop()
    await other.stop()
    await dropAdminDatabase(url)
  })
  return { url, gateway, other }
}

/** A database that has these objects, and a connection to it as the gateway's role. */
export async function databaseWith(objects: string): Promise<{ database: string; sql: Sql }> {
  const url = await createAdminDatabase()
  const { database } = parseDatabaseUrl(url)
  const sql = connectTo(database)
  afterAll(async () => {
    await sql.end()
    await dropAdminDatabase(url)
  })
  await sql.unsafe(objects)
  return { database, sql }
}

/** A role that may be given privileges: its name. To be made before the gateways, whose databases go first. */
export async function createReader(): Promise<string> {
  const role = uniqueName('reader')
  await queryDatabase('postgres', `create role ${role}`, { asGateway: true })
  afterAll(async () => {
    await queryDatabase('postgres', `drop role ${role}`, { asGateway: true })
  })
  return role
}

import type { Sql } from 'postgres'
import { afterAll } from 'vitest'
import { parseDatabaseUrl } from '../../lib/postgres/hosts/server.ts'
import {
  connectTo,
  createAdminDatabase,
  dropAdminDatabase,
  type Json,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from './gateway.ts'

// Resources that a test file uses from its first test to its last. Call each function at the top of
// the file; it releases the resource after the last test.

/** Starts a gateway with a catalog of its own. */
export async function startOneGateway(settings?: Record<string, string>): Promise<TestGateway> {
  const gateway = await startTestGateway(settings)
  afterAll(() => gateway.stop())
  return gateway
}

/** Starts two gateways on one catalog, each with its own settings. */
export async function startTwoGateways(
  settings: Record<string, string> = {},
  otherSettings: Record<string, string> = settings,
): Promise<{
  /** DATABASE_URL of the catalog, for more gateways. */
  url: string
  gateway: TestGateway
  other: TestGateway
  /** Runs SQL in the database of the catalog, as the gateways' role. */
  query(text: string): Promise<Json[]>
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
  const { database } = gateway.server
  const query = (text: string) => queryDatabase(database, text, { asGateway: true })
  return { url, gateway, other, query }
}

/** Creates a database with these objects, and a connection to it as the gateway's role. */
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

/**
 * Creates a role that tests can grant privileges to, and returns its name. Call it before the
 * gateways are started: it must be dropped after their databases.
 */
export async function createReader(): Promise<string> {
  const role = uniqueName('reader')
  await queryDatabase('postgres', `create role ${role}`, { asGateway: true })
  afterAll(async () => {
    await queryDatabase('postgres', `drop role ${role}`, { asGateway: true })
  })
  return role
}

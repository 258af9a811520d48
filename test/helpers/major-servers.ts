import { chmod, mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import { parseDatabaseUrl } from '../../lib/postgres/hosts/server.ts'
import { startMajor, type TestServer } from '../setup/majors.ts'
import { startOtherServer } from './servers.ts'

/** A server of the same major version as the test server, for SERVERS. */
export interface AlikeServer {
  /** Its URI with the gateway's role. */
  uri: string
  databases(): Promise<string[]>
  remove(): Promise<void>
}

/** Starts a server of the major version of the test server: see PG_MAJOR. */
export async function startAlikeServer(): Promise<AlikeServer> {
  const major = process.env.PG_MAJOR || '18'
  if (major === '18') return startOtherServer()
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'db-gateway-server-')))
  await chmod(folder, 0o755)
  const server: TestServer = await startMajor(major, folder, { fsync: 'off' })
  return {
    uri: server.url,
    async databases() {
      const sql = postgres({ ...parseDatabaseUrl(server.superuserUrl), max: 1 })
      const rows = await sql`select datname from pg_database`
      await sql.end()
      return rows.map(({ datname }) => datname)
    },
    async remove() {
      await server.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

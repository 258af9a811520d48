import { chmod, mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import { parseDatabaseUrl } from '../../lib/postgres/hosts/server.ts'
import { startMajor } from '../setup/majors.ts'
import type { Json } from './gateway.ts'
import { startOtherServer } from './servers.ts'

/** A server of the same major version as the test server, for SERVERS. */
export interface AlikeServer {
  /** Its URI with the gateway's role. */
  uri: string
  databases(): Promise<string[]>
  /** Runs SQL as the superuser, by default in the database of `uri`. */
  query(text: string, database?: string): Promise<Json[]>
  /** Lines of its log. */
  logged: string[]
  /** Ends all its processes with SIGKILL. */
  kill(): Promise<void>
  /** Starts it again. */
  start(): Promise<void>
  remove(): Promise<void>
}

/** Starts a server, by default of the major version of the test server: see PG_MAJOR. */
export async function startAlikeServer(
  settings: Record<string, string> = {},
  major = process.env.PG_MAJOR || '18',
): Promise<AlikeServer> {
  if (major === '18') return startOtherServer(settings)
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'db-gateway-server-')))
  await chmod(folder, 0o755)
  const server = await startMajor(major, folder, { fsync: 'off', ...settings })
  const query = async (text: string, database?: string): Promise<Json[]> => {
    const uri = parseDatabaseUrl(server.superuserUrl)
    const { database: own } = parseDatabaseUrl(server.url)
    const sql = postgres({ ...uri, database: database ?? own, max: 1, onnotice: () => {} })
    try {
      return await sql.unsafe(text)
    } finally {
      await sql.end()
    }
  }
  return {
    uri: server.url,
    async databases() {
      return (await query('select datname from pg_database')).map(({ datname }) => datname)
    },
    query,
    logged: server.logged,
    kill: () => server.kill(),
    start: () => server.start(),
    async remove() {
      await server.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

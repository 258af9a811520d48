import { join } from 'node:path'
import postgres from 'postgres'
import { layoutOf, readPasswords } from '../../lib/postgres/embedded/cluster.ts'
import { parseDatabaseUrl } from '../../lib/postgres/hosts/server.ts'
import type { PostgresRig } from './rig.ts'

/**
 * Does work while the rig's PostgreSQL has these settings, which open sessions take over too: those
 * that a reload of the configuration sets (ALTER SYSTEM).
 */
export async function withSettings<T>(
  rig: PostgresRig,
  settings: Record<string, string>,
  work: () => Promise<T>,
): Promise<T> {
  return withSuperuser(rig, async (sql) => {
    try {
      for (const [name, value] of Object.entries(settings)) {
        await sql.unsafe(`alter system set ${name} = ${value}`)
      }
      await sql`select pg_reload_conf()`
      return await work()
    } finally {
      for (const name of Object.keys(settings)) await sql.unsafe(`alter system reset ${name}`)
      await sql`select pg_reload_conf()`
    }
  })
}

/** Does work with a session of the superuser, which the gateway's role is not. */
export async function withSuperuser<T>(
  rig: PostgresRig,
  work: (sql: postgres.Sql) => Promise<T>,
): Promise<T> {
  const { host, port } = parseDatabaseUrl(rig.databaseUrl)
  const { postgres: password } = await readPasswords(layoutOf(join(rig.folder, 'data')))
  const sql = postgres({ host, port, user: 'postgres', password, database: 'postgres', max: 1 })
  try {
    return await work(sql)
  } finally {
    await sql.end()
  }
}

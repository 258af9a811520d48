import postgres from 'postgres'
import { parseDatabaseUrl } from '../../../lib/postgres/hosts/server.ts'
import type { Rig } from '../rig.ts'

/** How many connections of the gateway PostgreSQL had open while it was looked. */
export interface OpenConnections {
  most: number
  looks: number
}

const LOOK_EVERY_MS = 10

/** Looks every 10 ms, on a connection of its own, how many the gateway has, until `work` ends. */
export async function watchConnections(
  rig: Rig,
  work: () => Promise<unknown>,
): Promise<OpenConnections> {
  const sql = postgres({
    ...parseDatabaseUrl(rig.databaseUrl),
    max: 1,
    connection: { application_name: 'watcher' },
  })
  const seen: OpenConnections = { most: 0, looks: 0 }
  let running: Promise<void> | undefined
  const look = async () => {
    const [row] = await sql<{ n: number }[]>`
      select count(*)::integer as n from pg_stat_activity
      where backend_type = 'client backend' and application_name = 'db-gateway'
    `
    seen.most = Math.max(seen.most, row!.n)
    seen.looks++
  }
  const timer = setInterval(() => {
    running ??= look().finally(() => {
      running = undefined
    })
  }, LOOK_EVERY_MS)
  try {
    await work()
  } finally {
    clearInterval(timer)
    await running
    await sql.end()
  }
  return seen
}

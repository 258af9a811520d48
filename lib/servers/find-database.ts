import { withinMs } from '../common/within.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import { MAIN_SERVER } from './parse-servers.ts'

/** What it needs of the servers. */
interface AllServers {
  entries(): {
    name: string
    parts: { catalog: { use<T>(work: (sql: Sql) => Promise<T>): Promise<T> } } | undefined
  }[]
}

/** How long a server may take to say whether it has the database. */
const PATIENCE_MS = 2000

/** Returns the name of the server that has a database, whether its catalog knows it or not; else `main`. */
export async function serverWith(servers: AllServers, database: string): Promise<string> {
  const found = await Promise.all(
    servers.entries().map(async ({ name, parts }) => {
      const looking = parts?.catalog.use(
        (sql) => sql`select from pg_database where datname = ${database}`,
      )
      const rows = looking && (await withinMs(PATIENCE_MS, looking).catch(() => undefined))
      return rows && rows.length > 0 ? name : undefined
    }),
  )
  return found.find((name) => name !== undefined) ?? MAIN_SERVER
}

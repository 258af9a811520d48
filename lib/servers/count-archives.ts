import { withinMs } from '../common/within.ts'
import type { Sql } from '../postgres/pools/connection.ts'

/** What it needs of the servers. */
interface AllServers {
  entries(): {
    name: string
    parts: { catalog: { use<T>(work: (sql: Sql) => Promise<T>): Promise<T> } } | undefined
  }[]
  placements: { serversOf(platform: string): string[] }
}

/** How long a server may take to count its databases; they are not counted otherwise. */
const PATIENCE_MS = 2000

/** Returns how many databases of a platform on other servers than `main` have each archive, by checksum. */
export async function countElsewhere(
  servers: AllServers,
  platform: string,
): Promise<Map<string, number>> {
  const names = servers.placements.serversOf(platform)
  const counts = new Map<string, number>()
  const asked = servers.entries().map(async ({ name, parts }) => {
    if (!parts || !names.includes(name)) return
    const counting = parts.catalog.use(
      (sql) => sql<{ checksum: string; databases: number }[]>`
        select schema_checksum as checksum, count(*)::integer as databases
        from _db_gateway_databases
        where platform = ${platform} and schema_checksum is not null
        group by schema_checksum
      `,
    )
    const rows = await withinMs(PATIENCE_MS, counting).catch(() => undefined)
    for (const { checksum, databases } of rows ?? []) {
      counts.set(checksum, (counts.get(checksum) ?? 0) + databases)
    }
  })
  await Promise.all(asked)
  return counts
}

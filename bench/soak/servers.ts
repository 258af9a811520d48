import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { SoakPostgres } from './postgres.ts'

/** A PostgreSQL server with its name in SERVERS. */
export interface SoakServer {
  name: string
  postgres: SoakPostgres
}

/** Starts servers, `main` first. @param onExit called when one has ended by itself */
export async function startServers(
  folder: string,
  count: number,
  onExit: () => void,
): Promise<SoakServer[]> {
  const servers: SoakServer[] = []
  for (let i = 0; i < count; i++) {
    const name = i === 0 ? 'main' : `e${i}`
    const own = join(folder, name)
    await mkdir(own)
    // PostgreSQL runs as another user where this is root.
    await chmod(own, 0o755)
    servers.push({ name, postgres: await SoakPostgres.start(own, onExit) })
  }
  return servers
}

/** The settings of a gateway for these servers, each with so many connections. */
export function settingsFor(servers: SoakServer[], connections: number): Record<string, string> {
  const [main, ...others] = servers as [SoakServer, ...SoakServer[]]
  const settings = {
    DATABASE_URL: main.postgres.url,
    MAX_TOTAL_CONNECTIONS: `${connections}`,
  }
  if (others.length === 0) return settings
  return {
    ...settings,
    SERVERS: others.map(({ name, postgres }) => `${name}=${postgres.url}`).join(';'),
  }
}

/** The server of a tenant, which are spread over all: `t5` is the sixth. */
export function serverOf(servers: SoakServer[], tenant: string): SoakServer {
  return servers[Number(tenant.slice(1)) % servers.length]!
}

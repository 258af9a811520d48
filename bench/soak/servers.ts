import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { SoakPostgres } from './postgres.ts'

/** A PostgreSQL server with its name in SERVERS. */
export interface SoakServer {
  name: string
  postgres: SoakPostgres
  replica?: SoakPostgres
}

/**
 * Starts servers, `main` first, which may have a streaming replica.
 * @param onExit called when one has ended by itself
 */
export async function startServers(
  folder: string,
  { servers: count, replica: hasReplica }: { servers: number; replica: boolean },
  onExit: () => void,
): Promise<SoakServer[]> {
  const servers: SoakServer[] = []
  for (let i = 0; i < count; i++) {
    const name = i === 0 ? 'main' : `e${i}`
    servers.push({
      name,
      postgres: await SoakPostgres.start(await makeFolder(folder, name), onExit),
    })
  }
  const [main] = servers
  if (main && hasReplica) {
    main.replica = await main.postgres.startReplica(await makeFolder(folder, 'replica'))
  }
  return servers
}

async function makeFolder(parent: string, name: string): Promise<string> {
  const folder = join(parent, name)
  await mkdir(folder)
  // PostgreSQL runs as another user where this is root.
  await chmod(folder, 0o755)
  return folder
}

/** Every PostgreSQL, replicas too. */
export function everyPostgres(servers: SoakServer[]): SoakPostgres[] {
  return servers.flatMap(({ postgres, replica }) => (replica ? [postgres, replica] : [postgres]))
}

/** The settings of a gateway for these servers, each with so many connections. */
export function settingsFor(servers: SoakServer[], connections: number): Record<string, string> {
  const [main, ...others] = servers as [SoakServer, ...SoakServer[]]
  const settings = {
    DATABASE_URL: main.postgres.url,
    MAX_TOTAL_CONNECTIONS: `${connections}`,
    ...(main.replica && { DATABASE_READ_URLS: main.replica.url }),
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

import type { Log } from '../log.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import { MAIN_SERVER } from './parse-servers.ts'
import { type OneOfServers, Places } from './places.ts'

/** Runs work in the catalog of a server. */
interface CatalogAccess {
  use<T>(work: (sql: Sql) => Promise<T>): Promise<T>
}

/** All servers; P is what deploys have of each. */
interface AllServers<P> extends Omit<OneOfServers, 'name'> {
  entries(): {
    name: string
    parts: { deploys: { parts: P } } | undefined
    trouble: string | undefined
  }[]
}

/**
 * Returns what deploys to the databases of one server need of the others.
 * @param catalog that of this server
 * @param platformCatalog that of `main`
 * @param later returns the servers, once they are built
 */
export function forDeploys<P>(
  name: string,
  catalog: CatalogAccess,
  platformCatalog: CatalogAccess,
  log: Log,
  later: () => { servers: AllServers<P> },
) {
  const server = () => {
    const { placements } = later().servers
    return { name, placements }
  }
  return {
    platformCatalog,
    places: new Places(server, (work) => catalog.use(work), log),
    serversOf: (platform: string) => {
      const { servers } = later()
      const { placements } = servers
      const names = name === MAIN_SERVER ? placements.serversOf(platform) : []
      return names.map((other) => {
        const entry = servers.entries().find((one) => one.name === other)
        return {
          name: other,
          parts: entry?.parts?.deploys.parts,
          trouble: entry ? entry.trouble : 'is not in SERVERS',
          placed: () => placements.listOn(platform, other),
        }
      })
    },
  }
}

import type { H3EventContext } from 'h3'
import { type Gathered, gather, isAway, whileAnswering } from '../servers/fan-in.ts'
import { MAIN_SERVER } from '../servers/parse-servers.ts'
import type { Owner } from '../tenancy/names.ts'
import type { NewestArchive } from '../tenancy/schemas/archive-order.ts'
import { parseText } from './body/page-query.ts'

type Gateway = H3EventContext['gateway']

/**
 * Asks the servers that a list is about: the one that the query gives, else that of the tenant that it
 * names, else all.
 * @param server query parameter `server`
 * @throws {GatewayError} invalid_request if SERVERS does not name it; as `gather`
 */
export async function askServers<T>(
  { servers }: Gateway,
  { server, owner }: { server?: unknown; owner?: Owner | undefined },
  work: (there: Gateway) => Promise<T>,
): Promise<Gathered<T>> {
  const given = parseServer(servers, server)
  const only = given ?? (owner && servers.nameOf(await servers.holding(owner)))
  return gather(servers, work, only)
}

/**
 * Parses the name of a server; undefined if it is absent.
 * @throws {GatewayError} invalid_request naming the servers
 */
export function parseServer(
  servers: { checkName(field: string, name: string): string },
  value: unknown,
): string | undefined {
  const name = parseText('server', value)
  return name === undefined ? undefined : servers.checkName('server', name)
}

/**
 * Returns the field that says on which server a database is, or null for one that is not known yet; none
 * without SERVERS.
 */
export function serverField(
  { servers }: Gateway,
  database: string | null,
): { server?: string | null } {
  if (!servers.areSeveral) return {}
  return { server: database && (servers.placements.of(database) ?? MAIN_SERVER) }
}

/** Returns `askServers` with the newest archives of a platform, or of all, as `newestOfMain` has them. */
export function askWithNewest(
  gateway: Gateway,
  query: { server?: unknown },
  platform?: string,
): <T>(
  work: (there: Gateway, newest: NewestArchive[] | undefined) => Promise<T>,
) => Promise<Gathered<T>> {
  const newest = newestOfMain(gateway, platform)
  return (work) => askServers(gateway, query, async (there) => work(there, await newest(there)))
}

/**
 * Returns a function that gives the newest archives of a platform, or of all, to the query of a server:
 * `main` has the archives. They are read once; undefined for `main` itself, and where it is away.
 */
export function newestOfMain({ servers }: Gateway, platform?: string) {
  const main = servers.named(MAIN_SERVER)
  let reading: Promise<NewestArchive[] | undefined> | undefined
  return (there: Gateway): Promise<NewestArchive[] | undefined> => {
    if (there === main) return Promise.resolve(undefined)
    reading ??= whileAnswering(main, MAIN_SERVER, () => main.platforms.newest(platform)).catch(
      (error) => {
        if (!isAway(error)) throw error
        return undefined
      },
    )
    return reading
  }
}

/**
 * Checks that a platform is known: by the catalog of `main`, and where that is away, not at all.
 * @throws {GatewayError} not_found
 */
export async function checkKnown({ servers }: Gateway, platform: string): Promise<void> {
  const main = servers.named(MAIN_SERVER)
  const check = () => main.platforms.check(platform)
  if (!servers.areSeveral) return check()
  try {
    await whileAnswering(main, MAIN_SERVER, check)
  } catch (error) {
    const isElsewhere = servers.placements.serversOf(platform).length > 0
    if (!isElsewhere && !isAway(error)) throw error
  }
}

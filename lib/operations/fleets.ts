import type { Fleet, FleetPlatform } from '../fleet/fleet.ts'
import { type Answer, gather, isAway } from '../servers/fan-in.ts'
import type { ServerEntry } from '../servers/servers.ts'
import type { NewestArchive } from '../tenancy/schemas/archive-order.ts'

/** The parts for a server, as far as its databases are counted. */
interface Counted {
  fleet: Fleet
  platforms: { newest(): Promise<NewestArchive[]> }
  health: { answers(withinMs: number): Promise<boolean> }
}

interface CountedServers {
  readonly areSeveral: boolean
  entries(): ServerEntry<Counted>[]
  named(name: string): Counted
}

/** Returns the platforms of each server that answers, with the numbers of their databases. */
export async function fleetsOf(servers: CountedServers): Promise<Answer<FleetPlatform[]>[]> {
  const main = servers.entries()[0]!.parts!
  const newest = servers.areSeveral ? await newestOf(main) : undefined
  const { answers } = await gather(servers, (there) =>
    there.fleet.platforms(undefined, undefined, there === main ? undefined : newest),
  )
  return answers
}

/** The newest archives, which `main` has; undefined while it is away. */
async function newestOf(main: Counted): Promise<NewestArchive[] | undefined> {
  try {
    return await main.platforms.newest()
  } catch (error) {
    if (isAway(error)) return undefined
    throw error
  }
}

import { readMoves } from '../deploy/relocate/moves-table.ts'
import type { Abilities } from '../fleet/abilities.ts'
import type { Fleet } from '../fleet/fleet.ts'
import { byDatabase, joinFleets } from '../fleet/join-fleets.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import {
  awayField,
  type Gathered,
  gather,
  isAway,
  joinRows,
  whileAnswering,
} from '../servers/fan-in.ts'
import { MAIN_SERVER } from '../servers/parse-servers.ts'
import type { ServerEntry } from '../servers/servers.ts'
import { readFormer } from '../tenancy/catalog/moved-away.ts'
import type { NewestArchive } from '../tenancy/schemas/archive-order.ts'

/** The parts for a server, as far as its databases are listed. */
interface Listed {
  fleet: Fleet
  catalog: { use<T>(work: (sql: Sql) => Promise<T>): Promise<T> }
  health: { answers(withinMs: number): Promise<boolean> }
}

interface ListedServers {
  readonly areSeveral: boolean
  names(): string[]
  entries(): ServerEntry<Listed>[]
  named(name: string): Listed
}

/** Asks the servers that a list is about, with the newest archives where `main` has them alone. */
type Ask = <T>(
  work: (there: Listed, newest: NewestArchive[] | undefined) => Promise<T>,
) => Promise<Gathered<T>>

/**
 * Returns the platforms that the client may name, with the numbers of their databases on all servers.
 * @throws {GatewayError} as `gather`
 */
export async function listPlatforms(
  servers: ListedServers,
  ask: Ask,
  mayName: ((platform: string) => boolean) | undefined,
) {
  const can = await readAbilities(servers)
  const gathered = await ask((there, newest) => there.fleet.platforms(mayName, undefined, newest))
  const platforms = joinFleets(gathered.answers.map((one) => one.answer))
  return { platforms, count: platforms.length, can, ...serverFields(servers, gathered) }
}

/**
 * Returns the databases of a platform on all servers, with what moves between servers do and have left.
 * @throws {GatewayError} as `gather`
 */
export async function listDatabases(servers: ListedServers, ask: Ask, platform: string) {
  const can = await readAbilities(servers)
  const gathered = await ask(async (there, newest) => {
    const [platforms, databases, former] = await Promise.all([
      there.fleet.platforms(undefined, platform, newest),
      there.fleet.databases(platform, newest),
      servers.areSeveral ? there.catalog.use((sql) => readFormer(sql, platform)) : [],
    ])
    return { platforms, databases, former }
  })
  const { answers } = gathered
  const rows = answers.map(({ server, answer }) => ({ server, answer: answer.databases }))
  const databases = await joinRows(servers, rows, byDatabase)
  const former = answers.flatMap(({ server, answer }) =>
    answer.former.map((one) => ({ ...one, server })),
  )
  return {
    platforms: joinFleets(answers.map((one) => one.answer.platforms)),
    databases,
    count: databases.length,
    can,
    ...(servers.areSeveral && { moving: await readMoving(servers, platform), former }),
    ...serverFields(servers, gathered),
  }
}

/** What can be done on `main`; where it is away, on the first server that answers. */
async function readAbilities(servers: ListedServers): Promise<Abilities> {
  const { answers } = await gather(servers, (there) => there.fleet.can())
  return answers[0]!.answer
}

/** The moves of the platform's tenants that run; none where `main`, which has them, is away. */
async function readMoving(servers: ListedServers, platform: string) {
  const main = servers.named(MAIN_SERVER)
  const moves = await whileAnswering(main, MAIN_SERVER, ({ catalog }) =>
    catalog.use(readMoves),
  ).catch((error) => {
    if (isAway(error)) return []
    throw error
  })
  return moves
    .filter((move) => move.platform === platform)
    .map(({ database, from, to, phase, startedAt }) => {
      return { database, from, to, phase, started_at: startedAt }
    })
}

/** The servers that there are, and those of them that have not answered; nothing without SERVERS. */
function serverFields(servers: ListedServers, gathered: { away: string[] }) {
  return servers.areSeveral && { servers: servers.names(), ...awayField(servers, gathered) }
}

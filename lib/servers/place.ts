import { GatewayError } from '../errors.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import type { Labels } from '../tenancy/labels.ts'
import { databaseName, type Owner } from '../tenancy/names.ts'
import { MAIN_SERVER } from './parse-servers.ts'
import { isElsewhere } from './places.ts'
import type { Servers } from './servers.ts'
import type { WrittenBefore } from './written.ts'

/** A database that is asked for, which may have to be made. */
export interface Wanted {
  owner: Owner
  /** Name of the server that the request gives; undefined: any. */
  server: string | undefined
  labels: Labels
  /** False if the database is not to be made now, as in a dry run: nothing is recorded. */
  isRecorded: boolean
}

interface Member {
  catalog: {
    has(platform: string): Promise<boolean>
    locate(owner: Owner): Promise<string>
    findHere(owner: Owner): Promise<string | undefined>
    use<T>(work: (sql: Sql) => Promise<T>): Promise<T>
  }
  deploys: { leaveUnmade(database: string): Promise<void> }
  writtenBefore: WrittenBefore
}

/**
 * Returns the server that has the owner's database, or else places it: on the server that the request
 * gives, or the one that `choose` returns.
 * @throws {GatewayError} invalid_request if the request gives a server that is not in SERVERS;
 *   name_conflict if the database is on another one; connection_failed if the server has not answered yet
 */
export async function serverFor<G extends Member>(
  servers: Servers<G>,
  { owner, server, labels, isRecorded }: Wanted,
  choose: (owner: Owner, labels: Labels) => string | Promise<string>,
): Promise<G> {
  if (server !== undefined) servers.checkName('server', server)
  const main = servers.named(MAIN_SERVER)
  if (!servers.areSeveral) return main
  const database = databaseName(owner)
  const there = await servers.holding(owner)
  const placed = servers.placements.of(database)
  const isThere = there !== main || (await main.catalog.findHere(owner)) !== undefined
  if (isThere || placed !== undefined) {
    // It may have been placed while it was looked for on `main`.
    const holder = placed === undefined ? there : servers.named(placed)
    const name = servers.nameOf(holder)
    if (server === undefined || server === name) return holder
    // What was placed and never made may be placed anew.
    if (await isMade(holder, owner)) throw isElsewhere(owner, name)
    await holder.deploys.leaveUnmade(database)
  }
  const chosen = server ?? (await choose(owner, labels))
  const open = servers.named(chosen)
  if (!isRecorded) return open
  const actual = await servers.placements.place(owner, chosen)
  if (server !== undefined && actual !== server) throw isElsewhere(owner, actual)
  return servers.named(actual)
}

async function isMade(there: Member, owner: Owner): Promise<boolean> {
  try {
    await there.catalog.locate(owner)
    return true
  } catch (error) {
    if (error instanceof GatewayError && error.code === 'database_not_found') return false
    throw error
  }
}

import type { Sql } from '../postgres/pools/connection.ts'
import { inTransaction } from '../postgres/transaction.ts'
import { MAIN_SERVER } from './parse-servers.ts'

/** Runs work in the catalog of `main`, which has the table _db_gateway_servers. */
type Use = <T>(work: (sql: Sql) => Promise<T>) => Promise<T>

/** A server of SERVERS, as it says itself. */
interface Named {
  name: string
  /** Id of its catalog. */
  catalog: string
}

/** A server that is not the one that its name stands for; the message is a predicate. */
export class WrongServer extends Error {}

/**
 * Checks that a server is the one that had the name before, by the id of its catalog, and is not `main`.
 * Changes nothing.
 * @throws {WrongServer} if it is another one, or has two names
 */
export async function checkIdentity(use: Use, server: Named, mainId: string): Promise<void> {
  if (server.catalog === mainId) throw new WrongServer(isTwice(MAIN_SERVER))
  await use((sql) => isNoted(sql, server))
}

/**
 * Notes which server has the name, for later starts.
 * @returns whether that was not noted before
 * @throws {Error} as `checkIdentity`, where another gateway has noted another one meanwhile
 */
export function noteIdentity(use: Use, server: Named): Promise<boolean> {
  return use((sql) =>
    inTransaction(sql, async () => {
      // One server of two names is opened under both at once.
      await sql.unsafe(`
        set local lock_timeout = 0;
        select pg_advisory_xact_lock(hashtext('_db_gateway_servers'))
      `)
      if (await isNoted(sql, server)) return false
      await sql`
        insert into _db_gateway_servers (name, catalog) values (${server.name}, ${server.catalog})
      `
      return true
    }),
  )
}

/** Returns whether the server has been noted. @throws {Error} if what has been noted contradicts it */
async function isNoted(sql: Sql, { name, catalog }: Named): Promise<boolean> {
  const rows = await sql<Named[]>`
    select name, catalog::text from _db_gateway_servers where name = ${name} or catalog = ${catalog}
  `
  const own = rows.find((row) => row.name === name)
  if (own && own.catalog !== catalog) {
    throw new WrongServer(
      `has the catalog ${catalog}, but the server of this name had ${own.catalog}: SERVERS names another PostgreSQL (after a move on purpose: delete its row in _db_gateway_servers)`,
    )
  }
  const other = rows.find((row) => row.name !== name)
  if (other) {
    throw new WrongServer(
      `${isTwice(other.name)} (if SERVERS does not name ${other.name} any more: delete its row in _db_gateway_servers)`,
    )
  }
  return own !== undefined
}

function isTwice(name: string): string {
  return `is the server ${name} by its catalog: it is given twice`
}

import type { Sql } from '../postgres/pools/connection.ts'
import { MAIN_SERVER } from './parse-servers.ts'

/**
 * Checks that a server is the one that had the name before, by the id of its catalog, and is not `main`.
 * @param use runs work in the catalog of `main`, which has the table _db_gateway_servers
 * @throws {Error} with a predicate, if it is another one, or has two names
 */
export async function checkIdentity(
  use: <T>(work: (sql: Sql) => Promise<T>) => Promise<T>,
  name: string,
  catalogId: string,
  mainId: string,
): Promise<void> {
  if (catalogId === mainId) throw isTwice(MAIN_SERVER)
  const rows = await use(async (sql) => {
    await sql`
      insert into _db_gateway_servers (name, catalog) values (${name}, ${catalogId})
      on conflict (name) do nothing
    `
    return sql<{ name: string; catalog: string }[]>`
      select name, catalog::text from _db_gateway_servers
      where name = ${name} or catalog = ${catalogId}
    `
  })
  const own = rows.find((row) => row.name === name)
  if (own?.catalog !== catalogId) {
    throw new Error(
      `has the catalog ${catalogId}, but the server of this name had ${own?.catalog}: SERVERS names another PostgreSQL (after a move on purpose: delete its row in _db_gateway_servers)`,
    )
  }
  const other = rows.find((row) => row.name !== name)
  if (other) throw isTwice(other.name)
}

function isTwice(name: string): Error {
  return new Error(`is the server ${name} by its catalog: it is given twice`)
}

import type { Sql } from '../postgres/connection.ts'

/** Says in a database whose it is: a comment on the ledger's schema, which only the gateway may set. */
export async function markCatalog(sql: Sql, catalogId: string): Promise<void> {
  await sql.unsafe(`comment on schema _db_gateway is '${markOf(catalogId)}'`)
}

/** The comment that says so. */
export function markOf(catalogId: string): string {
  return `catalog ${catalogId}`
}

/**
 * Returns SQL that marks a database as belonging to a catalog: a comment on the ledger's schema,
 * which only the gateway's role may set.
 */
export function markCatalog(catalogId: string): string {
  return `comment on schema _db_gateway is '${markOf(catalogId)}'`
}

/** Returns the text of that comment. */
export function markOf(catalogId: string): string {
  return `catalog ${catalogId}`
}

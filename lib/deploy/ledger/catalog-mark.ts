/** Says in a database whose it is: a comment on the ledger's schema, which only the gateway may set. */
export function markCatalog(catalogId: string): string {
  return `comment on schema _db_gateway is '${markOf(catalogId)}'`
}

/** The comment that says so. */
export function markOf(catalogId: string): string {
  return `catalog ${catalogId}`
}

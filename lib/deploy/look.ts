/** What the catalogs of a database are known by. */
export interface Look {
  /** Equal in databases that have the same objects. */
  print: string
  /** Another one when anything has changed in this database. */
  version: string
}

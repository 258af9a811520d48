/** Digests of a database's catalogs. */
export interface Look {
  /** Digest that is equal in databases with the same objects. */
  print: string
  /** Version that changes whenever any object in this database changes. */
  version: string
}

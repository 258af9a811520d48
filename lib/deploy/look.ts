import type { LeftState } from './replay/left-state.ts'

/** Digests of a database's catalogs. */
export interface Look {
  /** Digest that is equal in databases with the same objects. */
  print: string
  /** Version that changes whenever any object in this database changes. */
  version: string
  /** The state that goes with the print, for the ledger; its digest was taken before the print. */
  state?: LeftState & { content: string }
}

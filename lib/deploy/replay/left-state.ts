/** The state that a deploy left, as recorded in the ledger. */
export interface LeftState {
  /** `digest` of `STATE`. */
  digest: string | null
  /** Print of the catalogs: see `Look`. */
  print: string
}

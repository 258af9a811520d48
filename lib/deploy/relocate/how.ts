import type { GatewayError } from '../../errors.ts'

/** How a database is copied. */
export type How = 'dump' | 'replicate'

/** What a request asks for: `auto` replicates what calls cannot wait for while it is dumped. */
export type AskedHow = How | 'auto'

/** The ways of `AskedHow`. */
export const HOWS: AskedHow[] = ['auto', 'dump', 'replicate']

/** How a move is made. */
export interface Plan {
  how: How
  /** Why `auto` has chosen it. */
  why?: string
  /** Why it is not made by replication, where `auto` would have it so. */
  refusal?: GatewayError | undefined
}

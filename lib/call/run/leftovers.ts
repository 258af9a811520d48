import type { Connection } from '../../postgres/pools/connection.ts'
import type { Session } from '../../postgres/session/session.ts'
import type { Signature } from '../signatures/signature.ts'

/**
 * Notes whether the session has to be reset or closed after these functions. Before a function that
 * leaves session state it also runs DISCARD SEQUENCES: earlier functions that leave nothing else
 * may have left the last values of sequences. Call it right before the functions run in an
 * exclusive session.
 */
export function expectLeftovers(
  connection: Connection,
  session: Session,
  ...signatures: Signature[]
): void {
  const leaving = signatures.filter(({ verdict }) => verdict.afterwards !== 'keep')
  if (leaving.length === 0) return
  connection.needsReset = true
  if (leaving.some(({ verdict }) => verdict.afterwards === 'close')) connection.isSpent = true
  // If it fails, the connection is lost, and so is the call behind it.
  session.simple('discard sequences').catch(() => {})
}

import type { Connection } from '../../postgres/pools/connection.ts'
import type { Session } from '../../postgres/session/session.ts'
import type { Signature } from '../signatures/signature.ts'

/**
 * To be called right before functions run in an exclusive session: notes what has to become of the
 * session afterwards, and takes away what functions that leave nothing else may have left, the last
 * values of sequences.
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
  // Where it fails, the connection is lost, and so is the call behind it.
  session.simple('discard sequences').catch(() => {})
}

import { GatewayError } from '../../errors.ts'

/** A call, or what stands for one: its database, and where the tenant may be now. */
export interface Movable {
  database: string
  /**
   * Returns the database that the tenant has now, for a call that found `database` gone; undefined:
   * the call does not follow its tenant.
   * @throws {GatewayError} database_not_found if the tenant has none
   */
  findMoved?: ((gone: string) => Promise<string>) | undefined
}

/**
 * Returns the call for the database that the tenant has now, if the error says that its database is
 * gone: PostgreSQL refused the session, so nothing has run. It follows its tenant once.
 * @throws `error`, if it says anything else; errors of `findMoved`
 */
export async function followTenant<T extends Movable>(call: T, error: unknown): Promise<T> {
  const isGone = error instanceof GatewayError && error.code === 'database_not_found'
  if (!isGone || !call.findMoved) throw error
  const database = await call.findMoved(call.database)
  return { ...call, database, findMoved: undefined }
}

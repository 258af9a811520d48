import { shown } from '../common/shown.ts'

/** Schemas without functions of a platform: those of sessions, and the gateway's own. */
const NOT_CALLABLE = /^(?:_db_gateway|pg_temp|pg_toast)/

/**
 * Returns the name of a schema whose functions /call may find.
 * @throws {Error} if it is none
 */
export function checkCallableSchema(name: unknown): string {
  if (typeof name !== 'string' || !/^[^\s"',]{1,63}$/.test(name)) {
    throw new Error(`${shown(JSON.stringify(name))} is not the name of a schema`)
  }
  if (NOT_CALLABLE.test(name)) throw new Error(`functions in ${name} cannot be called`)
  return name
}

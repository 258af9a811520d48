import { randomBytes } from 'node:crypto'
import { isPostgresError } from '../postgres/errors.ts'

/** A setting that nobody has: to read it is an error. */
const REPLACED = `db_gateway.replaced_${randomBytes(8).toString('hex')}`
const UNDEFINED_OBJECT = '42704'

/** SQL, a text, that fails: for a function that has been replaced, where nothing else tells so. */
export const FAIL_AS_REPLACED = `current_setting('${REPLACED}')`

/** Whether the error is that of FAIL_AS_REPLACED: nothing has run. */
export function isReplacedError(error: unknown): boolean {
  return (
    isPostgresError(error) && error.code === UNDEFINED_OBJECT && error.message.includes(REPLACED)
  )
}

import { LOCK_CLASS } from '../../lib/postgres/pools/call-sessions.ts'
import { LOCK_CLASS as SECRETS_LOCK_CLASS } from '../../lib/tenancy/secrets/secret-change.ts'

/**
 * A condition for rows of pg_locks: an advisory lock of a deploy. All others are held for as long as
 * a session lives: by which gateways know each other, by which they tell what secrets they know, and
 * the presence of a session for calls. The gate (key 1), which a deploy closes, is in their class.
 */
export const IS_OF_DEPLOY = `
  locktype = 'advisory'
  and classid <> ${SECRETS_LOCK_CLASS}
  and (classid <> ${LOCK_CLASS} or (objid = 1 and mode = 'ExclusiveLock'))
`

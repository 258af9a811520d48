import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteIdentifier } from '../../postgres/quote.ts'
import { inTransaction } from '../../postgres/transaction.ts'
import { databaseLock } from '../database-lock.ts'

interface OpenDatabase {
  name: string
  is_own: boolean
}

/**
 * Revokes CONNECT from PUBLIC, and so from the platforms' roles, on the databases that the
 * gateway's role owns. A superuser may own databases of other applications: if the gateway's role
 * is one, only the catalog's database, to which `sql` is connected, is closed. A database that somebody
 * makes at this moment is closed by whoever makes it.
 * @returns names of the databases that PUBLIC can still connect to, in order
 */
export async function closeDatabases(sql: Sql): Promise<string[]> {
  const open = await sql<OpenDatabase[]>`
    select d.datname as name,
      d.datdba = r.oid and (not r.rolsuper or d.datname = current_database()) as is_own
    from pg_database d
    join pg_roles r on r.rolname = current_user
    where d.datallowconn and d.datconnlimit <> -2 and exists (
      select from aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) acl
      where acl.grantee = 0 and acl.privilege_type = 'CONNECT'
    )
    order by d.datname
  `
  const left: string[] = []
  for (const { name, is_own } of open) {
    if (!is_own) left.push(name)
    else await closeUnlessMade(sql, name)
  }
  return left
}

/**
 * Two sessions that change the owner or the privileges of a database at once end one of them with "tuple
 * concurrently updated": that of a deploy, of which a request would fail.
 */
function closeUnlessMade(sql: Sql, name: string): Promise<void> {
  return inTransaction(sql, async () => {
    const [lock] = await sql<{ is_free: boolean }[]>`
      select pg_try_advisory_xact_lock(${databaseLock(sql, name)}) as is_free
    `
    if (lock!.is_free) await sql.unsafe(revokeStatement(name))
  }).catch(tolerate)
}

/**
 * Revokes CONNECT from PUBLIC on `postgres` and `template1`. Only for a server that the gateway
 * alone uses; needs a superuser.
 */
export async function closeMaintenance(sql: Sql): Promise<void> {
  for (const name of ['postgres', 'template1'])
    await sql.unsafe(revokeStatement(name)).catch(tolerate)
}

/** Tolerates a database that is dropped, or closed by another gateway, at the same time. */
function tolerate(error: { code?: string }): void {
  if (error.code !== UNDEFINED_DATABASE && error.code !== INTERNAL_ERROR) throw error
}

const UNDEFINED_DATABASE = '3D000'

/** SQLSTATE of "tuple concurrently updated", if another gateway revokes at the same time. */
const INTERNAL_ERROR = 'XX000'

/** Returns the statement that revokes CONNECT on a database from PUBLIC. */
export function revokeStatement(database: string): string {
  return `revoke connect on database ${quoteIdentifier(database)} from public`
}

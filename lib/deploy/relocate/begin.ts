import { GatewayError } from '../../errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { readMajor, requirePgTool } from '../../postgres/server-tools.ts'
import { absentError } from '../../tenancy/catalog/absent.ts'
import { type NamedEntry, readEntry } from '../../tenancy/catalog/catalog-table.ts'
import { checkNotMoving, readMoved } from '../../tenancy/catalog/moved-away.ts'
import { databaseName, type Owner } from '../../tenancy/names.ts'
import { describeOwner, isSameOwner } from '../../tenancy/owner-identity.ts'
import { isLeft, nameConflict } from '../database/database.ts'
import { asGateway } from '../database/handover.ts'
import { untilNoDeploy } from '../move/sessions.ts'
import { checkExtensions, checkMovable, checkRoles, moveRefused } from './check.ts'
import type { CopyTools } from './copy.ts'
import { checkLocale, checkMoney, readLocale } from './locale.ts'
import type { MoveServers } from './servers.ts'

/** Milliseconds that a running deploy to the tenant gets to end. */
const DEPLOY_WAIT_MS = 60_000

/** What is known of the two servers before a move. */
export interface Fitting {
  role: string
  tools: CopyTools
  /** Whether both have the same major version. */
  isSameVersion: boolean
}

/**
 * Checks that the two servers fit.
 * @throws {GatewayError} move_refused; dump_not_available
 */
export async function checkServers(servers: MoveServers, owner: Owner): Promise<Fitting> {
  const { source, target, from, to } = servers
  const role = source.roles.roleOf(owner.platform)
  if (role === null) {
    throw new GatewayError(
      'dump_not_available',
      'Platforms share the role of the gateway (ISOLATION=shared), as which the gateway restores no dump',
      { hint: 'Move it with pg_dump and pg_restore, then take it over with POST /admin/adopt' },
    )
  }
  const [major, there] = await Promise.all([
    source.catalog.use(readMajor),
    target.catalog.use(readMajor),
  ])
  if (there < major) {
    throw moveRefused(
      owner,
      `the server ${to} has PostgreSQL ${there}, and ${from} has the later version ${major}`,
      `Upgrade ${to}`,
    )
  }
  const [dump, restore] = await target.catalog.use(async (sql) => [
    await requirePgTool(sql, 'pg_dump'),
    await requirePgTool(sql, 'pg_restore'),
  ])
  return { role, tools: { dump: dump!, restore: restore! }, isSameVersion: major === there }
}

/**
 * Returns the source's entry as it is under the lock of its name, when no deploy to it runs and all of
 * it can be moved.
 * @param admin session in the source's administrative database that holds the lock
 * @param there session in the target's administrative database
 * @throws {GatewayError} database_not_found; tenant_busy; move_refused; name_conflict if an earlier
 *   move has left a former database there
 */
export async function checkSource(
  { source, target, from }: MoveServers,
  admin: Sql,
  there: Sql,
  owner: Owner,
  role: string,
): Promise<NamedEntry> {
  const database = databaseName(owner)
  const entry = await readEntry(admin, owner)
  if (!entry || !isSameOwner(entry, owner)) throw absentError(owner, entry)
  checkNotMoving(entry)
  await checkNoFormer(admin, owner, from)
  const [row] = await admin<{ is_there: boolean; is_due: boolean }[]>`
    select exists (select from pg_database where datname = ${database}) as is_there,
      coalesce(drop_at <= now(), false) as is_due
    from _db_gateway_databases where database = ${database}
  `
  const fails = (code: 'tenant_busy' | 'database_not_found', message: string) =>
    new GatewayError(code, message, { database })
  if (row!.is_due) throw fails('tenant_busy', `${describeOwner(owner)} is being dropped`)
  if (!row!.is_there) throw fails('database_not_found', `Database ${database} does not exist`)
  if (entry.role !== role) {
    throw moveRefused(
      owner,
      `${database} is not the role ${role}'s yet`,
      'Deploy to it once, which hands it over',
    )
  }
  await untilNoDeploy(admin, entry, DEPLOY_WAIT_MS)
  const { baseTemplate } = target.config
  checkLocale(owner, await readLocale(admin, database), await readLocale(there, baseTemplate))
  await asGateway(source, database, async (sql) => {
    await checkMovable(sql, owner, role, baseTemplate)
    await checkExtensions(sql, there, owner)
    await checkRoles(sql, there, owner, role)
    await checkMoney(sql, there, owner)
  })
  return entry
}

/**
 * Checks that the target has nothing of the name.
 * @param admin session in its administrative database that holds the lock of the name
 * @throws {GatewayError} name_conflict
 */
export async function checkTarget(
  { target, to }: MoveServers,
  admin: Sql,
  owner: Owner,
): Promise<void> {
  const database = databaseName(owner)
  const conflict = (message: string, hint: string) =>
    new GatewayError('name_conflict', message, { database, server: to, hint })
  await checkNoFormer(admin, owner, to)
  const entry = await readEntry(admin, owner)
  if (entry) throw nameConflict(owner, database, entry)
  if (!(await isLeft(target, admin, database))) return
  throw conflict(
    `Database ${database} exists on the server ${to}, whose catalog does not have it`,
    'See whether it is the same database, by another name of its server; if not, drop or rename it',
  )
}

/** A server keeps one former database of a name. @throws {GatewayError} name_conflict */
async function checkNoFormer(admin: Sql, owner: Owner, server: string): Promise<void> {
  if (!(await readMoved(admin, owner))) return
  const whose = describeOwner(owner).replace(/^T/, 't')
  throw new GatewayError(
    'name_conflict',
    `The server ${server} still has the former database of ${whose}, from before it was moved`,
    {
      database: databaseName(owner),
      server,
      hint: `Drop it with POST /admin/drop-tenant and "server": "${server}"`,
    },
  )
}

import type { Readable } from 'node:stream'
import { GatewayError } from '../../errors.ts'
import { fromPostgres } from '../../postgres/errors.ts'
import { dump } from '../../postgres/pg-dump.ts'
import { ToolError } from '../../postgres/pg-tools.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { requirePgTool } from '../../postgres/server-tools.ts'
import { TemporaryFolderError } from '../../postgres/temporary-folder.ts'
import { absentError } from '../../tenancy/catalog/absent.ts'
import { readTenant } from '../../tenancy/catalog/tenant-rows.ts'
import { databaseName, type Owner } from '../../tenancy/names.ts'
import { describeOwner, isSameOwner, ownerFields } from '../../tenancy/owner-identity.ts'
import { databaseInUse } from '../database/in-use.ts'
import { dumpSource } from '../drop/dumps.ts'
import type { DeployParts } from '../parts.ts'
import type { Transfers } from './transfers.ts'

/** Where a dump goes. */
export interface DumpSink {
  /** Sends the dump; called when it has begun. Returns its size in bytes. */
  send(dump: Readable): Promise<number>
  /** Aborted when the client is gone. */
  gone: AbortSignal
}

/** Maximum number of tables that an error names. */
const MAX_NAMED = 5

/**
 * Dumps an owner's database with pg_dump, as the role of its platform, into `sink`.
 * @returns the size of the dump in bytes
 * @throws {GatewayError} database_not_found; tenant_busy if it is being dropped; dump_not_available;
 *   dump_failed; database_in_use if a table stays locked for LOCK_TIMEOUT_SECS; pool_exhausted; query_timeout after
 *   DEPLOY_TIMEOUT_SECS
 */
export async function exportDatabase(
  parts: DeployParts,
  transfers: Transfers,
  owner: Owner,
  sink: DumpSink,
): Promise<number> {
  const { config, catalog, pools, log } = parts
  const database = await catalog.locate(owner)
  const pgDump = await catalog.use((sql) => requirePgTool(sql, 'pg_dump'))
  return transfers.run(config.deployTimeoutMs, async (stopping) => {
    const signal = AbortSignal.any([stopping, sink.gone])
    const release = await pools
      .reserve(database, (sql) => checkReadable(sql, database))
      .catch((error) => {
        throw fromPostgres(error, database)
      })
    let bytes = 0
    try {
      const limits = { lockTimeoutMs: config.lockTimeoutMs, signal }
      await dump(pgDump, dumpSource(parts, database), limits, async (out) => {
        bytes = await sink.send(out)
      })
    } catch (error) {
      if (isLockTimeout(error)) {
        throw await catalog.use((sql) => databaseInUse(sql, database, config.lockTimeoutMs))
      }
      throw await failed(parts, error, owner)
    } finally {
      release()
    }
    log.info('A tenant was exported', { ...ownerFields(owner), database, bytes })
    return bytes
  })
}

/**
 * Checks that the platform's role can read all rows. pg_dump would fail at such a table when a part
 * of the dump is sent already.
 * @throws {GatewayError} dump_failed
 */
async function checkReadable(sql: Sql, database: string): Promise<void> {
  const tables = await sql.unsafe<{ name: string }[]>(`
    select c.oid::pg_catalog.regclass::pg_catalog.text as name
    from pg_catalog.pg_class c
    where c.relkind in ('r', 'p') and c.relrowsecurity and c.relforcerowsecurity
      and not exists (
        select from pg_catalog.pg_roles r
        where r.rolname = current_user and (r.rolsuper or r.rolbypassrls)
      )
    order by 1 limit ${MAX_NAMED}
  `)
  if (tables.length === 0) return
  const names = tables.map(({ name }) => name).join(', ')
  throw new GatewayError(
    'dump_failed',
    `${database} could not be dumped: row level security is forced on ${names}, of which the platform's role cannot read all rows`,
    { database, hint: 'Dump it by hand, as a superuser' },
  )
}

/** Whether pg_dump did not get the lock of a table, which it waits for with a statement_timeout. */
function isLockTimeout(error: unknown): boolean {
  return error instanceof ToolError && /statement timeout[\s\S]*LOCK TABLE/.test(error.message)
}

/** Returns what a client is told of a failure: a tenant that is dropped meanwhile ends pg_dump. */
async function failed({ catalog }: DeployParts, error: unknown, owner: Owner): Promise<unknown> {
  const isOfDump = error instanceof ToolError || error instanceof TemporaryFolderError
  if (!isOfDump) return error
  const database = databaseName(owner)
  const tenant = await catalog.use((sql) => readTenant(sql, database))
  if (!tenant || !isSameOwner(tenant, owner)) return absentError(owner, tenant)
  if (tenant.isDue) {
    const message = `${describeOwner(owner)} is being dropped`
    return new GatewayError('tenant_busy', message, { database })
  }
  const cause = error.message
  return new GatewayError('dump_failed', `${database} could not be dumped`, { database, cause })
}

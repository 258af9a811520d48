import type { SchemaArchive } from '../../archive/archive.ts'
import type { DatabaseCopy } from '../../config/values.ts'
import { isPostgresError } from '../../postgres/errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteIdentifier } from '../../postgres/quote.ts'
import { INVALID_CATALOG_NAME } from '../../postgres/sqlstates.ts'
import { describeOwner } from '../../tenancy/catalog/catalog.ts'
import { databaseName, type Owner } from '../../tenancy/names.ts'
import { logCopiedSequences } from '../database/copied-sequences.ts'
import { dropDatabase } from '../database/database.ts'
import { handOver } from '../database/handover.ts'
import { type DatabaseSetting, settingStatements } from '../database/settings.ts'
import { STANDING } from '../ledger/key.ts'
import { requestFields } from '../log-fields.ts'
import type { DeployParts } from '../parts.ts'
import { TAKE_STATE, TAKEN_STATE } from '../replay/state-sql.ts'
import type { DeployOrigin, DeployResult } from '../result.ts'
import { templateName } from './names.ts'
import { markUnfinished, readTemplate } from './table.ts'
import { ChangedTemplate, checkUnchanged } from './unchanged.ts'

/** Request to create the owner's database. */
export interface CopyRequest {
  owner: Owner
  archive: SchemaArchive
  origin: DeployOrigin
}

/** A database that was created from a template. */
export interface Copied {
  /** Result of the deploy that built the template. */
  result: DeployResult
  role: string | null
}

/**
 * Creates the owner's database as a copy of the archive's template. Returns undefined, and leaves
 * no database, if there is no template, if it is in use, if files must generate values for each
 * database, or if the copy fails.
 * @param admin session in the administrative database
 */
export async function copyTemplate(
  parts: DeployParts,
  admin: Sql,
  request: CopyRequest,
): Promise<Copied | undefined> {
  const { owner, archive, origin } = request
  if (!parts.config.templates) return undefined
  const from = templateName(parts.server.database, owner.platform, archive.checksum)
  const template = await readTemplate(admin, from)
  if (template?.state !== 'ready') {
    parts.templates.unsettle(from)
    return undefined
  }
  if (template.generates !== null) return undefined
  if (await isInUse(admin, from)) return undefined
  const started = performance.now()
  const database = databaseName(owner)
  let isCreated = false
  try {
    const as = parts.roles.roleOf(owner.platform)
    await createCopy(admin, database, from, as, parts.config.databaseCopy)
    isCreated = true
    const hasSettings = await copySettings(admin, from, database)
    let version = ''
    const handing = async (sql: Sql) => {
      version = await writeDeployment(sql, origin, started)
      await logCopiedSequences(sql, as)
    }
    const check = (sql: Sql) => checkUnchanged(sql, from, archive.checksum)
    const role = await handOver(parts, admin, owner, handing, check)
    const { functions } = template.result!
    // A setting may apply to the platform's role only, so what was learned without it may not hold.
    const known = functions && !hasSettings ? { digest: functions.digest, version } : undefined
    const result = { ...template.result!, functions: known }
    const executionTimeMs = Math.round(performance.now() - started)
    await parts.deployments.record({
      owner,
      archiveChecksum: archive.checksum,
      origin,
      isNew: true,
      result,
      executionTimeMs,
    })
    parts.log.info(
      `Deploy: ${describeOwner(owner)}, from a template`,
      requestFields(request, executionTimeMs),
    )
    parts.forgetFunctions(database)
    parts.catchUp(database)
    return { result, role }
  } catch (error) {
    parts.log.warn(`${database} could not be copied from a template; the files run instead`, {
      cause: (error as Error).message,
      request_id: origin.requestId,
    })
    // If CREATE DATABASE failed, a database of that name is not the gateway's to drop.
    if (isCreated) await dropDatabase(parts, admin, database)
    const isDropped = isPostgresError(error) && error.code === INVALID_CATALOG_NAME
    if (isDropped || error instanceof ChangedTemplate) {
      // Somebody has dropped or changed the template by hand; it is built again.
      await markUnfinished(admin, from)
      parts.templates.unsettle(from)
    }
    return undefined
  }
}

/**
 * Returns whether the template has sessions: CREATE DATABASE would wait 5 s for them, then fail.
 */
async function isInUse(admin: Sql, database: string): Promise<boolean> {
  const rows = await admin`
    select from pg_stat_activity where datname = ${database} and backend_type = 'client backend'
  `
  return rows.length > 0
}

/**
 * Creates a database as a copy of another one, which must have no sessions.
 * @param role owner of the copy; null: the gateway's role
 */
export async function createCopy(
  admin: Sql,
  database: string,
  from: string,
  role: string | null,
  strategy: DatabaseCopy,
): Promise<void> {
  const owner = role === null ? '' : ` owner ${quoteIdentifier(role)}`
  await admin.unsafe(
    `create database ${quoteIdentifier(database)}${owner} template ${quoteIdentifier(from)} strategy ${strategy}`,
  )
}

/**
 * Copies the settings of ALTER DATABASE … SET and ALTER ROLE … IN DATABASE … SET, which CREATE
 * DATABASE does not copy.
 * @returns whether there were any
 */
export async function copySettings(admin: Sql, from: string, to: string): Promise<boolean> {
  const rows = await admin<DatabaseSetting[]>`
    select r.rolname as role, unnest(s.setconfig) as setting
    from pg_db_role_setting s
    join pg_database d on d.oid = s.setdatabase
    left join pg_roles r on r.oid = s.setrole
    where d.datname = ${from}
  `
  const statements = settingStatements(to, rows)
  if (statements.length > 0) await admin.unsafe(statements.join(';'))
  return statements.length > 0
}

/**
 * Rewrites the ledger of the copy: its only deploy has the time and origin of this request, and the
 * digests of the catalogs as they are after the handover, which the template has gone through as well.
 * @returns value of SCHEMA_VERSION
 */
async function writeDeployment(
  sql: Sql,
  { requestId, address }: DeployOrigin,
  started: number,
): Promise<string> {
  const ms = Math.round(performance.now() - started)
  await sql.unsafe(TAKE_STATE)
  const [now] = await sql.unsafe<{ version: string }[]>(
    `with now as (
      select ${TAKEN_STATE} as state
    ),
    last as (
      select max(id) as id from public._db_gateway_deployments where status = 'completed'
    ),
    others as (
      delete from public._db_gateway_deployments d using last where d.id <> last.id
    ),
    own as (
      update public._db_gateway_deployments d
      set deployed_at = now(), request_id = $1, address = $2, execution_time_ms = $3::integer,
        catalog_digest = case when catalog_digest is not null then now.state->>'catalog_digest' end
      from last, now where d.id = last.id
    ),
    state as (
      update public._db_gateway_files f
      set objects = jsonb_set(f.objects, '{digest}', now.state->'digest')
      from now where f.section = '${STANDING}' and f.name = 'state'
    ),
    migrations as (
      update public._db_gateway_migrations set applied_at = now()
    )
    select state->>'version' as version from now`,
    [requestId, address, ms],
  )
  return now!.version
}

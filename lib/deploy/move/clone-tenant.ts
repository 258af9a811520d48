import { randomBytes } from 'node:crypto'
import { GatewayError } from '../../errors.ts'
import { isQueryCanceled } from '../../postgres/errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteIdentifier } from '../../postgres/quote.ts'
import { inTransaction } from '../../postgres/transaction.ts'
import { addEntry } from '../../tenancy/catalog/catalog-table.ts'
import { copySchemaState } from '../../tenancy/catalog/move-entry.ts'
import type { Tenant } from '../../tenancy/catalog/tenant-rows.ts'
import type { Labels } from '../../tenancy/labels.ts'
import { databaseName, type Owner } from '../../tenancy/names.ts'
import { describeOwner, ownerFields } from '../../tenancy/owner-identity.ts'
import { logCopiedSequences } from '../database/copied-sequences.ts'
import { dropDatabase, nameConflict } from '../database/database.ts'
import { asGateway } from '../database/handover.ts'
import { lockDatabase } from '../database/with-lock.ts'
import { copyDeployments } from '../deployments/move.ts'
import { copyLeft } from '../fleet/left.ts'
import type { DeployParts } from '../parts.ts'
import { copySettings, createCopy } from '../templates/copy.ts'
import { moving } from './begin-move.ts'
import type { CopyTime } from './copy-time.ts'
import { copyPrefix } from './half-made.ts'
import { whileHeld } from './hold.ts'
import { onMain } from './on-main.ts'
import { isInUse, patienceMs } from './patience.ts'
import { stillInUse, untilNobody } from './sessions.ts'

/** A request to copy a tenant. */
export interface CloneRequest {
  from: Owner
  to: Owner
  /** Labels of the clone; those of the source are not copied. */
  labels: Labels
  /** Answers calls of the source 503 meanwhile, however long the copy takes. */
  isHeld: boolean
  /** Ends the wait for its turn when the client is gone. */
  gone: AbortSignal
}

/** A copy that was made. */
export interface Cloned {
  /** Size of the source, in bytes. */
  bytes: number
  /** Milliseconds for which calls of the source were held. */
  heldMs: number
}

/**
 * Copies a tenant with its database. The copy is made under a name of the gateway's own and renamed
 * in the transaction that enters it into the catalog; `dropHalfMade` drops what a killed gateway
 * leaves. Calls of the source are held while PostgreSQL copies.
 * @throws {GatewayError} the errors of `moving`; tenant_busy if sessions do not end, or the copy
 *   would take longer than calls may wait
 */
export function cloneTenant(
  parts: DeployParts,
  times: CopyTime,
  request: CloneRequest,
): Promise<Cloned> {
  const { from, to, gone } = request
  return moving(parts, from, to, gone, async (admin, tenant) => {
    const database = databaseName(to)
    if (database === tenant.database) throw nameConflict(to, database, tenant)
    const copy = `${copyPrefix(parts.catalogId)}${randomBytes(8).toString('hex')}`
    // Tells the other gateways that the copy is being made.
    await lockDatabase(parts, admin, copy)
    try {
      const cloned = await copyHeld(parts, times, admin, tenant, copy, request.isHeld)
      await asGateway(parts, copy, (sql) =>
        inTransaction(sql, () => logCopiedSequences(sql, tenant.role)),
      )
      await publish(parts, admin, tenant, copy, request)
      await onMain(parts, (sql) => copyLeft(sql, tenant.database, database))
      parts.forgetFunctions(database)
      parts.catchUp(database)
      parts.catalog.forget(to, database)
      parts.log.info(`${describeOwner(from)} was copied`, {
        ...ownerFields(to),
        database,
        copied_from: tenant.database,
        bytes: cloned.bytes,
        held_ms: cloned.heldMs,
      })
      return cloned
    } catch (error) {
      await dropDatabase(parts, admin, copy)
      throw error
    }
  })
}

/** Copies the database while calls are held. */
async function copyHeld(
  parts: DeployParts,
  times: CopyTime,
  admin: Sql,
  tenant: Tenant,
  copy: string,
  isHeld: boolean,
): Promise<Cloned> {
  const { database } = tenant
  const [row] = await admin<{ bytes: number }[]>`
    select pg_database_size(${database})::float8 as bytes
  `
  const { bytes } = row!
  const estimateMs = times.estimate(bytes)
  const check = (spentMs: number) => {
    const limitMs = parts.config.poolWaitTimeoutMs
    if (!isHeld && spentMs + estimateMs > limitMs)
      throw tooLarge(tenant, bytes, estimateMs, limitMs)
  }
  check(0)
  const withinMs = patienceMs(parts, isHeld)
  const retryAfterS = isHeld ? Math.ceil((withinMs + estimateMs) / 1000) : null
  const started = performance.now()
  const spent = () => performance.now() - started
  await whileHeld(parts, admin, tenant, { operation: 'clone', retryAfterS }, async () => {
    await untilNobody(admin, tenant, withinMs)
    check(spent())
    const limitMs = isHeld ? 0 : Math.max(1, Math.floor(parts.config.poolWaitTimeoutMs - spent()))
    const copying = performance.now()
    try {
      await admin.unsafe(`set statement_timeout = ${limitMs}`)
      await createCopy(admin, copy, database, tenant.role, parts.config.databaseCopy)
    } catch (error) {
      if (!isInUse(error)) throw error
      if (isQueryCanceled(error)) {
        // The server is slower than was estimated: calls that wait would have to be refused.
        const ms = 2 * (performance.now() - copying)
        times.note(bytes, ms)
        throw tooLarge(tenant, bytes, Math.max(ms, estimateMs), parts.config.poolWaitTimeoutMs)
      }
      throw await stillInUse(admin, tenant, withinMs, error)
    } finally {
      await admin.unsafe('set statement_timeout = 0').catch(() => {})
    }
    times.note(bytes, performance.now() - copying)
  })
  return { bytes, heldMs: Math.round(spent()) }
}

/** Gives the copy its name and enters it into the catalog. */
async function publish(
  { catalog }: DeployParts,
  admin: Sql,
  tenant: Tenant,
  copy: string,
  { to, labels }: CloneRequest,
): Promise<void> {
  const database = databaseName(to)
  await copySettings(admin, tenant.database, copy)
  await inTransaction(admin, async () => {
    // CREATE DATABASE does not copy the privileges of the database, and PUBLIC has some by default.
    if (tenant.role !== null)
      await admin.unsafe(`revoke all on database ${quoteIdentifier(copy)} from public`)
    await admin.unsafe(
      `alter database ${quoteIdentifier(copy)} rename to ${quoteIdentifier(database)}`,
    )
    await addEntry(admin, to, tenant.role, { labels })
    await copySchemaState(admin, tenant.database, database)
    await copyDeployments(admin, tenant.database, to)
    await copyLeft(admin, tenant.database, database)
  })
  catalog.note({ database, platform: to.platform, role: tenant.role })
}

function tooLarge(tenant: Tenant, bytes: number, ms: number, limitMs: number): GatewayError {
  const seconds = Math.ceil(ms / 1000)
  return new GatewayError(
    'tenant_busy',
    `The copy of ${describeOwner(tenant).replace(/^T/, 't')} would take about ${seconds} s, and its calls may wait ${limitMs / 1000} s (POOL_WAIT_TIMEOUT_SECS)`,
    {
      database: tenant.database,
      size_bytes: bytes,
      estimated_s: seconds,
      hint: 'Send "hold": true: calls are answered 503 with Retry-After while PostgreSQL copies',
    },
  )
}

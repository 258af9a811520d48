import { GatewayError } from '../../errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { CatalogEntry } from '../../tenancy/catalog/catalog-table.ts'
import { databaseName, type Owner } from '../../tenancy/names.ts'
import { describeOwner } from '../../tenancy/owner-identity.ts'
import type { Plan } from './how.ts'

/** Bytes of a database that are dumped and restored in a second; less than most servers achieve. */
const RATE = 10e6

/** Milliseconds of each copy that do not depend on the size. */
const FIXED_MS = 700

/** How long calls may wait for a move. */
interface Patience {
  isHeld: boolean
  maxWaitMs: number
}

/** Returns the milliseconds that a copy of so many bytes takes. */
export function estimateMs(bytes: number): number {
  return FIXED_MS + (1000 * bytes) / RATE
}

/**
 * Returns the size of a database in bytes.
 * @param plan for a dump, during which calls wait
 * @throws {GatewayError} tenant_busy if calls would have to wait for too long
 */
export async function checkSize(
  admin: Sql,
  entry: CatalogEntry,
  patience: Patience,
  { how, refusal }: Plan,
): Promise<number> {
  const [row] = await admin<{ bytes: number }[]>`
    select pg_database_size(${entry.database})::float8 as bytes
  `
  const { bytes } = row!
  if (how === 'replicate' || patience.isHeld || estimateMs(bytes) <= patience.maxWaitMs)
    return bytes
  throw tooLong(entry, bytes, patience, refusal)
}

/** Returns the error of a move for which calls would wait, or have waited, for too long. */
export function tooLong(
  entry: CatalogEntry,
  bytes: number,
  { maxWaitMs }: Patience,
  refusal?: GatewayError,
): GatewayError {
  return new GatewayError(
    'tenant_busy',
    `${describeOwner(entry)} cannot be moved while its calls wait: they may wait ${maxWaitMs / 1000} s`,
    {
      database: entry.database,
      size_bytes: bytes,
      estimated_s: Math.ceil(estimateMs(bytes) / 1000),
      ...(refusal && { not_replicated: refusal.message, to_replicate: refusal.details.hint }),
      hint: 'Send "hold": true: calls are answered 503 with Retry-After while it is copied',
    },
  )
}

/** Returns the error of a move that somebody has asked to give up. */
export function stopped(owner: Owner): GatewayError {
  const message = `The move of ${describeOwner(owner).replace(/^T/, 't')} was stopped, and is undone`
  return new GatewayError('tenant_busy', message, { database: databaseName(owner) })
}

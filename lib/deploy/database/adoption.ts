import { GatewayError } from '../../errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { readMark } from '../../tenancy/roles/role-mark.ts'
import { markOf } from '../ledger/catalog-mark.ts'
import { IS_OF_ORIGINAL } from '../ledger/original.ts'
import type { DeployParts } from '../parts.ts'
import { asGateway } from './handover.ts'

/**
 * Checks that a database missing from the catalog may be taken over: it is empty or has the ledger
 * of a gateway, and belongs to no other catalog.
 * @param admin connection to the administrative database
 * @throws {GatewayError} name_conflict if it may not be taken over
 */
export async function checkAdoptable(parts: DeployParts, admin: Sql, name: string): Promise<Found> {
  const found = await readUnclaimed(parts, admin, name)
  if (!found.has_ledger && !found.is_empty) throw notOurs(name)
  return found
}

/**
 * Reads what a database that is missing from the catalog contains.
 * @throws {GatewayError} name_conflict if the database belongs to another catalog or the gateway's
 *   role may not connect to it
 */
export async function readUnclaimed(parts: DeployParts, admin: Sql, name: string): Promise<Found> {
  const [owner] = await admin<{ comment: string | null }[]>`
    select shobj_description(datdba, 'pg_authid') as comment from pg_database where datname = ${name}
  `
  const mark = readMark(owner?.comment ?? null)
  const isForeignRole =
    mark !== undefined &&
    (mark.catalog === null
      ? mark.fingerprint !== null && !parts.secrets.find(mark.fingerprint)
      : mark.catalog !== parts.catalogId)
  if (isForeignRole) throw ofAnother(name)
  const found = await asGateway(parts, name, readFound).catch((error) => {
    // insufficient_privilege: the owner has revoked CONNECT.
    if (error instanceof GatewayError && error.details.sqlstate === '42501') throw notOurs(name)
    throw error
  })
  const isOurs = found.mark === null || found.mark === markOf(parts.catalogId)
  if (!isOurs) throw ofAnother(name)
  return found
}

/** Contents of a database that is missing from the catalog. */
export interface Found {
  has_ledger: boolean
  is_empty: boolean
  /** Comment on the ledger's schema, which names its catalog. */
  mark: string | null
}

async function readFound(sql: Sql): Promise<Found> {
  const [row] = await sql<Found[]>`
    select
      to_regclass('public._db_gateway_migrations') is not null
        or ${sql.unsafe(IS_OF_ORIGINAL)} as has_ledger,
      not exists (
        select from pg_class
        where relnamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
          and relnamespace::regnamespace::text not like 'pg\\_toast%'
        union all
        select from pg_proc
        where pronamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
      ) as is_empty,
      obj_description(to_regnamespace('_db_gateway'), 'pg_namespace') as mark
  `
  return row!
}

function notOurs(name: string): GatewayError {
  return new GatewayError(
    'name_conflict',
    `Database ${name} exists on the server, but the gateway did not create it`,
    { database: name },
  )
}

function ofAnother(name: string): GatewayError {
  return new GatewayError(
    'name_conflict',
    `Database ${name} belongs to the catalog of another gateway`,
    {
      database: name,
      hint: `If that catalog no longer exists, run "comment on schema _db_gateway is null" in ${name} and "comment on role … is 'Database Gateway'" for the role that owns it, then deploy again`,
    },
  )
}

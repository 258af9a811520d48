import { GatewayError } from '../../errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { readMark } from '../../tenancy/roles/role-mark.ts'
import { markOf } from '../ledger/catalog-mark.ts'
import { IS_OF_ORIGINAL } from '../ledger/original.ts'
import type { DeployParts } from '../parts.ts'
import { asGateway } from './handover.ts'

/**
 * Looks whether a database that this catalog does not know may be taken: it is empty, or has the
 * ledger of a gateway and is of no other catalog. `admin` is a connection to the administrative
 * database.
 * @throws {GatewayError} name_conflict where it may not
 */
export async function checkAdoptable(parts: DeployParts, admin: Sql, name: string): Promise<Found> {
  const found = await readUnclaimed(parts, admin, name)
  if (!found.has_ledger && !found.is_empty) throw notOurs(name)
  return found
}

/**
 * What there is in a database that no catalog has.
 * @throws {GatewayError} name_conflict where another catalog has it, or the gateway may not look
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
    // Its owner has closed it to everybody else.
    if (error instanceof GatewayError && error.details.sqlstate === '42501') throw notOurs(name)
    throw error
  })
  const isOurs = found.mark === null || found.mark === markOf(parts.catalogId)
  if (!isOurs) throw ofAnother(name)
  return found
}

export interface Found {
  has_ledger: boolean
  is_empty: boolean
  /** What the ledger's schema says of its catalog. */
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
    `There is a database ${name} on the server that the gateway did not make`,
    { database: name },
  )
}

function ofAnother(name: string): GatewayError {
  return new GatewayError(
    'name_conflict',
    `The database ${name} belongs to the catalog of another gateway`,
    {
      database: name,
      hint: `Where that catalog is no more: run "comment on schema _db_gateway is null" in ${name}, "comment on role … is 'Database Gateway'" for the role that owns it, and deploy again`,
    },
  )
}

import { FIRST_NORMAL_OID } from '../../postgres/oids.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteLiteral } from '../../postgres/quote.ts'
import { markOf } from '../ledger/catalog-mark.ts'
import type { DeployParts } from '../parts.ts'

/** What a database must comply with to be in order. */
export interface Order {
  /** Whether each platform has a role of its own, with which `sql` has logged in. */
  hasRoles: boolean
  /** The gateway's role. */
  gateway: string
  catalogId: string
}

/** Returns what the gateway's databases must comply with. */
export function orderOf({ roles, server, catalogId }: DeployParts): Order {
  return { hasRoles: roles.isolation === 'platform-roles', gateway: server.user, catalogId }
}

/**
 * Whether the database is in order: the platform's role owns it and does not own the ledger's
 * schemas, PUBLIC has no privilege on it, and it belongs to this catalog. If not, it was restored
 * or the platform has let others in. Must run as the platform's role; reads four rows by index.
 */
export async function isInOrder(sql: Sql, order: Order): Promise<boolean> {
  const [row] = await sql.unsafe<{ is_in_order: boolean }[]>(inOrderSql(order))
  return row?.is_in_order ?? false
}

/**
 * Returns SQL for the answer of `isInOrder`. It calls functions that look up one row of PostgreSQL's
 * caches where there are any: a session that is new plans each catalog that a query names.
 */
export function inOrderSql({ hasRoles, catalogId }: Order): string {
  if (!hasRoles) return 'select true as is_in_order'
  return `
    select
      exists (
        select from pg_catalog.pg_database d
        where d.datname = pg_catalog.current_database()
          and pg_catalog.pg_get_userbyid(d.datdba) = session_user
      )
      and not pg_catalog.has_database_privilege(
        'public', pg_catalog.current_database(), 'connect, create, temporary'
      )
      and (
        select pg_catalog.count(*) = 2
          and pg_catalog.bool_and(pg_catalog.pg_get_userbyid(n.nspowner) <> session_user)
        from pg_catalog.pg_namespace n where n.nspname in ('public', '_db_gateway')
      )
      and exists (
        select from pg_catalog.pg_description c
        where c.objoid = pg_catalog.to_regnamespace('_db_gateway')::pg_catalog.oid
          and c.classoid = 'pg_catalog.pg_namespace'::pg_catalog.regclass::pg_catalog.oid
          and c.objsubid = 0 and c.description = ${quoteLiteral(markOf(catalogId))}
      ) as is_in_order
  `
}

/**
 * Whether all tables and views have the right owner: the gateway's role owns the ledger and nothing
 * else, and the platform's role does not own the ledger. Reads all of pg_class.
 */
export async function areTablesInOrder(sql: Sql, { hasRoles, gateway }: Order): Promise<boolean> {
  if (!hasRoles) return true
  const [foreign] = await sql.unsafe(`
    select from pg_catalog.pg_class c
    where c.oid >= ${FIRST_NORMAL_OID} and c.relkind in ('r', 'p', 'v', 'm', 'f')
      and c.relpersistence <> 't'
      and case c.relowner
        when pg_catalog.to_regrole(pg_catalog.quote_ident(${quoteLiteral(gateway)}))
          then c.relname !~ '^_db_gateway_'
            and c.relnamespace <> pg_catalog.to_regnamespace('_db_gateway')
            and c.relnamespace <> pg_catalog.to_regnamespace('pg_catalog')
        when pg_catalog.to_regrole(pg_catalog.quote_ident(session_user::pg_catalog.text))
          then c.oid = pg_catalog.to_regclass('public._db_gateway_migrations')
        else false
      end
      and not exists (
        select from pg_catalog.pg_depend e
        where e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
          and e.objid = c.oid and e.deptype = 'e'
      )
    limit 1
  `)
  return foreign === undefined
}

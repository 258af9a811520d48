import type { Gateway } from '../gateway.ts'
import type { Sql } from '../postgres/connection.ts'
import { quoteLiteral } from '../postgres/quote-literal.ts'
import { markOf } from './catalog-mark.ts'

/** What a database is to be like. */
export interface Order {
  /** Whether each platform has a role of its own, as which `sql` has logged in. */
  hasRoles: boolean
  /** The gateway's role. */
  gateway: string
  catalogId: string
}

/** What the gateway's databases are to be like. */
export function orderOf({ roles, server, catalogId }: Gateway): Order {
  return { hasRoles: roles.isolation === 'platform-roles', gateway: server.user, catalogId }
}

/**
 * Whether the database is in order: the platform's role owns it, and nothing that is the gateway's;
 * nothing is open to PUBLIC, and nothing left to the gateway's role; its catalog is this one. Where it
 * is not, it was restored, or the platform has let others in. As the platform's role.
 */
export async function isInOrder(
  sql: Sql,
  { hasRoles, gateway, catalogId }: Order,
): Promise<boolean> {
  if (!hasRoles) return true
  const [row] = await sql.unsafe<{ is_in_order: boolean }[]>(`
    select
      exists (
        select from pg_catalog.pg_database d
        where d.datname = pg_catalog.current_database()
          and pg_catalog.pg_get_userbyid(d.datdba) = session_user
          and not exists (
            select from pg_catalog.aclexplode(
              coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))
            ) a where a.grantee = 0
          )
      )
      and (
        select pg_catalog.count(*) = 2
          and pg_catalog.bool_and(pg_catalog.pg_get_userbyid(n.nspowner) <> session_user)
          and pg_catalog.bool_or(
            pg_catalog.obj_description(n.oid, 'pg_namespace') = ${quoteLiteral(markOf(catalogId))}
              and n.nspname = '_db_gateway'
          )
        from pg_catalog.pg_namespace n where n.nspname in ('public', '_db_gateway')
      )
      and not exists (
        select from pg_catalog.pg_class c
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where c.oid >= 16384 and c.relkind in ('r', 'p', 'v', 'm', 'f')
          and n.nspname not in ('_db_gateway', 'information_schema') and n.nspname !~ '^pg_'
          and (
            c.relname !~ '^_db_gateway_'
              and pg_catalog.pg_get_userbyid(c.relowner) = ${quoteLiteral(gateway)}
            or c.relname = '_db_gateway_migrations' and n.nspname = 'public'
              and pg_catalog.pg_get_userbyid(c.relowner) = session_user
          )
          and not exists (
            select from pg_catalog.pg_depend e
            where e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
              and e.objid = c.oid and e.deptype = 'e'
          )
      ) as is_in_order
  `)
  return row?.is_in_order ?? false
}

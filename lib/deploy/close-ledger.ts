import { quoteIdentifier } from '../names.ts'
import type { Sql } from '../postgres/connection.ts'
import { quoteLiteral } from '../postgres/quote-literal.ts'

/**
 * Takes away what others than the ledger's owner may do with it, but for roles that may read its
 * tables, and `role`, which may execute its functions: default privileges that were set for the
 * gateway's role have a say in whatever that makes.
 */
export async function closeLedger(sql: Sql, role: string): Promise<void> {
  const grants = await sql.unsafe<{ what: string; grantee: string | null; privilege: string }[]>(`
    with ledger (what, acl, owner) as (
      select 'table ' || oid::regclass, relacl, relowner from pg_class
      where relkind in ('r', 'v') and (relnamespace = '_db_gateway'::regnamespace
        or relnamespace = 'public'::regnamespace and relname like '\\_db\\_gateway\\_%')
      union all
      select 'sequence ' || oid::regclass, relacl, relowner from pg_class
      where relkind = 'S' and relnamespace = 'public'::regnamespace
        and relname like '\\_db\\_gateway\\_%'
      union all
      select 'function ' || oid::regprocedure, coalesce(proacl, acldefault('f', proowner)), proowner
      from pg_proc where pronamespace = '_db_gateway'::regnamespace
      union all
      select 'schema _db_gateway', nspacl, nspowner from pg_namespace where nspname = '_db_gateway'
    )
    select what, case a.grantee when 0 then null else pg_get_userbyid(a.grantee) end as grantee, a.privilege_type as privilege
    from ledger
    cross join aclexplode(acl) a
    where a.grantee <> owner
      and not (a.grantee <> 0 and what like 'table %' and what not like '%.key'
        and a.privilege_type = 'SELECT')
      and not (a.grantee <> 0 and pg_get_userbyid(a.grantee) = ${quoteLiteral(role)}
        and a.privilege_type in ('EXECUTE', 'USAGE') and what not like 'sequence %')
  `)
  if (grants.length === 0) return
  await sql.unsafe(
    grants
      .map(({ what, grantee, privilege }) => {
        const from = grantee === null ? 'public' : quoteIdentifier(grantee)
        return `revoke ${privilege} on ${what} from ${from} cascade`
      })
      .join(';'),
  )
}

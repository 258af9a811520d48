import { send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteLiteral } from '../../postgres/quote.ts'

/**
 * Revokes privileges on the ledger that came from default privileges of the gateway's role. It
 * keeps the owner's privileges, SELECT on the tables (except the key), and EXECUTE and USAGE of
 * `role`.
 */
export async function closeLedger(sql: Sql, role: string): Promise<void> {
  await send(
    sql.unsafe(`
      do $close$
      declare
        given record;
      begin
        for given in
          with ledger (what, acl, owner) as (
            select 'table ' || oid::regclass, relacl, relowner from pg_class
            where relkind in ('r', 'v') and (relnamespace = '_db_gateway'::regnamespace
              or relnamespace = 'public'::regnamespace and relname like '\\_db\\_gateway\\_%')
            union all
            select 'sequence ' || oid::regclass, relacl, relowner from pg_class
            where relkind = 'S' and relnamespace = 'public'::regnamespace
              and relname like '\\_db\\_gateway\\_%'
            union all
            select 'function ' || oid::regprocedure, coalesce(proacl, acldefault('f', proowner)),
              proowner
            from pg_proc where pronamespace = '_db_gateway'::regnamespace
            union all
            select 'schema _db_gateway', nspacl, nspowner
            from pg_namespace where nspname = '_db_gateway'
          )
          select what, a.privilege_type as privilege, case a.grantee
              when 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)::text)
            end as grantee
          from ledger
          cross join aclexplode(acl) a
          where a.grantee <> owner
            and not (a.grantee <> 0 and what like 'table %' and what not like '%.key'
              and what not like '%.answers'
              and a.privilege_type = 'SELECT')
            and not (a.grantee <> 0 and pg_get_userbyid(a.grantee) = ${quoteLiteral(role)}
              and a.privilege_type in ('EXECUTE', 'USAGE') and what not like 'sequence %')
        loop
          execute format(
            'revoke %s on %s from %s cascade', given.privilege, given.what, given.grantee
          );
        end loop;
      end $close$
    `),
  )
}

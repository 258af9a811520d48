import { type Json, queryDatabase } from './gateway.ts'

/**
 * Describes the objects of a database, one line each, so that equal databases give equal lines:
 * without oids and transaction ids. Includes owners, grants and comments; leaves out the gateway's
 * own tables.
 */
export async function catalogOf(database: string): Promise<Json[]> {
  const rows = await queryDatabase(database, CATALOG)
  return rows.map(({ line }) => line).sort()
}

const OWN = `n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast', '_db_gateway')
  and n.nspname !~ '^pg_(toast_)?temp'`

const acl = (column: string, kind: string, owner: string) =>
  `(select string_agg(one::text, ' ' order by one::text)
    from unnest(coalesce(${column}, acldefault('${kind}', ${owner}))) as one)`

const CATALOG = `
  select concat_ws(' ', 'relation', c.relkind, c.oid::regclass, c.relpersistence,
    c.relrowsecurity, c.relforcerowsecurity, pg_get_userbyid(c.relowner), c.reloptions::text,
    ${acl('c.relacl', 'r', 'c.relowner')}, obj_description(c.oid, 'pg_class'),
    case when c.relkind in ('v', 'm') then pg_get_viewdef(c.oid) end,
    case when c.relkind = 'i' then pg_get_indexdef(c.oid) end) as line
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where ${OWN} and c.relname !~ '^_db_gateway_'
  union all
  select concat_ws(' ', 'column', c.oid::regclass,
    row_number() over (partition by c.oid order by a.attnum), a.attname,
    format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid),
    a.attidentity, a.attgenerated, a.attacl::text, col_description(c.oid, a.attnum))
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
  where ${OWN} and c.relname !~ '^_db_gateway_'
  union all
  select concat_ws(' ', 'constraint', c.oid::regclass, k.conname, pg_get_constraintdef(k.oid))
  from pg_constraint k join pg_class c on c.oid = k.conrelid
  join pg_namespace n on n.oid = c.relnamespace
  where ${OWN} and c.relname !~ '^_db_gateway_' and k.contype <> 'n'
  union all
  select concat_ws(' ', 'trigger', c.oid::regclass, pg_get_triggerdef(t.oid), t.tgenabled,
    obj_description(t.oid, 'pg_trigger'))
  from pg_trigger t join pg_class c on c.oid = t.tgrelid
  join pg_namespace n on n.oid = c.relnamespace
  where ${OWN} and not t.tgisinternal
  union all
  select concat_ws(' ', 'policy', p.polrelid::regclass, p.polname, p.polcmd,
    pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
  from pg_policy p
  union all
  select concat_ws(' ', 'routine', p.oid::regprocedure, pg_get_userbyid(p.proowner),
    ${acl('p.proacl', 'f', 'p.proowner')}, obj_description(p.oid, 'pg_proc'),
    case when p.prokind <> 'a' then pg_get_functiondef(p.oid) end)
  from pg_proc p join pg_namespace n on n.oid = p.pronamespace
  where ${OWN}
  union all
  select concat_ws(' ', 'type', t.oid::regtype, t.typtype, pg_get_userbyid(t.typowner),
    ${acl('t.typacl', 'T', 't.typowner')}, obj_description(t.oid, 'pg_type'),
    (select string_agg(e.enumlabel, ',' order by e.enumsortorder) from pg_enum e
     where e.enumtypid = t.oid))
  from pg_type t join pg_namespace n on n.oid = t.typnamespace
  left join pg_class c on c.oid = t.typrelid
  where ${OWN} and t.typelem = 0 and (t.typrelid = 0 or c.relkind = 'c')
`

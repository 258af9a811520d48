/** SQL: the grants in an ACL as text, sorted; the default privileges if the ACL is NULL. */
const acl = (column: string, kind: string, owner: string) => `
  (select string_agg(format('%s=%s%s', coalesce(r.rolname, 'public'), g.privilege_type,
      case when g.is_grantable then '*' else '' end), ', '
      order by coalesce(r.rolname, 'public') collate "C", g.privilege_type)
    from aclexplode(coalesce(${column}, acldefault('${kind}', ${owner}))) g
    left join pg_roles r on r.oid = g.grantee)`

const fullName = (schema: string, name: string) => `format('%I.%I', ${schema}, ${name})`

/**
 * SQL query without parameters for the objects of a database: kind, name, parent, definition.
 * Requires `search_path = pg_catalog`. Left out: objects of the gateway, of the original gateway
 * and of extensions, and NOT NULL constraints, which the columns show.
 */
export const FACTS = `
  with own as materialized (
    select oid, nspname, nspowner, nspacl from pg_namespace
    where nspname !~ '^pg_' and nspname not in ('information_schema', '_db_gateway')
  ),
  member as materialized (
    select classid, objid from pg_depend where deptype = 'e'
  ),
  relation as materialized (
    select c.*, ${fullName('n.nspname', 'c.relname')} as full_name,
      case c.relkind
        when 'r' then 'table' when 'p' then 'table' when 'v' then 'view'
        when 'm' then 'materialized view' when 'f' then 'foreign table'
        when 'S' then 'sequence' when 'c' then 'composite type'
      end as kind
    from pg_class c
    join own n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S', 'c')
      and (
        n.nspname <> 'public'
        or c.relname not like all (array['\\_db\\_gateway\\_%', '\\_stonescriptdb\\_gateway\\_%'])
      )
      and not exists (
        select from member m where m.classid = 'pg_class'::regclass and m.objid = c.oid
      )
  ),
  routine as materialized (
    select p.*, format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid))
      as full_name
    from pg_proc p
    join own n on n.oid = p.pronamespace
    where not starts_with(p.proname::text, '_stonescriptdb_gateway_') and not exists (
      select from member m where m.classid = 'pg_proc'::regclass and m.objid = p.oid
    )
  )
  select 'schema' as kind, nspname::text as name, null::text as parent,
    format('owner %s; %s', pg_get_userbyid(nspowner), ${acl('nspacl', 'n', 'nspowner')}) as definition
  from own where nspname <> 'public'
  union all
  select 'extension', extname::text, null, extversion from pg_extension
  union all
  select kind, full_name, null,
    concat_ws('; ',
      case relpersistence when 'u' then 'unlogged' end,
      case when relkind = 'p' then 'partition by ' || pg_get_partkeydef(oid) end,
      case when relispartition then pg_get_expr(relpartbound, oid) end,
      (select string_agg(inhparent::regclass::text, ', ' order by inhseqno)
        from pg_inherits where inhrelid = r.oid),
      array_to_string(reloptions, ', '),
      case when relrowsecurity then 'row level security' end,
      case when relforcerowsecurity then 'forced' end,
      case when relkind in ('v', 'm') then pg_get_viewdef(oid) end,
      (select format('%s from %s by %s between %s and %s%s', format_type(seqtypid, null), seqstart,
          seqincrement, seqmin, seqmax, case when seqcycle then ' cycle' else '' end)
        from pg_sequence where seqrelid = r.oid))
  from relation r
  union all
  select 'column', format('%s.%I', r.full_name, a.attname), r.full_name,
    concat_ws(' ',
      format_type(a.atttypid, a.atttypmod),
      case when a.attcollation <> t.typcollation then 'collate ' || a.attcollation::regcollation end,
      case when a.attnotnull then 'not null' end,
      case when a.attidentity <> '' then 'identity ' || a.attidentity::text end,
      case when a.attgenerated <> '' then 'generated ' || a.attgenerated::text end,
      case when d.oid is not null then 'default ' || pg_get_expr(d.adbin, d.adrelid) end)
  from relation r
  join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
  join pg_type t on t.oid = a.atttypid
  left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
  where r.relkind in ('r', 'p', 'f', 'c')
  union all
  select 'index', ${fullName('n.nspname', 'i.relname')}, r.full_name,
    pg_get_indexdef(i.oid) || case when x.indisvalid then '' else ' (invalid)' end
  from relation r
  join pg_index x on x.indrelid = r.oid
  join pg_class i on i.oid = x.indexrelid
  join own n on n.oid = i.relnamespace
  where not exists (
    select from pg_constraint c where c.conindid = i.oid and c.contype in ('p', 'u', 'x')
  )
  union all
  select 'constraint', format('%s.%I', coalesce(r.full_name, c.contypid::regtype::text), c.conname),
    coalesce(r.full_name, c.contypid::regtype::text), pg_get_constraintdef(c.oid)
  from pg_constraint c
  left join relation r on r.oid = c.conrelid
  join own n on n.oid = c.connamespace
  where c.contype in ('c', 'f', 'p', 'u', 'x') and (r.oid is not null or c.contypid <> 0)
  union all
  select case prokind when 'p' then 'procedure' when 'a' then 'aggregate' else 'function' end,
    full_name, null, case
      when prokind = 'a'
      then (select concat_ws(' ', aggtransfn, aggfinalfn, aggcombinefn, aggtranstype::regtype, agginitval)
        from pg_aggregate where aggfnoid = p.oid)
      else 'md5 ' || md5(pg_get_functiondef(oid))
    end
  from routine p
  union all
  select 'trigger', format('%s.%I', r.full_name, t.tgname), r.full_name,
    pg_get_triggerdef(t.oid) || case t.tgenabled when 'O' then '' else ' enabled ' || t.tgenabled::text end
  from relation r
  join pg_trigger t on t.tgrelid = r.oid and not t.tgisinternal
  union all
  select 'policy', format('%s.%I', r.full_name, p.polname), r.full_name,
    concat_ws(' ',
      case when p.polpermissive then 'permissive' else 'restrictive' end,
      p.polcmd::text,
      'to ' || (select string_agg(coalesce(o.rolname, 'public'), ', ' order by o.rolname)
        from unnest(p.polroles) as one (oid) left join pg_roles o on o.oid = one.oid),
      'using ' || pg_get_expr(p.polqual, p.polrelid),
      'with check ' || pg_get_expr(p.polwithcheck, p.polrelid))
  from relation r
  join pg_policy p on p.polrelid = r.oid
  union all
  select 'rule', format('%s.%I', r.full_name, w.rulename), r.full_name, pg_get_ruledef(w.oid)
  from relation r
  join pg_rewrite w on w.ev_class = r.oid and w.rulename <> '_RETURN'
  union all
  select 'type', ${fullName('n.nspname', 't.typname')}, null, case t.typtype
      when 'e' then (select string_agg(quote_literal(enumlabel), ', ' order by enumsortorder)
        from pg_enum where enumtypid = t.oid)
      when 'd' then concat_ws(' ', format_type(t.typbasetype, t.typtypmod),
        case when t.typnotnull then 'not null' end, 'default ' || t.typdefault)
      else (select rngsubtype::regtype::text from pg_range where rngtypid = t.oid)
    end
  from pg_type t
  join own n on n.oid = t.typnamespace
  where t.typtype in ('e', 'd', 'r')
    and not exists (
      select from member m where m.classid = 'pg_type'::regclass and m.objid = t.oid
    )
  union all
  select 'grants', format('%s %s', kind, full_name), full_name,
    format('owner %s; %s', pg_get_userbyid(relowner), case
      when relkind = 'S' then ${acl('relacl', 's', 'relowner')}
      else ${acl('relacl', 'r', 'relowner')}
    end)
  from relation where relkind <> 'c'
  union all
  select 'grants', format('column %s.%I', r.full_name, a.attname), r.full_name,
    ${acl('a.attacl', 'c', 'r.relowner')}
  from relation r
  join pg_attribute a on a.attrelid = r.oid and a.attacl is not null and not a.attisdropped
  union all
  select 'grants', format('routine %s', full_name), full_name,
    format('owner %s; %s', pg_get_userbyid(proowner), ${acl('proacl', 'f', 'proowner')})
  from routine
  union all
  select 'default privileges', format('%s in %s by %s', defaclobjtype, coalesce(n.nspname, 'all'),
      pg_get_userbyid(d.defaclrole)), null, d.defaclacl::text
  from pg_default_acl d
  left join pg_namespace n on n.oid = d.defaclnamespace
`

/**
 * Returns the SQL query for objects and everything that depends on them, at any depth: one row
 * each, with its kind in `what`. For parts of a table (default, check, index, trigger, policy,
 * rule), `restore` has the statements that create the part again. Dependants of such parts are not
 * followed.
 * @param roots SQL literal of a JSON array of `{catalog, oid}`
 */
export function dependantsSql(roots: string): string {
  return `
    with recursive gone (classid, objid) as (
      select r.catalog::regclass::oid, r.oid
      from json_to_recordset(${roots}::json) as r (catalog text, oid oid)
      union
      select next.classid, next.objid
      from gone g
      cross join lateral (
        select d.classid, d.objid
        from pg_depend d
        where d.refclassid = g.classid and d.refobjid = g.objid
          and (
            g.classid in (
              'pg_proc'::regclass, 'pg_type'::regclass, 'pg_rewrite'::regclass,
              'pg_operator'::regclass, 'pg_cast'::regclass
            )
            or g.classid = 'pg_class'::regclass
              and exists (select from pg_class c where c.oid = g.objid and c.relkind in ('v', 'm', 'c'))
          )
        union all
        select 'pg_class'::regclass::oid, r.ev_class
        from pg_rewrite r
        where g.classid = 'pg_rewrite'::regclass and r.oid = g.objid and r.rulename = '_RETURN'
      ) as next
    )
    ${PARTS.map(({ text }) => text).join(' union all ')}
  `
}

const NAME = "format('%I.%I', n.nspname, c.relname)"

function part(what: string, catalog: string, columns: string, from: string): { text: string } {
  return {
    text: `
      select '${what}' as what, g.objid::text as oid,
        pg_describe_object(g.classid, g.objid, 0) as description, ${columns}
      from gone g ${from}
      where g.classid = '${catalog}'::regclass
    `,
  }
}

const comment = (catalog: string, kind: string, name: string) => `
  || coalesce((
    select format('; comment on ${kind} is %L', ${name}, d.description)
    from pg_description d
    where d.objoid = g.objid and d.classoid = '${catalog}'::regclass and d.objsubid = 0
  ), '')
`

/** SQL for the statement that restores tgenabled or ev_enabled; empty text for the default. */
const firing = (kind: 'trigger' | 'rule', state: string, name: string) => `
  || case ${state}
    when 'D' then format('; alter table %s disable ${kind} %I', ${NAME}, ${name})
    when 'A' then format('; alter table %s enable always ${kind} %I', ${NAME}, ${name})
    when 'R' then format('; alter table %s enable replica ${kind} %I', ${NAME}, ${name})
    else '' end
`

/** SQL for the name of a part of a table, in the form of COMMENT ON. */
const onTable = (name: string) => `format('%I on ', ${name}) || ${NAME}`

/**
 * SQL for the statements that create an index again. pg_get_indexdef gives the index of a
 * partitioned table as ON ONLY, so the indexes of the partitions are created after it, and attached
 * from the leaves up.
 */
const INDEX = `(
  select string_agg(part.made, '; ' order by part.level)
    || coalesce(string_agg('; ' || part.attached, '' order by part.level desc), '')
  from (
    select tree.level,
      -- The file of a materialized view may have created the index again without naming it.
      regexp_replace(
        pg_get_indexdef(i.oid), '^CREATE (UNIQUE )?INDEX ', 'CREATE \\1INDEX IF NOT EXISTS '
      )
        || case when x.indisclustered
          then format('; alter table %s cluster on %I', x.indrelid::regclass, i.relname) else '' end
        || coalesce((
          select string_agg(format(
            '; alter index %I.%I alter column %s set statistics %s',
            s.nspname, i.relname, a.attnum, a.attstattarget
          ), '')
          from pg_attribute a where a.attrelid = i.oid and a.attstattarget >= 0
        ), '')
        || coalesce((
          select format('; comment on index %I.%I is %L', s.nspname, i.relname, d.description)
          from pg_description d
          where d.objoid = i.oid and d.classoid = 'pg_class'::regclass and d.objsubid = 0
        ), '') as made,
      (
        select format(
          'alter index %I.%I attach partition %I.%I', ps.nspname, p.relname, s.nspname, i.relname
        )
        from pg_class p join pg_namespace ps on ps.oid = p.relnamespace
        where p.oid = tree.parentrelid
      ) as attached
    from (
      select c.oid as relid, null::oid as parentrelid, 0 as level where c.relkind = 'i'
      union all
      select relid::oid, parentrelid::oid, level from pg_partition_tree(c.oid) where c.relkind = 'I'
    ) as tree
    join pg_class i on i.oid = tree.relid
    join pg_namespace s on s.oid = i.relnamespace
    join pg_index x on x.indexrelid = i.oid
  ) as part
)`

const PARTS = [
  part('routine', 'pg_proc', 'null::text as "drop", null::text as restore', ''),
  part(
    'type',
    'pg_type',
    'null, null',
    `join pg_type t on t.oid = g.objid and t.typelem = 0
       and not exists (select from pg_class c where c.oid = t.typrelid and c.relkind <> 'c')
       and t.typtype <> 'm'`,
  ),
  part('operator', 'pg_operator', 'null, null', ''),
  part('cast', 'pg_cast', 'null, null', ''),
  {
    text: `
      select case when c.relkind in ('v', 'm') then 'relation'
          when c.relkind in ('i', 'I') then 'index' else 'other' end,
        g.objid::text, pg_describe_object(g.classid, g.objid, 0),
        case when c.relkind in ('i', 'I') then 'drop index if exists ' || ${NAME} end,
        case when c.relkind in ('i', 'I') then ${INDEX} end
      from gone g
      join pg_class c on c.oid = g.objid
      join pg_namespace n on n.oid = c.relnamespace
      where g.classid = 'pg_class'::regclass and c.relkind not in ('c', 't') and not c.relispartition
        and not exists (
          select from pg_constraint k where k.conindid = c.oid and c.relkind in ('i', 'I')
        )
    `,
  },
  part(
    'default',
    'pg_attrdef',
    `case when a.attgenerated = ''
       then format('alter table only %s alter column %I drop default', ${NAME}, a.attname) end,
     case when a.attgenerated = '' then format(
       'alter table only %s alter column %I set default %s',
       ${NAME}, a.attname, pg_get_expr(f.adbin, f.adrelid)
     ) end`,
    `join pg_attrdef f on f.oid = g.objid
     join pg_class c on c.oid = f.adrelid
     join pg_namespace n on n.oid = c.relnamespace
     join pg_attribute a on a.attrelid = f.adrelid and a.attnum = f.adnum`,
  ),
  part(
    'constraint',
    'pg_constraint',
    `case when k.contype = 'c' and k.conrelid <> 0
       then format('alter table %s drop constraint if exists %I', ${NAME}, k.conname) end,
     case when k.contype = 'c' and k.conrelid <> 0
       then format('alter table %s add constraint %I %s', ${NAME}, k.conname, pg_get_constraintdef(k.oid))
         ${comment('pg_constraint', 'constraint %s', onTable('k.conname'))} end`,
    `join pg_constraint k on k.oid = g.objid and (k.conislocal or k.conrelid = 0)
     left join pg_class c on c.oid = k.conrelid
     left join pg_namespace n on n.oid = c.relnamespace`,
  ),
  // The function is a dependency of the exclusion constraint's index, not of the constraint.
  {
    text: `
      select 'constraint', k.oid::text, pg_describe_object('pg_constraint'::regclass, k.oid, 0),
        format('alter table %s drop constraint if exists %I', ${NAME}, k.conname),
        format('alter table %s add constraint %I %s', ${NAME}, k.conname, pg_get_constraintdef(k.oid))
          || case when x.indisclustered
            then format('; alter table %s cluster on %I', ${NAME}, k.conname) else '' end
          || coalesce((
            select format('; comment on constraint %I on %s is %L', k.conname, ${NAME}, d.description)
            from pg_description d
            where d.objoid = k.oid and d.classoid = 'pg_constraint'::regclass
          ), '')
      from gone g
      join pg_constraint k on k.conindid = g.objid and k.contype = 'x' and k.conparentid = 0
      join pg_index x on x.indexrelid = g.objid
      join pg_class c on c.oid = k.conrelid
      join pg_namespace n on n.oid = c.relnamespace
      where g.classid = 'pg_class'::regclass
    `,
  },
  part(
    'trigger',
    'pg_trigger',
    `format('drop trigger if exists %I on %s', t.tgname, ${NAME}),
     pg_get_triggerdef(t.oid)
       ${firing('trigger', 't.tgenabled', 't.tgname')}
       ${comment('pg_trigger', 'trigger %s', onTable('t.tgname'))}`,
    `join pg_trigger t on t.oid = g.objid and not t.tgisinternal and t.tgparentid = 0
     join pg_class c on c.oid = t.tgrelid
     join pg_namespace n on n.oid = c.relnamespace`,
  ),
  part(
    'policy',
    'pg_policy',
    `format('drop policy if exists %I on %s', p.polname, ${NAME}),
     format(
       'create policy %I on %s as %s for %s to %s%s%s', p.polname, ${NAME},
       case when p.polpermissive then 'permissive' else 'restrictive' end,
       case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update'
         when 'd' then 'delete' else 'all' end,
       (
         select string_agg(coalesce(quote_ident(r.rolname), 'public'), ', ')
         from unnest(p.polroles) role (oid) left join pg_roles r on r.oid = role.oid
       ),
       ' using (' || pg_get_expr(p.polqual, p.polrelid) || ')',
       ' with check (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')'
     ) ${comment('pg_policy', 'policy %s', onTable('p.polname'))}`,
    `join pg_policy p on p.oid = g.objid
     join pg_class c on c.oid = p.polrelid
     join pg_namespace n on n.oid = c.relnamespace`,
  ),
  part(
    'rule',
    'pg_rewrite',
    `format('drop rule if exists %I on %s', r.rulename, ${NAME}),
     pg_get_ruledef(r.oid)
       ${firing('rule', 'r.ev_enabled', 'r.rulename')}
       ${comment('pg_rewrite', 'rule %s', onTable('r.rulename'))}`,
    `join pg_rewrite r on r.oid = g.objid and r.rulename <> '_RETURN'
     join pg_class c on c.oid = r.ev_class
     join pg_namespace n on n.oid = c.relnamespace`,
  ),
  {
    text: `
      select 'other', g.objid::text, pg_describe_object(g.classid, g.objid, 0), null, null
      from gone g
      where g.classid not in (
          'pg_proc'::regclass, 'pg_type'::regclass, 'pg_operator'::regclass, 'pg_cast'::regclass,
          'pg_class'::regclass, 'pg_attrdef'::regclass, 'pg_constraint'::regclass,
          'pg_trigger'::regclass, 'pg_policy'::regclass, 'pg_rewrite'::regclass
        )
    `,
  },
]

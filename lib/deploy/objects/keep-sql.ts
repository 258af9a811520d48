/**
 * Returns the SQL query for the properties of objects that are not part of their definitions:
 * owner, grants, comments, security labels. One row per object; a null grantee means PUBLIC.
 * @param asked SQL literal of a JSON array of `{catalog, oid}`
 */
export function keepSql(asked: string): string {
  return `
    with asked as materialized (
      select r.catalog::regclass::oid as classid, r.oid
      from json_to_recordset(${asked}::json) as r (catalog text, oid oid)
    ),
    owned (classid, oid, owner, acl) as (
      select a.classid, a.oid, p.proowner, p.proacl
      from asked a join pg_proc p on p.oid = a.oid and a.classid = 'pg_proc'::regclass
      union all
      select a.classid, a.oid, c.relowner, c.relacl
      from asked a join pg_class c on c.oid = a.oid and a.classid = 'pg_class'::regclass
      union all
      select a.classid, a.oid, t.typowner, t.typacl
      from asked a join pg_type t on t.oid = a.oid and a.classid = 'pg_type'::regclass
    )
    select
      a.classid::regclass::text as catalog, a.oid::text as oid,
      case when o.owner <> r.oid then pg_get_userbyid(o.owner)::text end as owner,
      coalesce(
        (
          select json_agg(json_build_object(
            'grantee', g.rolname, 'privilege', x.privilege_type, 'grantable', x.is_grantable,
            'column', null
          ) order by x.position)
          from aclexplode(o.acl) with ordinality
            as x (grantor, grantee, privilege_type, is_grantable, position)
          left join pg_roles g on g.oid = x.grantee
        ), '[]'
      ) as grants,
      o.acl is not null as "hasGrants",
      (
        select coalesce(json_agg(json_build_object(
          'grantee', g.rolname, 'privilege', x.privilege_type, 'grantable', x.is_grantable,
          'column', t.attname
        ) order by t.attnum, x.position), '[]')
        from pg_attribute t
        cross join aclexplode(t.attacl) with ordinality
          as x (grantor, grantee, privilege_type, is_grantable, position)
        left join pg_roles g on g.oid = x.grantee
        where a.classid = 'pg_class'::regclass and t.attrelid = a.oid
      ) as "columnGrants",
      (
        select coalesce(json_agg(json_build_object('column', t.attname, 'text', d.description)), '[]')
        from pg_description d
        left join pg_attribute t
          on a.classid = 'pg_class'::regclass and t.attrelid = a.oid and t.attnum = d.objsubid
          and d.objsubid > 0
        where d.classoid = a.classid and d.objoid = a.oid
      ) as comments,
      (
        select coalesce(json_agg(json_build_object(
          'column', t.attname, 'provider', l.provider, 'text', l.label
        )), '[]')
        from pg_seclabel l
        left join pg_attribute t
          on a.classid = 'pg_class'::regclass and t.attrelid = a.oid and t.attnum = l.objsubid
          and l.objsubid > 0
        where l.classoid = a.classid and l.objoid = a.oid
      ) as labels,
      (
        select g.tgenabled from pg_trigger g
        where a.classid = 'pg_trigger'::regclass and g.oid = a.oid
        union all
        select r.ev_enabled from pg_rewrite r
        where a.classid = 'pg_rewrite'::regclass and r.oid = a.oid
      ) as enabled,
      (
        select coalesce(json_agg(distinct g.rolname), '[]')
        from pg_default_acl f cross join aclexplode(f.defaclacl) x
        join pg_roles g on g.oid = x.grantee
        where f.defaclrole = r.oid
      ) as "defaultGrantees",
      exists (select from pg_default_acl f where f.defaclrole = r.oid) as "hasDefaults"
    from asked a
    join pg_roles r on r.rolname = current_user
    left join owned o on o.classid = a.classid and o.oid = a.oid
  `
}

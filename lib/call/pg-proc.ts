import type { Sql } from '../postgres/connection.ts'
import { Pace } from './pace.ts'
import { type Afterwards, readAfterwards } from './session-state.ts'
import type { Argument, ArgumentKind, Signature, TypeShape } from './signature.ts'

/** More than anybody has; a limit all the same. */
const MAX_NAMES = 20_000

interface ParameterRow {
  name: string | null
  /** pg_proc.proargmodes */
  mode: 'i' | 'o' | 'b' | 'v'
  type: string
  category: string
  preferred: boolean
  kind: ArgumentKind
  element: string | null
  default: string | null
  base: number
  baseType: string
}

type SignatureRow = Omit<
  Signature,
  'arguments' | 'outputs' | 'statements' | 'pace' | 'afterwards' | 'types'
> & {
  types: ({ type: string } & TypeShape)[]
  /** The arguments of a function; those of a procedure, and what it gives back. */
  parameters: ParameterRow[]
}

/**
 * Every function and procedure of that name that /call may run, in these schemas (undefined: those
 * of the search path). What the catalogs mean: PostgreSQL manual, "pg_proc" and "pg_type".
 */
export async function readSignatures(
  sql: Sql,
  name: string,
  schemas?: string[],
): Promise<Signature[]> {
  const reading = sql<{ signature: SignatureRow }[]>`
    with recursive candidate as (
      -- Of equal functions, the one that comes first in the search path, as when it is called.
      -- Not pg_function_is_visible: pg_catalog comes before all and would hide a version().
      select distinct on (p.proargtypes) p.*, n.nspname
      from pg_proc p
      join pg_namespace n on n.oid = p.pronamespace
      where p.proname = ${name} and ${isCallable(sql, schemas)}
      order by p.proargtypes, array_position(${searched(sql, schemas)}, n.nspname)
    ),
    parameter as (
      select c.oid as function, p.position, p.type, coalesce(p.mode, 'i') as mode,
        nullif(p.name, '') as name
      from candidate c
      cross join unnest(
        coalesce(c.proallargtypes, c.proargtypes::oid[]), c.proargmodes, c.proargnames
      ) with ordinality as p (type, mode, name, position)
      where p.mode is null or p.mode in ('i', 'b', 'v') or (p.mode = 'o' and c.prokind = 'p')
    ),
    base as (
      -- A domain is converted as the type below it.
      select t.oid as type, t.*
      from pg_type t
      where t.oid in (select type from parameter union select prorettype from candidate)
      union all
      select b.type, t.*
      from base b
      join pg_type t on t.oid = b.typbasetype
      where b.typtype = 'd'
    ),
    -- All that arguments lead to: below a domain, in an array, in a composite type.
    part as (
      select type from parameter where mode <> 'o'
      union
      select below.type
      from part
      join pg_type t on t.oid = part.type
      cross join lateral (
        select t.typbasetype where t.typtype = 'd'
        union all
        select t.typelem where t.typtype = 'b' and t.typcategory = 'A'
        union all
        select a.atttypid
        from pg_attribute a
        where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
      ) as below (type)
    )
    select json_build_object(
      'kind', case c.prokind when 'p' then 'procedure' else 'function' end,
      'schema', c.nspname,
      'name', c.proname,
      'text', format('%s(%s)', c.proname, pg_get_function_arguments(c.oid)),
      'defaults', c.pronargdefaults,
      'variadic', c.provariadic <> 0,
      'types', (
        select coalesce(json_agg(
          case
            when t.typtype = 'c' then json_build_object(
              'type', format_type(t.oid, -1), 'kind', 'composite', 'attributes', (
                select coalesce(
                  json_object_agg(a.attname, format_type(a.atttypid, -1) order by a.attnum), '{}'
                )
                from pg_attribute a
                where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
              )
            )
            when t.typname = 'hstore' and t.typtype = 'b'
              then json_build_object('type', format_type(t.oid, -1), 'kind', 'hstore')
            else json_build_object(
              'type', format_type(t.oid, -1),
              'kind', case t.typtype when 'd' then 'domain' else 'array' end,
              'of', format_type(case t.typtype when 'd' then t.typbasetype else t.typelem end, -1)
            )
          end
          order by t.oid
        ), '[]')
        from part
        join pg_type t on t.oid = part.type
        where t.typtype in ('c', 'd') or (t.typtype = 'b' and t.typcategory = 'A')
          or (t.typname = 'hstore' and t.typtype = 'b')
      ),
      'isPolymorphic', exists (
        select from parameter p
        join pg_type t on t.oid = p.type
        where p.function = c.oid and t.typtype = 'p' and p.mode <> 'o'
      ),
      'returnsVoid', c.prorettype = 'void'::regtype,
      'isOpenRecord', case c.prokind
        when 'p' then coalesce('record'::regtype = any (c.proallargtypes), false)
        else c.prorettype = 'record'::regtype
          and (c.proargmodes is null or not c.proargmodes && '{o,b,t}')
      end,
      'isReadOnly', c.provolatile <> 'v',
      'oid', c.oid::bigint,
      'relation', (
        select nullif(b.typrelid, 0)::bigint
        from base b
        where b.type = c.prorettype and b.typtype <> 'd'
      ),
      'identity', format('%I.%I(%s)', c.nspname, c.proname, oidvectortypes(c.proargtypes)),
      'parameters', (
        select coalesce(json_agg(
          json_build_object(
            'name', p.name,
            'mode', p.mode,
            -- A type modifier of -1, so that bpchar and bit are not cut to one character.
            'type', format_type(p.type, -1),
            'category', b.typcategory,
            'preferred', d.typispreferred,
            'default', case
              when c.provariadic <> 0 then pg_get_function_arg_default(c.oid, p.position::int)
            end,
            'element', case when b.typcategory = 'A' then format_type(b.typelem, -1) end,
            'kind', case
              when b.typtype = 'p' then 'polymorphic'
              when b.oid in ('json'::regtype, 'jsonb'::regtype) then 'json'
              when b.oid = 'money'::regtype then 'money'
              when b.oid = 'bytea'::regtype then 'bytea'
              when b.typname = 'hstore' and b.typtype = 'b' then 'hstore'
              when b.typcategory = 'A' and (
                -- The elements, or what a domain of them is over.
                'json'::regtype in (e.oid, e.typbasetype)
                or 'jsonb'::regtype in (e.oid, e.typbasetype)
              ) then 'json[]'
              when b.typcategory = 'A' and 'money'::regtype in (e.oid, e.typbasetype) then 'money[]'
              when b.typcategory = 'A' and e.typname = 'hstore' and e.typtype = 'b'
                then 'hstore[]'
              when b.typcategory = 'A' and e.typcategory = 'A' and e.typtype = 'd' then 'array[]'
              when b.typtype = 'c' or b.typcategory = 'A' then 'structured'
              else 'scalar'
            end,
            'base', b.oid::bigint,
            'baseType', format_type(b.oid, -1)
          ) order by p.position
        ), '[]')
        from parameter p
        join pg_type d on d.oid = p.type
        join base b on b.type = p.type and b.typtype <> 'd'
        left join pg_type e on e.oid = b.typelem
        where p.function = c.oid
      )
    ) as signature
    from candidate c
    order by pg_get_function_identity_arguments(c.oid)
  `
  const [rows, afterwards] = await Promise.all([reading, readAfterwards(sql, name)])
  return rows.map(({ signature: { parameters, types, ...signature } }) => ({
    ...signature,
    arguments: parameters.filter(({ mode }) => mode !== 'o').map(toArgument),
    types: Object.fromEntries(types.map(({ type, ...shape }) => [type, shape])),
    outputs: signature.kind === 'procedure' ? outputsOf(parameters) : [],
    afterwards: afterwardsOf(signature.kind, afterwards),
    statements: new Map(),
    pace: new Pace(),
  }))
}

function toArgument(row: ParameterRow): Argument {
  const { name, type, category, preferred, kind, element } = row
  return {
    name: name ?? undefined,
    type,
    category,
    preferred,
    kind,
    element: element ?? undefined,
    default: row.default ?? undefined,
  }
}

/** A procedure has transactions of its own, and settings that outlive them. */
function afterwardsOf(kind: Signature['kind'], afterwards: Afterwards): Afterwards {
  return kind === 'procedure' && afterwards === 'keep' ? 'reset' : afterwards
}

/** The names of everything in these schemas of the database that /call may run. */
export async function readNames(sql: Sql, schemas?: string[]): Promise<string[]> {
  const rows = await sql<{ name: string }[]>`
    select distinct p.proname as name
    from pg_proc p
    join pg_namespace n on n.oid = p.pronamespace
    where p.proname ~ '^[a-z_][a-z0-9_]*$' and ${isCallable(sql, schemas)}
    limit ${MAX_NAMES}
  `
  return rows.map(({ name }) => name)
}

/**
 * Of a pg_proc `p` in a pg_namespace `n`: a plain function or a procedure, found in the schemas where
 * /call looks. Never what cannot be called in SQL (a trigger's, one with internal arguments, a
 * handler), the gateway's own, or one in a schema of temporary tables; and one of PostgreSQL or of an
 * extension only where its schema was named, which `public` is for other reasons.
 */
function isCallable(sql: Sql, schemas: string[] | undefined) {
  return sql`
    p.prokind in ('f', 'p')
    and p.prorettype not in (
      'trigger'::regtype, 'event_trigger'::regtype, 'internal'::regtype,
      'language_handler'::regtype, 'fdw_handler'::regtype, 'index_am_handler'::regtype,
      'table_am_handler'::regtype, 'tsm_handler'::regtype
    )
    and p.provariadic <> '"any"'::regtype
    and 'internal'::regtype <> all (p.proargtypes)
    and not starts_with(p.proname::text, '_db_gateway')
    and n.nspname = any (${searched(sql, schemas)})
    and n.nspname !~ '^(_db_gateway|pg_(toast_)?temp_)'
    and ${
      schemas
        ? sql`(n.nspname <> 'public' or ${isNoExtension(sql)})`
        : sql`n.nspname not in ('pg_catalog', 'information_schema') and ${isNoExtension(sql)}`
    }
  `
}

function isNoExtension(sql: Sql) {
  return sql`not exists (
    select from pg_depend d
    where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
  )`
}

/** Where /call looks, in this order. */
function searched(sql: Sql, schemas: string[] | undefined) {
  return schemas
    ? sql`string_to_array(${schemas.join()}, ',')::name[]`
    : sql`current_schemas(false)`
}

function outputsOf(parameters: ParameterRow[]): Signature['outputs'] {
  let place = 0
  const outputs: Signature['outputs'] = []
  for (const { mode, kind, base, baseType } of parameters) {
    const output = { type: kind === 'polymorphic' ? undefined : baseType, oid: base }
    if (mode === 'o') outputs.push({ ...output, place })
    if (mode === 'b') outputs.push({ ...output, place: undefined })
    if (mode !== 'o') place++
  }
  return outputs
}

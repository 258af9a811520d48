import type { Sql } from '../postgres/connection.ts'

/** How a JSON value becomes an argument. */
export type ArgumentKind =
  /** As text, which the type's input function reads. */
  | 'scalar'
  /** json or jsonb, or a domain over one: the JSON itself. */
  | 'json'
  /** An array, a composite type, or a domain over one: JSON arrays and objects are taken apart. */
  | 'structured'
  /** anyelement and its like: the type follows from the value. */
  | 'polymorphic'

/** One argument that a caller gives. */
export interface Argument {
  /** Undefined where the function declares none. */
  name: string | undefined
  /** The type as SQL writes it in a cast. */
  type: string
  /** pg_type.typcategory: N number, S string, B boolean, A array, C composite, … */
  category: string
  kind: ArgumentKind
}

/** One function of a database as a caller sees it; overloads are one each. */
export interface Signature {
  schema: string
  name: string
  /** The arguments that go in, in order. */
  arguments: Argument[]
  /** How many of the last ones may be left out. */
  defaults: number
  /** The last argument takes any number of values. */
  variadic: boolean
  returnsVoid: boolean
  /** Of pg_proc: a function that is dropped and made anew has another. */
  oid: number
  /** Of pg_class: the table or composite type whose columns it returns. */
  relation: number | null
  /** Name and types, as `regprocedure` reads them. */
  identity: string
  /** As PostgreSQL writes it: `get_patient_by_id(p_patient_id integer)`. */
  text: string
  /** The SQL of its calls, by the form of their parameters. */
  statements: Map<string, TemplateStringsArray>
}

interface SignatureRow {
  schema: string
  name: string
  text: string
  defaults: number
  variadic: boolean
  void: boolean
  oid: number
  relation: number | null
  identity: string
  names: (string | null)[] | null
  types: { type: string; category: string; kind: ArgumentKind }[]
}

/**
 * Every function of that name that /call may run: plain functions that are found without a schema,
 * not PostgreSQL's own, not an extension's, not a trigger's, none with internal arguments. What the
 * catalogs mean: PostgreSQL manual, "pg_proc" and "pg_type".
 */
export async function readSignatures(sql: Sql, name: string): Promise<Signature[]> {
  const rows = await sql<{ signature: SignatureRow }[]>`
    with recursive base as (
      -- A domain is converted as the type below it.
      select oid, oid as base, typtype, typbasetype, typelem, typcategory
      from pg_type
      union all
      select b.oid, t.oid, t.typtype, t.typbasetype, t.typelem, t.typcategory
      from base b
      join pg_type t on t.oid = b.typbasetype
      where b.typtype = 'd'
    ),
    candidate as (
      -- Of equal functions, the one that comes first in the search path, as when it is called.
      -- Not pg_function_is_visible: pg_catalog comes before all and would hide a version().
      select distinct on (p.proargtypes) p.*, n.nspname
      from pg_proc p
      join pg_namespace n on n.oid = p.pronamespace
      where p.proname = ${name}
        and p.prokind = 'f'
        and p.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype)
        and p.provariadic <> '"any"'::regtype
        and 'internal'::regtype <> all (p.proargtypes)
        and n.nspname = any (current_schemas(false))
        and n.nspname <> 'pg_catalog'
        and not exists (
          select from pg_depend d
          where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
        )
      order by p.proargtypes, array_position(current_schemas(false), n.nspname)
    )
    select json_build_object(
      'schema', c.nspname,
      'name', c.proname,
      'text', format('%s(%s)', c.proname, pg_get_function_arguments(c.oid)),
      'defaults', c.pronargdefaults,
      'variadic', c.provariadic <> 0,
      'void', c.prorettype = 'void'::regtype,
      'oid', c.oid::bigint,
      'relation', (
        select nullif(t.typrelid, 0)::bigint
        from base b
        join pg_type t on t.oid = b.base
        where b.oid = c.prorettype and b.typtype <> 'd'
      ),
      'identity', c.oid::regprocedure,
      'names', (
        select json_agg(nullif(c.proargnames[i], '') order by i)
        from generate_subscripts(c.proargnames, 1) i
        where c.proargmodes is null or c.proargmodes[i] in ('i', 'b', 'v')
      ),
      'types', (
        select coalesce(json_agg(
          json_build_object(
            -- A type modifier of -1, so that bpchar and bit are not cut to one character.
            'type', format_type(a.type, -1),
            'category', b.typcategory,
            'kind', case
              when b.typtype = 'p' then 'polymorphic'
              when b.base in ('json'::regtype, 'jsonb'::regtype) then 'json'
              when b.typtype = 'c' or b.typcategory = 'A' then 'structured'
              else 'scalar'
            end
          ) order by a.position
        ), '[]')
        from unnest(c.proargtypes) with ordinality a (type, position)
        join base b on b.oid = a.type and b.typtype <> 'd'
      )
    ) as signature
    from candidate c
    order by pg_get_function_identity_arguments(c.oid)
  `
  return rows.map(({ signature }) => ({
    schema: signature.schema,
    name: signature.name,
    text: signature.text,
    statements: new Map(),
    defaults: signature.defaults,
    variadic: signature.variadic,
    returnsVoid: signature.void,
    oid: signature.oid,
    relation: signature.relation,
    identity: signature.identity,
    arguments: signature.types.map((type, i) => ({
      name: signature.names?.[i] ?? undefined,
      ...type,
    })),
  }))
}

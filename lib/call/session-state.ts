import type { Connection, Sql } from '../postgres/connection.ts'
import { FIRST_NORMAL_OID } from '../postgres/oids.ts'
import type { Signature } from './signature.ts'

/** What has to become of a connection after a call, so that the next one finds nothing of it. */
export type Afterwards =
  /** It is as it was: nothing that the function can reach is able to change its session. */
  | 'keep'
  /** Its session is reset. */
  | 'reset'
  /** It is closed: a reset does not reach all that may be left. */
  | 'close'

/** As they stand in `reach`; the larger ones go before the smaller ones. */
const RESET = 1
/** It runs whatever it is given, as text. */
const ANYTHING = 2
const CLOSE = 3

/** Of PostgreSQL's own: VOLATILE, and nothing of them is left in the session. */
const HARMLESS = `
  clock_timestamp timeofday random random_normal array_sample array_shuffle gen_random_uuid uuidv4
  uuidv7 nextval pg_sleep pg_sleep_for pg_sleep_until pg_notify pg_cancel_backend
  pg_terminate_backend pg_advisory_xact_lock pg_advisory_xact_lock_shared
  pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared pg_relation_size pg_table_size
  pg_indexes_size pg_total_relation_size pg_database_size pg_is_in_recovery pg_current_wal_lsn
  current_query lo_create lo_creat lo_from_bytea lo_get lo_put lo_unlink
  tsvector_update_trigger tsvector_update_trigger_column suppress_redundant_updates_trigger
`

/** The same, of the extensions that come with PostgreSQL. */
const HARMLESS_OF_EXTENSIONS = `
  gen_random_bytes gen_salt pgp_sym_encrypt pgp_sym_encrypt_bytea pgp_pub_encrypt
  pgp_pub_encrypt_bytea uuid_generate_v1 uuid_generate_v1mc uuid_generate_v4 normal_rand moddatetime
  insert_username autoinc lo_manage pg_stat_statements pg_stat_statements_info
  pg_stat_statements_reset postgres_fdw_handler postgres_fdw_validator
`

/** In C, and not what they are declared to be: IMMUTABLE, in PostgreSQL 15. */
const NOT_AS_DECLARED = 'isn_weak'

/** Of extensions: what a reset takes back. */
const RESET_OF_EXTENSIONS = 'set_limit'

/** Functions in C that run a query which they are given, or which is hidden in a name. */
const RUNS_ANYTHING = `
  query_to_xml query_to_xmlschema query_to_xml_and_xmlschema table_to_xml table_to_xmlschema
  table_to_xml_and_xmlschema schema_to_xml schema_to_xmlschema schema_to_xml_and_xmlschema
  database_to_xml database_to_xmlschema database_to_xml_and_xmlschema cursor_to_xml
  cursor_to_xmlschema ts_stat ts_rewrite crosstab crosstab2 crosstab3 crosstab4 crosstab_hash
  connectby xpath_table
`

/** In ASCII, what is no part of a name in lower case without quotes. */
const NO_WORD = String.raw`\x01-\x2f\x3a-\x40\x5b-\x5e\x60\x7b-\x7f`

/**
 * Texts in quotes, comments, and (to keep) names in quotes. With a backslash or a text in dollars
 * within the source it is not certain where a text ends; then nothing is left out.
 */
const TEXTS_AND_COMMENTS = String.raw`("[^"]*")|'(?:[^']|'')*'|--[^\n]*|/\*(?:[^*]|\*+[^*/])*\*+/`
const UNCERTAIN = String.raw`\\|\$\w*\$`

/** A setting for the transaction alone, as it is without its texts. */
const LOCAL_SETTING = String.raw`\mset_config\s*\(\s*(?:::\s*\w+\s*)?,[^();]*,\s*(?:is_local\s*(?:=>|:=)\s*)?true\s*\)`

/** Statements that run a text. */
const TEXT_IS_RUN = String.raw`\mexecute\M(?!\s+(?:function|procedure)\M)|\mprepare\M|\mdo\M(?!\s+(?:update|nothing)\M)|\mu&["']`

/** Statements that may leave something in the session, wherever one may begin. */
const LEAVES_SOMETHING = String.raw`\m(?:listen|deallocate|create|alter|drop|discard|pg_temp|pg_settings)\M|\mwith\s+hold\M|\minto\s+(?:temp|temporary)\M|(?:^|[;>/]|\m(?:begin|then|else|loop)\M|--[^\n]*\n)\s*(?:set|reset|load)\M(?!\s+(?:local|constraints)\M)`

/**
 * What the functions of the name `$1` may leave in their session. It is followed by names what they
 * can reach: other functions, tables with their triggers, defaults, policies and constraints, views;
 * and, since nobody names them, whatever operators, casts, ranges and domains there are. A name is any word
 * that is one, in whatever schema, so that it is rather too much than too little. What a function in
 * C does is not seen: of PostgreSQL's own those that are VOLATILE are taken for ones that leave
 * something, but for the known ones; of others that are, and of other languages, nobody knows.
 */
const READ_AFTERWARDS = `
  with recursive odd as materialized (
    -- Names that are no words.
    select p.proname::text as name
    from pg_proc p
    where p.oid >= ${FIRST_NORMAL_OID} and p.proname::text collate "C" ~ '[A-Z${NO_WORD}]'
    union
    select c.relname
    from pg_class c
    where c.oid >= ${FIRST_NORMAL_OID} and c.relkind in ('r', 'v', 'm', 'p', 'f')
      and c.relname::text collate "C" ~ '[A-Z${NO_WORD}]'
  ),
  reach as (
    select 'all' as kind, 0::oid as oid, 0 as leaves
    union
    select n.kind, n.oid, n.leaves
    from reach r
    cross join lateral (
      select concat_ws(';',
        $1::text,
        (select string_agg(oprcode::text, ';') from pg_operator where oid >= ${FIRST_NORMAL_OID}),
        (select string_agg(castfunc::regproc::text, ';') from pg_cast where oid >= ${FIRST_NORMAL_OID}),
        (
          select string_agg(concat_ws(';', rngcanonical, rngsubdiff), ';')
          from pg_range
          where rngtypid >= ${FIRST_NORMAL_OID}
        ),
        (
          select string_agg(pg_get_constraintdef(oid), ';')
          from pg_constraint
          where contypid <> 0 and oid >= ${FIRST_NORMAL_OID}
        ),
        (
          select string_agg(pg_get_expr(typdefaultbin, 0), ';')
          from pg_type
          where typdefaultbin is not null and oid >= ${FIRST_NORMAL_OID}
        )
      )
      where r.kind = 'all'
      union all
      select concat_ws(';',
        case when l.lanname in ('sql', 'plpgsql') then p.prosrc end,
        pg_get_function_sqlbody(p.oid),
        pg_get_expr(p.proargdefaults, 0),
        (
          select concat_ws(';', aggtransfn, aggfinalfn, aggcombinefn, aggserialfn, aggdeserialfn,
            aggmtransfn, aggminvtransfn, aggmfinalfn)
          from pg_aggregate
          where aggfnoid = p.oid
        )
      )
      from pg_proc p
      join pg_language l on l.oid = p.prolang
      where r.kind = 'function' and p.oid = r.oid
      union all
      select concat_ws(';',
        case when c.relkind in ('v', 'm') then pg_get_viewdef(c.oid) end,
        (
          select string_agg(regexp_replace(pg_get_triggerdef(oid), '^CREATE', ''), ';')
          from pg_trigger
          where tgrelid = c.oid and (not tgisinternal or tgparentid <> 0)
        ),
        (
          select string_agg(pg_get_ruledef(oid), ';')
          from pg_rewrite
          where ev_class = c.oid and rulename <> '_RETURN'
        ),
        (
          select string_agg(pg_get_expr(adbin, adrelid), ';')
          from pg_attrdef
          where adrelid = c.oid
        ),
        (
          select string_agg(
            concat_ws(';', pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)), ';'
          )
          from pg_policy
          where polrelid = c.oid
        ),
        (
          select string_agg(pg_get_expr(conbin, conrelid), ';')
          from pg_constraint
          where conrelid = c.oid and contype = 'c'
        ),
        (
          select string_agg(
            concat_ws(';', pg_get_expr(indexprs, indrelid), pg_get_expr(indpred, indrelid)), ';'
          )
          from pg_index
          where indrelid = c.oid and (indexprs is not null or indpred is not null)
        ),
        -- What is changed along with it.
        (
          select string_agg(inhrelid::regclass::text, ';')
          from pg_inherits
          where inhparent = c.oid
        ),
        (
          select string_agg(conrelid::regclass::text, ';')
          from pg_constraint
          where confrelid = c.oid and not (confdeltype in ('a', 'r') and confupdtype in ('a', 'r'))
        )
      )
      from pg_class c
      where r.kind = 'relation' and c.oid = r.oid
      -- Here and below: nothing is worked out twice.
      offset 0
    ) as source (text)
    cross join lateral (
      select case
        when source.text ~ '${UNCERTAIN}' then source.text
        else regexp_replace(source.text, '${quoted(TEXTS_AND_COMMENTS)}', '\\1 ', 'g')
      end
      offset 0
    ) as code (text)
    cross join lateral (
      select regexp_replace(lower(code.text collate "C"), '${LOCAL_SETTING}', ' ', 'g')
      offset 0
    ) as folded (text)
    cross join lateral (
      select (
        regexp_split_to_array(folded.text, '[${NO_WORD}]+')
        || array(
          select name
          from odd
          where position(replace(name, '"', '""') in code.text) > 0
        )
      )::name[]
      offset 0
    ) as named (words)
    cross join lateral (
      select f.kind, case f.kind when 'function' then f.oid else 0 end as oid, f.leaves
      from (
        select
          case
            when l.lanname in ('sql', 'plpgsql') or p.prokind = 'a' then 'function' else 'leaf'
          end as kind,
          p.oid,
          case
            when l.lanname in ('sql', 'plpgsql') or p.prokind = 'a' then 0
            when p.proname = any (${names(RUNS_ANYTHING)}) then ${ANYTHING}
            when p.oid < ${FIRST_NORMAL_OID} or p.proname = any (${names(RESET_OF_EXTENSIONS)}) then ${RESET}
            else ${CLOSE}
          end as leaves
        from pg_proc p
        join pg_language l on l.oid = p.prolang
        where p.proname = any (named.words)
          and (${mayLeaveSomething('p', 'l')} or (p.prokind = 'a' and p.oid >= ${FIRST_NORMAL_OID}))
      ) as f
      union all
      select 'relation', c.oid, 0
      from pg_class c
      where c.relname = any (named.words)
        and c.oid >= ${FIRST_NORMAL_OID} and c.relkind in ('r', 'v', 'm', 'p', 'f')
      union all
      select 'leaf', 0, ${ANYTHING}
      where folded.text ~ '${quoted(TEXT_IS_RUN)}'
      union all
      select 'leaf', 0, ${RESET}
      where folded.text ~ '${quoted(LEAVES_SOMETHING)}'
    ) as n
  )
  select case
    when max(leaves) = ${CLOSE} then 'close'
    when max(leaves) = ${ANYTHING} and exists (
      -- Anything is also what no reset reaches, where there is such a thing.
      select from pg_proc p
      join pg_language l on l.oid = p.prolang
      where p.oid >= ${FIRST_NORMAL_OID} and l.lanname not in ('sql', 'plpgsql')
        and ${mayLeaveSomething('p', 'l')}
        and p.proname <> all (${names(`${RUNS_ANYTHING} ${RESET_OF_EXTENSIONS}`)})
    ) then 'close'
    when max(leaves) > 0 then 'reset'
    else 'keep'
  end as afterwards
  from reach
`

/** Of a pg_proc and its pg_language: not those in C that are known to leave nothing. */
function mayLeaveSomething(p: string, l: string): string {
  return `(
    ${l}.lanname not in ('internal', 'c')
    or ${p}.proname = any (${names(`${RUNS_ANYTHING} ${NOT_AS_DECLARED}`)})
    or (
      ${p}.provolatile = 'v'
      and ${p}.proname <> all (${names(HARMLESS)})
      and not (${p}.oid >= ${FIRST_NORMAL_OID} and ${p}.proname = any (${names(HARMLESS_OF_EXTENSIONS)}))
    )
  )`
}

/** An array of names, in SQL. */
function names(words: string): string {
  return `'{${words.trim().split(/\s+/).join()}}'::name[]`
}

function quoted(text: string): string {
  return text.replaceAll("'", "''")
}

/** What becomes of a connection after a call of a function of that name. */
export async function readAfterwards(sql: Sql, name: string): Promise<Afterwards> {
  const [row] = await sql.unsafe<{ afterwards: Afterwards }[]>(READ_AFTERWARDS, [name], {
    prepare: true,
  })
  return row!.afterwards
}

/**
 * To be called right before functions are called on a connection, which nobody else uses then:
 * notes what has to become of it, and takes away what functions that leave nothing else may have
 * left, the last values of sequences.
 */
export function enter(connection: Connection, ...signatures: Signature[]): void {
  const leaving = signatures.filter(({ afterwards }) => afterwards !== 'keep')
  if (leaving.length === 0) return
  connection.expectLeftovers()
  if (leaving.some(({ afterwards }) => afterwards === 'close')) connection.isSpent = true
  // Where it fails, the connection is lost, and so is the call behind it.
  connection.sql
    .unsafe('discard sequences')
    .execute()
    .catch(() => {})
}

import type { Sql } from '../../postgres/connection.ts'
import { functionKey, type ReadSchema, type SchemaFacts } from './facts.ts'
import { CANONICAL_SETTINGS, FACTS } from './facts-sql.ts'
import { isCallable, SEARCHED, TYPES_KEY } from './signatures-sql.ts'
import { SCHEMA_VERSION } from './version.ts'

/** Of what is read: another one, and all that was kept is read anew. Part of every digest. */
export const FACTS_FORMAT = 2

const TEXTS = `
  select to_json(${SEARCHED}) as searched, (
    select coalesce(json_agg(json_build_array(
      n.nspname, p.proname, k.types,
      format('%s(%s)', p.proname, pg_get_function_arguments(p.oid))
    )), '[]')
    from pg_proc p
    join pg_namespace n on n.oid = p.pronamespace
    cross join lateral ${TYPES_KEY} as k (types)
    where ${isCallable(SEARCHED, '$1::text is not null')}
  ) as texts
`

interface TextsRow {
  searched: string[]
  texts: [schema: string, name: string, types: string, text: string][]
}

interface FactsRow {
  digest: string
  facts: string | null
}

export interface ReadOptions {
  /** CALLABLE_SCHEMAS; undefined: functions are looked for in the search path. */
  callableSchemas?: string[] | undefined
  /** Digests whose facts are known, and are not read again. */
  known?: Iterable<string>
}

/**
 * Reads everything of a database that decides what its functions do. The search path is that of a
 * new session, whatever it is in this one. Two round trips, in a transaction that only reads.
 */
export async function readSchema(sql: Sql, options: ReadOptions = {}): Promise<ReadSchema> {
  await sql.unsafe(`
    begin isolation level repeatable read read only;
    set local search_path to default
  `)
  try {
    return await readSchemaWithin(sql, options)
  } finally {
    // Nothing was written: after an error too, it only ends.
    await sql.unsafe('commit')
  }
}

/** The same within the caller's transaction, whose settings are others afterwards. */
export async function readSchemaWithin(
  sql: Sql,
  { callableSchemas, known = [] }: ReadOptions = {},
): Promise<ReadSchema> {
  const schemas = callableSchemas?.join() ?? null
  const [[version], [names]] = await Promise.all([
    sql.unsafe<{ version: string }[]>(SCHEMA_VERSION),
    sql.unsafe<TextsRow[]>(TEXTS, [schemas]),
  ])
  const { searched, texts } = names!
  const [, [row]] = await Promise.all([
    sql.unsafe(CANONICAL_SETTINGS),
    sql.unsafe<FactsRow[]>(FACTS, [
      searched.join(),
      schemas !== null,
      [...known].join(),
      JSON.stringify([FACTS_FORMAT, callableSchemas ?? null, searched]),
    ]),
  ])
  const { digest, facts } = row!
  return {
    digest,
    version: version!.version,
    facts: facts === null ? undefined : (JSON.parse(facts) as SchemaFacts),
    texts: new Map(
      texts.map(([schema, name, types, text]) => [functionKey({ schema, name, types }), text]),
    ),
  }
}

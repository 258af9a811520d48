import { send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { withValues } from '../../postgres/quote.ts'
import { CHANGE_MARK } from './change-mark.ts'
import { functionKey, type ReadSchema, type SchemaFacts } from './facts.ts'
import { CANONICAL_SETTINGS, FACTS } from './facts-sql.ts'
import { isCallable, SEARCHED, TYPES_KEY } from './signatures-sql.ts'
import { SCHEMA_VERSION } from './version.ts'

/**
 * Version of the format of the facts, part of every digest. A new number invalidates all stored
 * schemas.
 */
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
  /** CALLABLE_SCHEMAS; undefined: the search path. */
  callableSchemas?: string[] | undefined
  /** Known digests, whose facts are not read again. */
  known?: Iterable<string>
}

/** Search path of nearly all databases. */
const USUALLY_SEARCHED = ['public']

/**
 * Reads everything in a database that determines what its functions do. Uses the search path of a
 * new session, not that of this one. Takes one round trip in a read-only transaction; two if the
 * search path is not `public`.
 */
export async function readSchema(sql: Sql, options: ReadOptions = {}): Promise<ReadSchema> {
  const read = await readOnce(sql, options, options.callableSchemas ?? USUALLY_SEARCHED)
  if ('schema' in read) return read.schema
  const again = await readOnce(sql, options, read.searched)
  if ('schema' in again) return again.schema
  throw new Error('The search path of the database changed while its schema was read')
}

async function readOnce(sql: Sql, options: ReadOptions, searched: string[]): Promise<Reading> {
  const [mark, , reading] = await Promise.all([
    // Before the snapshot that the version is read with.
    send(sql.unsafe<{ mark: string | null }[]>(`select ${CHANGE_MARK} as mark`)).then(
      ([row]) => row?.mark ?? undefined,
      () => undefined,
    ),
    send(
      sql.unsafe(`
        begin isolation level repeatable read read only;
        set local search_path to default
      `),
    ),
    sendReading(sql, options, searched),
    // The transaction is read-only, so COMMIT ends it even after an error.
    send(sql.unsafe('commit')),
  ])
  return 'schema' in reading ? { schema: { ...reading.schema, mark } } : reading
}

/**
 * Reads a schema as `readSchema` does, within the caller's transaction. Changes the settings of
 * that transaction.
 */
export async function readSchemaWithin(sql: Sql, options: ReadOptions = {}): Promise<ReadSchema> {
  const { callableSchemas } = options
  const schemas = callableSchemas?.join() ?? null
  const [row] = await sql.unsafe<TextsRow[]>(withValues(TEXTS, [schemas]))
  const read = await sendReading(sql, options, row!.searched)
  if ('schema' in read) return read.schema
  throw new Error('The search path of the transaction changed while the schema was read')
}

/** The schema; or the actual search path, if the guess was wrong. */
type Reading = { schema: ReadSchema } | { searched: string[] }

/** Sends all queries at once, without parameters, which postgres.js would describe first. */
async function sendReading(
  sql: Sql,
  { callableSchemas, known = [] }: ReadOptions,
  guessed: string[],
): Promise<Reading> {
  const schemas = callableSchemas?.join() ?? null
  const [[version], [names], , [row]] = await Promise.all([
    send(sql.unsafe<{ version: string }[]>(SCHEMA_VERSION)),
    send(sql.unsafe<TextsRow[]>(withValues(TEXTS, [schemas]))),
    send(sql.unsafe(CANONICAL_SETTINGS)),
    send(
      sql.unsafe<FactsRow[]>(
        withValues(FACTS, [
          guessed.join(),
          `${schemas !== null}`,
          [...known].join(),
          JSON.stringify([FACTS_FORMAT, callableSchemas ?? null, guessed]),
        ]),
      ),
    ),
  ])
  const { searched, texts } = names!
  if (JSON.stringify(searched) !== JSON.stringify(guessed)) return { searched }
  const { digest, facts } = row!
  return {
    schema: {
      digest,
      version: version!.version,
      facts: facts === null ? undefined : (JSON.parse(facts) as SchemaFacts),
      texts: new Map(
        texts.map(([schema, name, types, text]) => [functionKey({ schema, name, types }), text]),
      ),
    },
  }
}

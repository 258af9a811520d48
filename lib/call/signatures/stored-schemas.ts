import { gunzipSync, gzipSync } from 'node:zlib'
import { createTables } from '../../postgres/create-tables.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { LooseSignature } from './schema.ts'

/** Of what is stored, and of how verdicts are found: another one, and all are worked out anew. */
export const STORED_FORMAT = 3

/** A schema that no database refers to is removed when it is so old: its first is being recorded. */
const UNREFERENCED = '1 hour'

/** What a database had when it was last looked at. */
export interface StoredState {
  digest: string
  version: string
}

interface Stored {
  callableSchemas: string[] | null
  functions: LooseSignature[]
}

/** Creates the table of schemas in the administrative database. */
export async function prepareStoredSchemas(sql: Sql): Promise<void> {
  await createTables(
    sql,
    `
    create table if not exists _db_gateway_function_schemas (
      digest text primary key,
      format_version integer not null,
      -- JSON, compressed by gzip.
      functions bytea not null,
      created_at timestamptz not null default now()
    )
  `,
  )
}

/** What the catalog says of a database; undefined where it does not. */
export async function readState(sql: Sql, database: string): Promise<StoredState | undefined> {
  const [row] = await sql<StoredState[]>`
    select functions_digest as digest, functions_version as version
    from _db_gateway_databases
    where database = ${database} and functions_digest is not null and functions_version is not null
  `
  return row
}

/** Writes down what a database has, where that is not known. */
export async function writeState(sql: Sql, database: string, state: StoredState): Promise<void> {
  await sql`
    update _db_gateway_databases
    set functions_digest = ${state.digest}, functions_version = ${state.version}
    where database = ${database}
      and (functions_digest, functions_version) is distinct from (${state.digest}, ${state.version})
  `
}

/** Undefined where it is not there; "foreign" where another CALLABLE_SCHEMAS made it. */
export async function readStoredSchema(
  sql: Sql,
  digest: string,
  callableSchemas: string[] | undefined,
): Promise<LooseSignature[] | 'foreign' | undefined> {
  const [row] = await sql<{ functions: string }[]>`
    select encode(functions, 'base64') as functions
    from _db_gateway_function_schemas
    where digest = ${digest} and format_version = ${STORED_FORMAT}
  `
  if (!row) return undefined
  const stored = JSON.parse(gunzipSync(Buffer.from(row.functions, 'base64')).toString()) as Stored
  const isSame = JSON.stringify(stored.callableSchemas) === JSON.stringify(callableSchemas ?? null)
  return isSame ? stored.functions : 'foreign'
}

/** Stores a schema, and removes those that no database has any more. */
export async function storeSchema(
  sql: Sql,
  digest: string,
  callableSchemas: string[] | undefined,
  functions: LooseSignature[],
): Promise<void> {
  const stored: Stored = { callableSchemas: callableSchemas ?? null, functions }
  const bytes = gzipSync(JSON.stringify(stored)).toString('base64')
  await sql`
    with removed as (
      delete from _db_gateway_function_schemas s
      where s.created_at < now() - ${UNREFERENCED}::interval and s.digest <> ${digest}
        and not exists (select from _db_gateway_databases d where d.functions_digest = s.digest)
    )
    insert into _db_gateway_function_schemas (digest, format_version, functions)
    values (${digest}, ${STORED_FORMAT}, decode(${bytes}, 'base64'))
    on conflict (digest) do update
    set format_version = excluded.format_version, functions = excluded.functions
    where _db_gateway_function_schemas.format_version <> excluded.format_version
  `
}

import { gunzipSync, gzipSync } from 'node:zlib'
import { createTables } from '../../postgres/create-tables.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { LooseSignature } from './schema.ts'

/**
 * Version of the stored format and of the rules of verdicts. A new number invalidates all stored
 * schemas.
 */
export const STORED_FORMAT = 3

/**
 * Minimum age of an unreferenced schema before it is removed: its first database may not have been
 * recorded yet.
 */
const UNREFERENCED = '1 hour'

/** Digest and version of a database when its schema was last read. */
export interface StoredState {
  digest: string
  version: string
}

interface Stored {
  callableSchemas: string[] | null
  functions: LooseSignature[]
}

/** Creates the table of stored schemas in the administrative database. */
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

/** Returns the recorded state of a database; undefined without one. */
export async function readState(sql: Sql, database: string): Promise<StoredState | undefined> {
  const [row] = await sql<StoredState[]>`
    select functions_digest as digest, functions_version as version
    from _db_gateway_databases
    where database = ${database} and functions_digest is not null and functions_version is not null
  `
  return row
}

/** Records the state of a database unless it is recorded already. */
export async function writeState(sql: Sql, database: string, state: StoredState): Promise<void> {
  await sql`
    update _db_gateway_databases
    set functions_digest = ${state.digest}, functions_version = ${state.version}
    where database = ${database}
      and (functions_digest, functions_version) is distinct from (${state.digest}, ${state.version})
  `
}

/**
 * Reads a stored schema. Returns undefined if there is none, "foreign" if another CALLABLE_SCHEMAS
 * made it.
 */
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

/** Stores a schema, and removes old ones that no database refers to. */
export async function storeSignatures(
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

import { hash } from 'node:crypto'
import { CANONICAL_SETTINGS } from '../call/signatures/facts-sql.ts'
import { SCHEMA_VERSION } from '../call/signatures/version.ts'
import { send } from '../postgres/pipeline.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import { withValues } from '../postgres/quote.ts'
import { type CatalogFunction, describeFunction } from './described-function.ts'
import type { Description, TypeDescription } from './description.ts'
import { DESCRIPTION, DESCRIPTION_VERSION } from './description-sql.ts'

/** Where a description is read, and how old what is known may be. */
export interface DescriptionRead {
  /** A text that changes whenever the description may have changed. */
  version: string
  /** Undefined if the version is the known one. */
  description: Description | undefined
}

interface Raw {
  functions: CatalogFunction[]
  types: TypeDescription[]
}

/**
 * Reads the version of a database's description, and if it differs from `known`, the description:
 * in one read-only transaction, with the search path of a new session.
 * @param callableSchemas CALLABLE_SCHEMAS; undefined: the search path
 */
export async function readDescription(
  sql: Sql,
  callableSchemas: string[] | undefined,
  known: string | undefined,
): Promise<DescriptionRead> {
  const { version, searched } = await begin(sql, callableSchemas)
  try {
    if (version === known) return { version, description: undefined }
    const schemas = (callableSchemas ?? searched).join()
    const text = withValues(DESCRIPTION, [schemas, String(callableSchemas !== undefined)])
    const [row] = await sql.unsafe<{ description: string }[]>(text)
    return { version, description: parse(row!.description) }
  } finally {
    // The transaction is read-only, so COMMIT ends it even after an error.
    await sql.unsafe('commit')
  }
}

type Rows = [{ searched?: string[]; version?: string; described?: string }?]

/** Begins the transaction and reads the version, in one round trip. */
async function begin(
  sql: Sql,
  callableSchemas: string[] | undefined,
): Promise<{ version: string; searched: string[] }> {
  const results: unknown = await send(
    sql.unsafe(
      [
        'begin isolation level repeatable read read only',
        'set local search_path to default',
        'select pg_catalog.to_json(pg_catalog.current_schemas(false)) as searched',
        CANONICAL_SETTINGS,
        SCHEMA_VERSION,
        DESCRIPTION_VERSION,
      ].join(';'),
    ),
  )
  const rows = (results as Rows[]).map(([row]) => row)
  const { searched } = rows.find((row) => row?.searched !== undefined)!
  const { version } = rows.find((row) => row?.version !== undefined)!
  const { described } = rows.find((row) => row?.described !== undefined)!
  return {
    version: JSON.stringify([version, described, callableSchemas ?? null, searched]),
    searched: searched!,
  }
}

function parse(text: string): Description {
  const raw = JSON.parse(text) as Raw
  const types = new Map(raw.types.map((type) => [type.name, type]))
  return {
    digest: hash('sha256', text),
    functions: raw.functions.map((one) => describeFunction(one, types)),
    types,
    tables: raw.types.filter(({ relation }) => relation !== null),
  }
}

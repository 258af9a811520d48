import type { SchemaFile } from '../../archive/archive.ts'
import { answers, send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteLiteral } from '../../postgres/quote.ts'
import { fileFailure } from '../failure.ts'
import type { LedgerFile } from '../ledger/ledger.ts'
import { readSteps, type Step } from '../types/syntax.ts'
import { type Ask, parseScripts, sendScript } from './run-file.ts'

const CODE = 'schema_deploy_failed'
const WHAT = 'Schema file'

/**
 * Creates missing schemas; a CREATE SCHEMA for an existing one is passed over. Other statements of
 * a file (grants, default privileges, comments) run when the file is new or has changed. Nothing is
 * dropped.
 * @returns warnings
 * @throws {GatewayError} schema_deploy_failed; data_loss
 */
export async function deploySchemas(
  sql: Sql,
  database: string,
  files: SchemaFile[],
  known: Map<string, LedgerFile>,
  ask: Ask,
): Promise<string[]> {
  const names = new Set(files.map(({ name }) => name))
  const warnings = [...known.keys()]
    .filter((name) => !names.has(name))
    .map((name) => `schemas/${name} is gone; what it created stays`)
  if (files.length === 0) return warnings

  const steps = (await readSteps(await parseScripts(CODE, WHAT, files))).flat()
  try {
    const existing = await findSchemas(sql, steps.flatMap(schemaOf))
    const toRun = steps.filter((step) => {
      const [schema] = schemaOf(step)
      if (schema !== undefined) return !existing.has(schema)
      return known.get(step.file.name)?.checksum !== step.file.checksum
    })
    for (const { file, statement } of toRun) await ask(file, statement)
    await answers(
      toRun.flatMap(({ file, statement }) => sendScript(sql, { file, statements: [statement] })),
    )
    return warnings
  } catch (error) {
    throw fileFailure(CODE, WHAT, database, error)
  }
}

/**
 * Returns the schema that a statement creates; a schema without a name has the name of its owner
 * (CREATE SCHEMA AUTHORIZATION).
 */
function schemaOf({ node }: Step): string[] {
  if (!node || !('CreateSchemaStmt' in node)) return []
  const { schemaname, authrole } = node.CreateSchemaStmt
  const name = schemaname ?? authrole?.rolename
  return name === undefined ? [] : [name]
}

async function findSchemas(sql: Sql, names: string[]): Promise<Set<string>> {
  const list = quoteLiteral(JSON.stringify(names))
  const rows = await send(
    sql.unsafe<{ name: string }[]>(`
      select nspname as name from pg_namespace
      where nspname in (select json_array_elements_text(${list}::json))
    `),
  )
  return new Set(rows.map(({ name }) => name))
}

import { isPostgresError } from '../../postgres/errors.ts'
import { send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteIdentifier } from '../../postgres/quote.ts'

import type { Statement } from '../parser/statement.ts'
import type { Checked } from './validate.ts'

const CHECKER = 'plpgsql_check_function_tb'

/** Returns the schema of the extension plpgsql_check; undefined if it is not installed. */
export async function findChecker(sql: Sql): Promise<string | undefined> {
  const [row] = await send(
    sql.unsafe<{ schema: string }[]>(`
      select n.nspname as schema
      from pg_proc p join pg_namespace n on n.oid = p.pronamespace
      where p.proname = '${CHECKER}'
      limit 1
    `),
  )
  return row?.schema
}

/** Results of plpgsql_check. */
export interface Findings {
  warnings: string[]
  /** Functions that it checked. Trigger functions are not among them: they need a table. */
  checked: Set<Statement>
}

/**
 * Runs plpgsql_check to find errors that would occur at run time. An error of the extension itself
 * is ignored.
 */
export async function checkWithExtension(
  sql: Sql,
  schema: string,
  functions: Checked[],
): Promise<Findings> {
  const byOid = new Map(functions.map((one) => [one.object.oid, one]))
  const checker = `${quoteIdentifier(schema)}.${CHECKER}`
  try {
    await sql.unsafe('savepoint checker')
    const rows = await sql.unsafe<{ oid: string; line: number | null; message: string | null }[]>(`
      select p.oid::text as oid, found.lineno as line, found.message
      from pg_proc p
      join pg_language l on l.oid = p.prolang and l.lanname = 'plpgsql'
      left join lateral ${checker}(
        p.oid::regprocedure, fatal_errors => false, other_warnings => false, extra_warnings => false
      ) as found on found.level = 'error'
      where p.oid = any ('{${[...byOid.keys()].join(',')}}'::oid[])
        and p.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype)
    `)
    await sql.unsafe('release savepoint checker')
    const checked = new Set(rows.map(({ oid }) => byOid.get(oid)!.statement))
    const warnings = rows.flatMap(({ oid, line, message }) =>
      message === null ? [] : warningOf(byOid.get(oid)!, line ?? 1, message),
    )
    return { warnings: [...new Set(warnings)], checked }
  } catch (error) {
    if (!isPostgresError(error)) throw error
    await sql.unsafe('rollback to savepoint checker; release savepoint checker')
    return { warnings: [], checked: new Set() }
  }
}

/** Converts a line number within the body to one of the file. */
function warningOf({ script, statement, object }: Checked, line: number, message: string): string {
  const { file } = script
  const at = object.body ? file.text.indexOf(object.body, statement.offset) : -1
  const start = file.text.slice(0, Math.max(at, statement.offset)).split('\n').length
  return `${file.path}, line ${start + line - 1}: ${message}`
}

import { sentAhead } from '../../postgres/ahead.ts'
import { isPostgresError } from '../../postgres/errors.ts'
import { type Sent, send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteLiteral } from '../../postgres/quote.ts'
import { asStatementError } from '../failure.ts'
import { type Statement, unread } from '../parser/statement.ts'
import type { Script } from '../run/run-file.ts'
import { type FoundObjects, findObjects, type SoughtObject } from './find.ts'
import { classOf, type FoundObject } from './object.ts'

/** Validators of the languages that every server has. */
const VALIDATORS = ['plpgsql_validator', 'fmgr_sql_validator', 'fmgr_internal_validator']

/** A function whose body is to be checked, with its position. */
export interface Checked {
  script: Script
  statement: Statement
  object: FoundObject
}

/**
 * Sends two queries: one finds objects, the other runs the language validators on the bodies of all
 * functions with the given names. Call it once everything that the bodies refer to exists, and send
 * nothing more before the answer has arrived.
 * @returns a function that awaits the answer and says whether all bodies are valid; call it only if
 *   all earlier statements succeeded
 */
export function sendFindAndCheck(
  sql: Sql,
  asked: SoughtObject[],
  toCheck: SoughtObject[],
): () => Promise<{ found: FoundObjects; isInOrder: boolean }> {
  const names = toCheck.filter((one) => one.class === 'routine').map(({ name }) => name)
  const finding = sentAhead(
    sql,
    findObjects(
      sql,
      asked.map((one) => ({ ...one, whole: true })),
    ),
  )
  if (names.length === 0) return async () => ({ found: await finding, isInOrder: true })
  // Sent last, because every later statement in the batch fails after an error.
  const list = quoteLiteral(JSON.stringify([...new Set(names)]))
  const checks = Promise.allSettled([
    send(sql.unsafe('savepoint bodies; set local check_function_bodies = on')),
    send(sql.unsafe(checkSql(list))),
  ])
  return async () => {
    const results = await checks
    const isInOrder = results.every(({ status }) => status === 'fulfilled')
    if (!isInOrder) await sql.unsafe('rollback to savepoint bodies')
    return { found: await finding, isInOrder }
  }
}

/**
 * Returns the query that runs the validators (PostgreSQL manual, "CREATE LANGUAGE": a validator
 * takes the function's oid). The array of names lets PostgreSQL use the index on pg_proc.
 */
function checkSql(names: string): string {
  const cases = VALIDATORS.map(
    (validator) => `when to_regproc('pg_catalog.${validator}') then pg_catalog.${validator}(p.oid)`,
  )
  return `
    select count(case l.lanvalidator ${cases.join(' ')} end)
    from pg_proc p
    join pg_namespace n on n.oid = p.pronamespace
    join pg_language l on l.oid = p.prolang
    where p.proname = any (array(select name::name from json_array_elements_text(${names}::json) name))
      and p.prokind <> 'a' and n.nspname not in ('pg_catalog', 'information_schema', '_db_gateway')
  `
}

/**
 * Checks bodies one by one.
 * @throws {AggregateError} of StatementErrors with positions in the files
 */
export async function checkBodies(sql: Sql, functions: Checked[]): Promise<void> {
  const errors: unknown[] = []
  const sent = functions.flatMap((checked): Sent[] => {
    const { validator, oid, kind } = checked.object
    if (classOf(kind) !== 'routine' || validator === null) return []
    return [
      send(
        sql.unsafe(`savepoint body; set local check_function_bodies = on${ownSettings(checked)}`),
      ),
      send(sql.unsafe(`select ${validator}(${oid})`)).catch((error: unknown) => {
        errors.push(bodyError(checked, error))
      }),
      send(sql.unsafe('rollback to savepoint body; release savepoint body')),
    ]
  })
  await Promise.all(sent)
  if (errors.length > 0) throw new AggregateError(errors)
}

/** Returns the statements for the function's own SET clauses, which a validator ignores. */
function ownSettings({ object: { settings } }: Checked): string {
  const texts = settings.map((setting) => {
    const at = setting.indexOf('=')
    const [name, value] = [setting.slice(0, at), setting.slice(at + 1)].map(quoteLiteral)
    return `; select pg_catalog.set_config(${name}, ${value}, true)`
  })
  return texts.join('')
}

/** Converts the position within the body, which PostgreSQL reports, to one of the file. */
function bodyError({ script: { file }, statement, object }: Checked, error: unknown): unknown {
  if (!isPostgresError(error)) return error
  const body = object.body ?? ''
  // An ALTER … RENAME may follow the statement that created the function.
  const from = statement.facts.rename ? 0 : statement.offset
  const start = body === '' ? -1 : file.text.indexOf(body, from)
  const text = start >= 0 ? body : file.text
  const inBody = unread(text, Math.max(start, 0))
  const position = (error as { internal_position?: string }).internal_position
  const line = /near line (\d+)/.exec(error.where ?? error.message)?.[1]
  if (position) error.position = position
  else if (line) error.position = String(positionOfLine(text, Number(line)))
  else return asStatementError(file, statement, error)
  return asStatementError(file, inBody, error)
}

/** Returns the position (in characters, from 1) of a line's first character that is not blank. */
function positionOfLine(text: string, line: number): number {
  const lines = text.split('\n')
  const before = lines.slice(0, line - 1).reduce((sum, one) => sum + [...one].length + 1, 0)
  const indent = /^[ \t]*/.exec(lines[line - 1] ?? '')?.[0].length ?? 0
  return before + indent + 1
}

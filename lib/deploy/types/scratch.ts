import { isPostgresError, type PostgresError } from '../../postgres/errors.ts'
import { answers, type Sent, send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteLiteral } from '../../postgres/quote.ts'
import { asStatementError } from '../failure.ts'
import { mayWorkLater, runInRounds, type Task } from './rounds.ts'
import { type Mention, mentionsIn, type Step } from './syntax.ts'

/** Schema in which declarations are tried out; numbered if several schemas are needed. */
const SCRATCH = '_db_gateway_scratch'
const SCRATCH_PREFIX = new RegExp(`${SCRATCH}(_\\d+)?\\.`, 'g')

/** Returns a scratch schema for each schema. */
export function scratchSchemas(schemas: Iterable<string>): Map<string, string> {
  const names = [...new Set(schemas)]
  return new Map(names.map((name, i) => [name, i === 0 ? SCRATCH : `${SCRATCH}_${i + 1}`]))
}

/** Removes the names of scratch schemas from a text of PostgreSQL. */
export function withoutScratch(text: string): string {
  return text.replace(SCRATCH_PREFIX, '')
}

/**
 * Runs statements in scratch schemas, reads what they created, and rolls everything back, including
 * the search_path. Meanwhile the scratch schemas are last in the search_path, so that existing
 * objects are found first. One round trip, unless the statements need another order.
 * @throws {StatementError}
 */
export async function inScratch<T>(
  sql: Sql,
  schemas: Map<string, string>,
  files: Task[][],
  read: () => Promise<T>,
): Promise<T> {
  const opening = () => sendOpening(sql, [...schemas.values()])
  const rollBack = () =>
    send(sql.unsafe('rollback to savepoint scratch; release savepoint scratch'))
  try {
    const sent = [...opening(), ...files.flat().map((task) => task())]
    const result = read()
    await answers([...sent, result, rollBack()])
    return await result
  } catch (error) {
    if (!mayWorkLater(error)) throw error
  }
  await answers(opening())
  await runInRounds(sql, files)
  const result = await read()
  await rollBack()
  return result
}

function sendOpening(sql: Sql, schemas: string[]): Sent[] {
  return [
    send(sql.unsafe('savepoint scratch')),
    send(sql.unsafe(schemas.map((schema) => `create schema ${schema};`).join(' '))),
    send(
      sql.unsafe(`
        select set_config(
          'search_path',
          concat_ws(', ', nullif(current_setting('search_path'), ''), ${quoteLiteral(schemas.join(', '))}),
          true
        )
      `),
    ),
  ]
}

/**
 * Returns a task that sends a statement with names moved to other schemas. Positions in errors
 * refer to the statement as its file has it.
 * @param schemaOf returns the new schema of a name; undefined leaves the name as it is
 */
export function moved(
  sql: Sql,
  step: Step,
  schemaOf: (mention: Mention) => string | undefined,
): Task {
  const { text, edits } = requalify(step, schemaOf)
  return () =>
    send(sql.unsafe(text)).catch((error: unknown) => {
      if (isPostgresError(error)) putBack(error, edits)
      throw asStatementError(step.file, step.statement, error)
    })
}

/** A replacement in a text. Positions and lengths are in characters, as in PostgreSQL's errors. */
interface Edit {
  position: number
  removed: number
  inserted: number
}

function requalify(step: Step, schemaOf: (mention: Mention) => string | undefined) {
  const bytes = Buffer.from(step.statement.text)
  const part = (from: number, to?: number) => bytes.toString('utf8', from, to)
  const edits: Edit[] = []
  let text = ''
  let done = 0
  for (const mention of mentionsIn(step).toSorted((a, b) => a.start - b.start)) {
    const schema = schemaOf(mention)
    if (schema === undefined) continue
    const { start, schemaEnd } = mention
    const insertion = schema + (mention.schema === null ? '.' : '')
    text += part(done, start) + insertion
    edits.push({
      position: [...part(0, start)].length,
      removed: [...part(start, schemaEnd)].length,
      inserted: insertion.length,
    })
    done = schemaEnd
  }
  return { text: text + part(done), edits }
}

function putBack(error: PostgresError, edits: Edit[]): void {
  error.message = withoutScratch(error.message)
  if (error.detail) error.detail = withoutScratch(error.detail)
  if (error.position) error.position = String(originalPosition(Number(error.position), edits))
}

function originalPosition(position: number, edits: Edit[]): number {
  let shift = 0
  for (const edit of edits) {
    const start = edit.position + 1 + shift
    if (position < start) break
    if (position < start + edit.inserted) return edit.position + 1
    shift += edit.inserted - edit.removed
  }
  return position - shift
}

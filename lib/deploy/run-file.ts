import type { SchemaFile } from '../archive/archive.ts'
import { type ErrorCode, GatewayError } from '../errors.ts'
import type { Sql } from '../postgres/connection.ts'
import { type Sent, send } from '../postgres/pipeline.ts'
import { asStatementError, lineOf } from './failure.ts'
import { splitStatements } from './parser/parser.ts'
import type { Statement } from './parser/split.ts'

/** A file, taken apart into its statements. */
export interface Script {
  file: SchemaFile
  statements: Statement[]
}

/**
 * Takes files apart.
 * @throws {GatewayError} with `code` where a file has a statement that no deploy can run
 */
export async function parseScripts(
  code: ErrorCode,
  what: string,
  files: SchemaFile[],
): Promise<Script[]> {
  return Promise.all(
    files.map(async (file) => {
      const statements = await statementsOf(file)
      const refused = statements.find((statement) => statement.refusal)
      if (!refused) return { file, statements }
      throw new GatewayError(code, `${what} ${file.name} failed`, {
        cause: refused.refusal,
        file: file.path,
        line: lineOf(file, refused),
      })
    }),
  )
}

/** An archive goes to many databases; its files are taken apart once. */
const taken = new WeakMap<SchemaFile, Promise<Statement[]>>()

function statementsOf(file: SchemaFile): Promise<Statement[]> {
  const known = taken.get(file)
  if (known) return known
  const statements = splitStatements(file.text)
  taken.set(file, statements)
  statements.catch(() => taken.delete(file))
  return statements
}

/**
 * Sends all statements of a file; they fail with a StatementError. Wait for them with `answers`.
 */
export function sendScript(sql: Sql, { file, statements }: Script): Sent[] {
  return statements.map((statement) => {
    // Only a text that the parser gave up on holds several statements. The extended protocol
    // runs one alone, so no commit hides behind a syntax error.
    const isWhole = statement.text.length === file.text.length && statements.length === 1
    const extended = { simple: false } as object
    return send(sql.unsafe(statement.text, [], isWhole ? extended : {})).catch((error) => {
      throw asStatementError(file, statement, error)
    })
  })
}

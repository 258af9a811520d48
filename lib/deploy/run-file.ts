import type { SchemaFile } from '../archive/archive.ts'
import { type ErrorCode, GatewayError } from '../errors.ts'
import type { Sql } from '../postgres/connection.ts'
import { answers, type Sent, send } from '../postgres/pipeline.ts'
import { asStatementError, lineOf } from './failure.ts'
import { splitStatements } from './parser/parser.ts'
import { isAskedAbout, type Statement } from './parser/statement.ts'

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
 * To be called right before a statement that may take something away: see TableWatch. What it
 * returns is to be called right behind the statement.
 */
export type Ask = (
  file: SchemaFile,
  statement: Statement,
) => Promise<(() => Promise<void>) | undefined>

/**
 * Runs files in order. All is sent in one go, but for statements that have to be asked about.
 * @throws {StatementError}
 * @throws {GatewayError} data_loss
 */
export async function runScripts(sql: Sql, scripts: Script[], ask: Ask): Promise<void> {
  let sent: Sent[] = []
  for (const { file, statements } of scripts) {
    for (const statement of statements) {
      if (isAskedAbout(statement)) {
        await answers(sent)
        sent = []
      }
      const check = await ask(file, statement)
      sent.push(...sendScript(sql, { file, statements: [statement] }))
      if (check) {
        await answers(sent)
        sent = []
        await check()
      }
    }
  }
  await answers(sent)
}

/** Asks about all statements at once, where none of them makes what another one takes away. */
export async function askAbout(scripts: Script[], ask: Ask): Promise<void> {
  for (const { file, statements } of scripts) {
    for (const statement of statements) await ask(file, statement)
  }
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

import type { Sql } from '../postgres/connection.ts'
import { answers, type Sent, send } from '../postgres/pipeline.ts'
import { asStatementError, StatementError } from './failure.ts'
import { type Script, sendScript } from './run-file.ts'

/** A file that can be run again to replace what it made: functions, or views. */
export interface Replaceable {
  script: Script
  /** Sends the file's row of the ledger. */
  mark: () => Sent
  /** Statements that drop what the file made before. */
  drops: string[]
}

/** It refers to something that a later file makes. */
const NOT_THERE_YET = new Set(['42883', '42704', '42P01', '42703'])

/**
 * It exists and PostgreSQL cannot replace it: another return type or other parameter names, other
 * columns, created without "or replace".
 */
const CANNOT_REPLACE = new Set(['42P13', '42P16', '42723', '42P07', '42809'])

/**
 * Runs the files, whatever order they need. First all of them in one go, which is how it nearly
 * always ends; where that fails, one by one, in as many rounds as bring any of them further.
 * @throws {StatementError} of the first file that cannot be run
 */
export async function runInAnyOrder(sql: Sql, items: Replaceable[]): Promise<void> {
  try {
    await answers([
      send(sql.unsafe('savepoint all_files')),
      ...items.flatMap((item) => sendAndMark(sql, item)),
      send(sql.unsafe('release savepoint all_files')),
    ])
    return
  } catch (error) {
    if (!mayWorkLater(error)) throw error
    await sql.unsafe('rollback to savepoint all_files; release savepoint all_files')
  }

  let pending = items
  while (pending.length > 0) {
    const failed: { item: Replaceable; error: unknown }[] = []
    for (const item of pending) {
      try {
        await runOrReplace(sql, item)
      } catch (error) {
        if (!mayWorkLater(error)) throw error
        failed.push({ item, error })
      }
    }
    if (failed.length === pending.length) throw failed[0]!.error
    pending = failed.map(({ item }) => item)
  }
}

/**
 * Sends a file, and its row of the ledger right behind it. The row's command number then marks the
 * end of the file among the commands of the transaction: see `readMade`.
 */
function sendAndMark(sql: Sql, { script, mark }: Replaceable): Sent[] {
  return [...sendScript(sql, script), mark()]
}

/** Runs a file; where PostgreSQL cannot replace what is there, drops that first. */
async function runOrReplace(sql: Sql, item: Replaceable): Promise<void> {
  try {
    await inSavepoint(sql, () => answers(sendAndMark(sql, item)))
  } catch (error) {
    if (!isOneOf(error, CANNOT_REPLACE) || item.drops.length === 0) throw error
    const { file, statement } = error as StatementError
    await inSavepoint(sql, async () => {
      for (const drop of item.drops) {
        await sql
          .unsafe(drop)
          .catch((cause) => Promise.reject(asStatementError(file, statement, cause)))
      }
      await answers(sendAndMark(sql, item))
    })
  }
}

async function inSavepoint(sql: Sql, work: () => Promise<void>): Promise<void> {
  await sql.unsafe('savepoint one_file')
  try {
    await work()
  } catch (error) {
    await sql.unsafe('rollback to savepoint one_file; release savepoint one_file')
    throw error
  }
  await sql.unsafe('release savepoint one_file')
}

function mayWorkLater(error: unknown): boolean {
  return isOneOf(error, NOT_THERE_YET) || isOneOf(error, CANNOT_REPLACE)
}

function isOneOf(error: unknown, sqlstates: Set<string>): boolean {
  return error instanceof StatementError && sqlstates.has(error.error.code)
}

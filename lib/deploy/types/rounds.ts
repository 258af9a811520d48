import { answers, type Sent, send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { StatementError } from '../failure.ts'
import { sendScript } from '../run/run-file.ts'
import type { Step } from './syntax.ts'

/** Sends one statement; rejects with a StatementError. */
export type Task = () => Sent

/** The statement refers to an object that a later file may create. */
const NOT_THERE_YET = new Set(['42P01', '42704', '42883', '42703', '42830', '3F000'])

/** Returns a task that sends a statement unchanged. */
export function asItIs(sql: Sql, { file, statement }: Step): Task {
  return () => sendScript(sql, { file, statements: [statement] })[0]!
}

/**
 * Runs the statements of files in an order that satisfies their dependencies; within a file the
 * order stays the same. Sends everything at once first, and falls back to `runInRounds`.
 * @throws {StatementError}
 */
export async function runInAnyOrder(sql: Sql, files: Task[][]): Promise<void> {
  if (files.length === 0) return
  try {
    await answers([
      send(sql.unsafe('savepoint all_files')),
      ...files.flat().map((task) => task()),
      send(sql.unsafe('release savepoint all_files')),
    ])
    return
  } catch (error) {
    if (!mayWorkLater(error)) throw error
    await sql.unsafe('rollback to savepoint all_files; release savepoint all_files')
  }
  await runInRounds(sql, files)
}

/**
 * Runs each file up to the first statement that lacks an object, and continues there in the next
 * round, until all files are done or a round makes no progress.
 * @throws {StatementError} of the first file that made no progress
 */
export async function runInRounds(sql: Sql, files: Task[][]): Promise<void> {
  let pending = files
  while (pending.length > 0) {
    const rest: Task[][] = []
    const errors: unknown[] = []
    for (const tasks of pending) {
      const { done, error } = await runUntilStuck(sql, tasks)
      if (done === tasks.length) continue
      rest.push(tasks.slice(done))
      errors.push(error)
    }
    if (rest.flat().length === pending.flat().length) {
      if (errors.length > 0) throw errors[0]
      return
    }
    pending = rest
  }
}

async function runUntilStuck(sql: Sql, tasks: Task[]): Promise<{ done: number; error: unknown }> {
  for (const [done, task] of tasks.entries()) {
    try {
      await answers([
        send(sql.unsafe('savepoint one_statement')),
        task(),
        send(sql.unsafe('release savepoint one_statement')),
      ])
    } catch (error) {
      if (!mayWorkLater(error)) throw error
      await sql.unsafe('rollback to savepoint one_statement; release savepoint one_statement')
      return { done, error }
    }
  }
  return { done: tasks.length, error: undefined }
}

/** Returns whether a statement lacks an object that other statements may still create. */
export function mayWorkLater(error: unknown): boolean {
  return error instanceof StatementError && NOT_THERE_YET.has(error.error.code)
}

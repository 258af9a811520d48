import { answers, type Sent, send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { StatementError } from '../failure.ts'
import { sendScript } from '../run/run-file.ts'
import type { Step } from './syntax.ts'

/** Sends one statement; it fails with a StatementError. */
export type Task = () => Sent

/** It refers to something that a later statement of another file makes. */
const NOT_THERE_YET = new Set(['42P01', '42704', '42883', '42703', '42830', '3F000'])

/** Sends a statement as it stands in its file. */
export function asItIs(sql: Sql, { file, statement }: Step): Task {
  return () => sendScript(sql, { file, statements: [statement] })[0]!
}

/**
 * Runs the statements of files, whatever order the files need; within a file they stay in order.
 * First all in one go; where that fails, see `runInRounds`.
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
 * Runs each file up to the first statement that lacks something, and goes on from there in the next
 * round, until all are through or a round brings none of them further.
 * @throws {StatementError} of the first file that is stuck
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

/** Whether a statement lacks something that may be there once others have run. */
export function mayWorkLater(error: unknown): boolean {
  return error instanceof StatementError && NOT_THERE_YET.has(error.error.code)
}

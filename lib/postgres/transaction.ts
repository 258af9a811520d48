import type { Sql } from './pools/connection.ts'

/** Runs `work` in a transaction of the session: commits it, or rolls it back if `work` fails. */
export async function inTransaction<T>(sql: Sql, work: () => Promise<T>): Promise<T> {
  await sql.unsafe('begin')
  try {
    const result = await work()
    await sql.unsafe('commit')
    return result
  } catch (error) {
    await sql.unsafe('rollback').catch(() => {})
    throw error
  }
}

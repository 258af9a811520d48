import { setTimeout as sleep } from 'node:timers/promises'
import { isPostgresError } from '../../postgres/errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { OBJECT_IN_USE } from '../../postgres/sqlstates.ts'

const ATTEMPTS = 5

/**
 * Sends a CREATE DATABASE whose template may have sessions, for which PostgreSQL itself waits 5 s; again
 * where they have not ended by then, 5 times in all.
 * @throws {PostgresError} 55006 if they do not end
 */
export async function createFrom(sql: Sql, create: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await sql.unsafe(create)
      return
    } catch (error) {
      const isBusy = isPostgresError(error) && error.code === OBJECT_IN_USE
      if (!isBusy || attempt === ATTEMPTS) throw error
      await sleep(200 * attempt)
    }
  }
}

import type { SchemaFile } from '../../archive/archive.ts'
import { GatewayError } from '../../errors.ts'

const WHAT_TO_DO =
  'Correct the file or the data, and send the archive again with retry=true (not needed if the file ' +
  'was edited). The migration starts again at its first statement, so statements that have run must ' +
  'be repeatable (IF NOT EXISTS). Or complete it in a later migration and send repair=true to have it taken as applied'

/** Returns the error for an unchanged migration that an earlier deploy began and did not finish. */
export function unfinished(database: string, file: SchemaFile, error: string | null): GatewayError {
  return new GatewayError('migration_failed', `Migration ${file.name} was begun and not finished`, {
    database,
    file: file.path,
    cause: error ?? 'The gateway or PostgreSQL was stopped while it ran',
    hint: WHAT_TO_DO,
  })
}

/** Adds to the error of a migration how much of it has run outside of any transaction, and what to do. */
export function withHint(error: unknown, done: number, count: number): unknown {
  if (!(error instanceof GatewayError)) return error
  const { code, message, details } = error
  if (code !== 'migration_failed' && code !== 'data_loss') return error
  const told = `${done} of its ${count} statements have run, outside of any transaction. ${WHAT_TO_DO}`
  const hint = details.hint ? `${told}. ${details.hint}` : told
  return new GatewayError(code, message, { ...details, hint })
}

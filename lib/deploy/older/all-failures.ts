import type { SchemaArchive } from '../../archive/archive.ts'
import { type ErrorDetails, GatewayError } from '../../errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { CodeDeployed } from '../run/code-result.ts'
import { isLockError } from '../run/tries.ts'
import { codeOf } from './code-sections.ts'

/** Failing files after which the search stops. */
const MAX_FAILURES = 20

const UNPROCESSABLE = 422

/** A file that does not fit the database, in the terms of error details. */
type Failure = Pick<ErrorDetails, 'file' | 'line' | 'cause'>

/**
 * Deploys the archive's code. If a file fails, the others are tried as well, so that the error
 * lists all files that do not fit the database.
 * @throws {GatewayError} the first error of `run`, with `failures` added
 */
export async function deployNamingAll(
  sql: Sql,
  archive: SchemaArchive,
  ledger: Ledger,
  run: (archive: SchemaArchive, ledger: Ledger) => Promise<CodeDeployed>,
): Promise<CodeDeployed> {
  const failures: Failure[] = []
  let first: GatewayError | undefined
  let rest = codeOf(archive, ledger)
  for (;;) {
    await sql.unsafe('savepoint the_code')
    const result = await run(rest.archive, rest.ledger).catch((error: unknown) => {
      // Other errors tell nothing about the files that failed before.
      if (isOfFile(error)) return error
      throw first && !isLockError(error) ? describe(first, failures) : error
    })
    if (!(result instanceof GatewayError)) {
      if (first) throw describe(first, failures)
      return result
    }
    first ??= result
    const known = new Set(failures.map(({ file }) => file!))
    const found = failuresOf(result)
    failures.push(...found)
    const isNew = found.some(({ file }) => !known.has(file!))
    if (!isNew || failures.length >= MAX_FAILURES) throw describe(first, failures)
    for (const { file } of found) known.add(file!)
    rest = codeOf(archive, ledger, known)
    await sql.unsafe('rollback to savepoint the_code').catch(() => {
      // The error has ended the session.
      throw result
    })
  }
}

/** Returns whether the error is caused by a file. */
function isOfFile(error: unknown): error is GatewayError {
  return (
    error instanceof GatewayError &&
    error.status === UNPROCESSABLE &&
    error.details.file !== undefined &&
    !isLockError(error)
  )
}

function failuresOf({ details }: GatewayError): Failure[] {
  const { file, line, cause, failures } = details
  return (failures as Failure[] | undefined) ?? [{ file, line, cause } as Failure]
}

function describe(first: GatewayError, failures: Failure[]): GatewayError {
  const files = [...new Set(failures.map(({ file }) => file))].join(', ')
  return new GatewayError(first.code, `These files do not fit the database as it is: ${files}`, {
    ...first.details,
    failures,
    hint: 'The tables stay as they are. Deploy a new version of these files that fits them',
  })
}

import type { SchemaArchive } from '../../archive/archive.ts'
import { type ErrorDetails, GatewayError } from '../../errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { CodeDeployed } from '../run/code-result.ts'
import { isLockError } from '../run/tries.ts'
import { codeOf } from './code-sections.ts'

/** More files that fail are not looked for. */
const MAX_FAILURES = 20

const UNPROCESSABLE = 422

/** What does not go back: as the details of its error. */
type Failure = Pick<ErrorDetails, 'file' | 'line' | 'cause'>

/**
 * Runs a deploy of the archive's code. Where a file fails, the others are tried too, so that the
 * error names all that do not fit the database.
 * @throws {GatewayError} as `run`, with `failures` beside what the first one says
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
      // Another error than that of a file says nothing of the files that failed before.
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
      // It has ended the session.
      throw result
    })
  }
}

/** Whether a file is at fault. */
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
  return new GatewayError(first.code, `What does not fit the database as it is: ${files}`, {
    ...first.details,
    failures,
    hint: 'The tables stay as they are. Deploy a new version of these files that fits them',
  })
}

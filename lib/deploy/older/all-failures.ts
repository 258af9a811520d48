import type { SchemaArchive } from '../../archive/archive.ts'
import { type ErrorDetails, GatewayError } from '../../errors.ts'
import type { Sql } from '../../postgres/connection.ts'
import type { CodeDeployed } from '../code.ts'
import type { Ledger } from '../ledger.ts'
import { isLockError } from '../tries.ts'
import { codeOf } from './code-sections.ts'

/** More files that fail are not looked for. */
const MAX_FAILURES = 20

const UNPROCESSABLE = 422

/** What does not go back: as the details of its error. */
type Failure = Pick<ErrorDetails, 'file' | 'line' | 'cause' | 'source'>

/**
 * Runs a deploy of the archive's code. Where a file fails, the others are tried too, so that the error names all
 * that do not fit the database.
 * @throws {GatewayError} as `run`, with `failures` beside what the first one says
 */
export async function deployNamingAll(
  sql: Sql,
  archive: SchemaArchive,
  ledger: Ledger,
  run: (archive: SchemaArchive, ledger: Ledger) => Promise<CodeDeployed>,
): Promise<CodeDeployed> {
  const failed = new Map<string, GatewayError>()
  for (;;) {
    const rest = codeOf(archive, ledger, new Set(failed.keys()))
    await sql.unsafe('savepoint the_code')
    try {
      const result = await run(rest.archive, rest.ledger)
      if (failed.size > 0) throw summarize([...failed.values()])
      return result
    } catch (error) {
      const path = failingFile(error)
      if (path === undefined || failed.has(path)) {
        // Another error than that of a file says nothing of the files that failed before.
        throw failed.size > 0 && !isLockError(error) ? summarize([...failed.values()]) : error
      }
      failed.set(path, error as GatewayError)
      if (failed.size >= MAX_FAILURES) throw summarize([...failed.values()])
      await sql.unsafe('rollback to savepoint the_code')
    }
  }
}

/** The path of the file that is at fault; undefined where none is. */
function failingFile(error: unknown): string | undefined {
  const isOfFile =
    error instanceof GatewayError && error.status === UNPROCESSABLE && !isLockError(error)
  return isOfFile ? error.details.file : undefined
}

function summarize(errors: GatewayError[]): GatewayError {
  const [first] = errors as [GatewayError]
  const failures = errors.flatMap(
    ({ details }) => (details.failures as Failure[] | undefined) ?? [failureOf(details)],
  )
  const files = errors.map(({ details }) => details.file).join(', ')
  return new GatewayError(first.code, `What does not fit the database as it is: ${files}`, {
    ...first.details,
    failures,
    hint: 'The tables stay as they are. Write a new version of these files that fits them, and deploy that',
  })
}

function failureOf({ file, line, cause, source }: ErrorDetails): Failure {
  return { file, line, cause, source } as Failure
}

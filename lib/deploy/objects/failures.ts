import { type ErrorCode, GatewayError } from '../../errors.ts'
import { isPostgresError, type PostgresError, postgresDetails } from '../../postgres/errors.ts'
import { fileFailure, lineOf, StatementError } from '../failure.ts'
import type { Dependant } from './dependants.ts'
import type { FoundObject } from './object.ts'
import { type CodeState, oidKey } from './state.ts'

/** PostgreSQL refused a statement that stands in no file. */
export class ObjectError extends Error {
  override readonly name = 'ObjectError'
  readonly path: string
  readonly what: string
  readonly error: PostgresError

  constructor(path: string, what: string, error: PostgresError) {
    super(error.message)
    this.path = path
    this.what = what
    this.error = error
  }
}

export function asObjectError(path: string, what: string, error: unknown): unknown {
  return isPostgresError(error) ? new ObjectError(path, what, error) : error
}

const SECTIONS: Record<string, [ErrorCode, string]> = {
  functions: ['function_deploy_failed', 'Function file'],
  views: ['view_deploy_failed', 'View file'],
  triggers: ['trigger_deploy_failed', 'Trigger file'],
  policies: ['policy_deploy_failed', 'Policy file'],
}

/** The error code of the section that a path is in, and what its files are called. */
export function sectionOf(path: string): [code: ErrorCode, what: string] {
  return SECTIONS[path.slice(0, path.indexOf('/'))] ?? SECTIONS.functions!
}

/** The answer for what failed, with the code of the section. */
export function codeFailure(database: string, error: unknown): unknown {
  if (error instanceof AggregateError) return severalFailures(database, error.errors)
  if (error instanceof ObjectError) {
    const [code] = sectionOf(error.path)
    const { path, what } = error
    return new GatewayError(code, what, { database, ...postgresDetails(error.error), file: path })
  }
  const path = error instanceof StatementError ? error.file.path : ''
  const [code, what] = sectionOf(path)
  return fileFailure(code, what, database, error)
}

const MAX_FAILURES = 20

/** The first one, and the places of all. */
function severalFailures(database: string, errors: unknown[]): unknown {
  const all = errors.map((error) => codeFailure(database, error))
  const [first] = all
  if (!(first instanceof GatewayError) || all.length === 1) return first
  const failures = all.slice(0, MAX_FAILURES).flatMap((one) => {
    if (!(one instanceof GatewayError)) return []
    const { file, line, cause } = one.details
    return [{ file, line, cause }]
  })
  return new GatewayError(first.code, first.message, { ...first.details, failures })
}

/** What depends on an object that has to be dropped comes from no file. */
export function blockedError(
  database: string,
  state: CodeState,
  root: FoundObject,
  { description }: Dependant,
): GatewayError {
  const place = placeOf(state, root)
  const [code] = sectionOf(place.file)
  const what = `${root.kind} ${root.identity}`
  return new GatewayError(code, `${capitalised(what)} cannot be dropped or made anew`, {
    database,
    cause: `${description} depends on it`,
    sqlstate: '2BP01',
    detail: `${description} depends on ${what}, and no file of functions/, views/, triggers/ or policies/ makes it`,
    hint: `Move ${description} into a file of the archive, or drop it before (in a migration, or by hand)`,
    ...place,
  })
}

function placeOf({ scripts, keys, found, ours }: CodeState, root: FoundObject) {
  for (const { file, statements } of scripts.values()) {
    for (const statement of statements) {
      const key = keys.get(statement)
      const there = key === undefined ? undefined : found.byKey.get(key)
      const isIt = there && oidKey(there) === oidKey(root)
      if (isIt) return { file: file.path, line: lineOf(file, statement) }
    }
  }
  const path = ours.get(oidKey(root))?.path
  if (path !== undefined) return { file: path }
  return { file: 'functions/' }
}

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}

/**
 * @throws {GatewayError} with the code of the section, where two files make one thing
 */
export function checkConflicts(
  database: string,
  { scripts, keys }: Pick<CodeState, 'scripts' | 'keys'>,
): void {
  const makers = new Map<string, string>()
  for (const [path, { file, statements }] of scripts) {
    for (const statement of statements) {
      const key = keys.get(statement)
      if (key === undefined) continue
      const other = makers.get(key)
      makers.set(key, path)
      if (other === undefined || other === path) continue
      const { kind, schema, name } = statement.made!
      const what = `${kind} ${schema === null ? '' : `${schema}.`}${name}`.trim()
      const [code] = sectionOf(path)
      throw new GatewayError(code, `${other} and ${path} both make the ${what}`, {
        database,
        file: path,
        line: lineOf(file, statement),
        files: [other, path],
        hint: 'Take it out of one of the files',
      })
    }
  }
}

import { type ErrorCode, GatewayError } from '../../errors.ts'
import { isPostgresError, type PostgresError, postgresDetails } from '../../postgres/errors.ts'
import { fileFailure, lineOf, StatementError } from '../failure.ts'
import type { Dependant } from './dependants.ts'
import type { FoundObject } from './object.ts'
import { type CodeState, oidKey } from './state.ts'

/** PostgreSQL rejected a statement that the gateway generated, which is in no file. */
export class ObjectError extends Error {
  override readonly name = 'ObjectError'
  readonly path: string
  readonly what: string
  readonly error: PostgresError
  /** What to do, if PostgreSQL's own message does not say so. */
  readonly hint: string | undefined

  constructor(path: string, what: string, error: PostgresError, hint?: string) {
    super(error.message)
    this.path = path
    this.what = what
    this.error = error
    this.hint = hint
  }
}

export function asObjectError(path: string, what: string, error: unknown, hint?: string): unknown {
  return isPostgresError(error) ? new ObjectError(path, what, error, hint) : error
}

/** Error code of each code section, and the name of its files. */
const SECTION_ERRORS: Record<string, [ErrorCode, string]> = {
  functions: ['function_deploy_failed', 'Function file'],
  views: ['view_deploy_failed', 'View file'],
  triggers: ['trigger_deploy_failed', 'Trigger file'],
  policies: ['policy_deploy_failed', 'Policy file'],
}

/** Returns the error code of the section that a path is in, and the name of its files. */
export function sectionOf(path: string): [code: ErrorCode, what: string] {
  return SECTION_ERRORS[path.slice(0, path.indexOf('/'))] ?? SECTION_ERRORS.functions!
}

/** Converts an error in the code sections to the error of the answer. */
export function codeFailure(database: string, error: unknown): unknown {
  if (error instanceof AggregateError) return severalFailures(database, error.errors)
  if (error instanceof ObjectError) {
    const [code] = sectionOf(error.path)
    const { path, what, hint } = error
    const details = postgresDetails(error.error)
    return new GatewayError(code, what, { database, ...details, file: path, ...(hint && { hint }) })
  }
  const path = error instanceof StatementError ? error.file.path : ''
  const [code, what] = sectionOf(path)
  return fileFailure(code, what, database, error)
}

const MAX_FAILURES = 20

/** Returns the first error, with file, line and cause of all of them in `failures`. */
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

/** Kinds that a file of the archive can create and that hold no rows. */
const FILED = new Set<Dependant['what']>(['routine', 'relation', 'operator', 'cast'])

/** Returns the error for an object that must be dropped while a dependant comes from no file. */
export function blockedError(
  database: string,
  state: CodeState,
  root: FoundObject,
  dependant: Dependant,
): GatewayError {
  // Plain defaults are restored; PostgreSQL cannot make an existing column generated again.
  const isGenerated = dependant.what === 'default'
  const description = isGenerated
    ? dependant.description.replace('default value for', 'generated')
    : dependant.description
  const place = placeOf(state, root)
  const [code] = sectionOf(place.file)
  const what = `${root.kind} ${root.identity}`
  return new GatewayError(code, `${capitalised(what)} cannot be dropped or created again`, {
    database,
    cause: `${description} depends on it`,
    sqlstate: '2BP01',
    ...(isGenerated
      ? {
          detail: `${description} depends on ${what}, and PostgreSQL can drop its expression, but not add it again`,
          hint: `Keep the ${what} as it is (its parameters and their names, its result); or give the new one another name, and create the column again with it in a migration: alter table … drop column …, add column … generated always as (…) stored`,
        }
      : {
          detail: `${description} depends on ${what}, and no file of functions/, views/, triggers/ or policies/ creates it`,
          hint: FILED.has(dependant.what)
            ? `Move ${description} into a file of the archive, or drop it before (in a migration, or by hand); or keep the ${what} as it is (its parameters and their names, its result)`
            : `Keep the ${what} as it is (its parameters and their names, its result), or give the new one another name`,
        }),
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

/** @throws {GatewayError} with the code of the section, if two files create the same object */
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
      throw new GatewayError(code, `${other} and ${path} both create the ${what}`, {
        database,
        file: path,
        line: lineOf(file, statement),
        files: [other, path],
        hint: 'Remove it from one of the files',
      })
    }
  }
}

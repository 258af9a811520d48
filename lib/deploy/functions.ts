import type { Sql } from '../postgres/connection.ts'
import { isPostgresError } from '../postgres/errors.ts'
import { answers, send } from '../postgres/pipeline.ts'
import { quoteLiteral } from '../postgres/quote-literal.ts'
import type { Replaceable } from './any-order.ts'
import { asStatementError } from './failure.ts'
import type { Ledger } from './ledger.ts'
import type { Leftover } from './leftovers.ts'
import { unread } from './parser/statement.ts'
import type { Script } from './run-file.ts'

/** What was there before the files ran. */
export interface FunctionsBefore {
  /** Which version of each function there is: `oid:xmin:cmin`, separated by spaces. */
  versions: string
  oids: Set<string>
  /** The functions of the ledger's files that still exist, by oid. */
  ledgered: Map<string, { file: string; identity: string }>
}

/** One function that a file made. `identity` is schema.name(types). */
export interface MadeFunction {
  oid: string
  file: string
  identity: string
}

/** A changed function file, to be run. */
export function replaceableFunction(sql: Sql, script: Script, ledger: Ledger): Replaceable {
  const made = ledger.functions.get(script.file.name)?.functions ?? []
  return {
    script,
    mark: () =>
      send(
        sql.unsafe(
          `insert into pg_temp._db_gateway_made values (${quoteLiteral(script.file.name)})`,
        ),
      ),
    drops: made.map((identity) => `drop routine if exists ${identity}`),
  }
}

export async function readFunctionsBefore(sql: Sql, ledger: Ledger): Promise<FunctionsBefore> {
  const known = [...ledger.functions].flatMap(([file, { functions }]) =>
    functions.map((identity) => ({ file, identity })),
  )
  const [[row], found] = await Promise.all([
    send(sql<[{ versions: string }]>`
      select coalesce(string_agg(format('%s:%s:%s', oid, xmin, cmin), ' '), '') as versions
      from pg_proc
      where pronamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
    `),
    send(sql<{ oid: string; file: string; identity: string }[]>`
      select to_regprocedure(identity)::oid::text as oid, file, identity
      from json_to_recordset(${JSON.stringify(known)}::json) as known (file text, identity text)
      where to_regprocedure(identity) is not null
    `),
  ])
  return {
    versions: row.versions,
    oids: new Set(row.versions.split(' ').map((version) => version.split(':', 1)[0]!)),
    ledgered: new Map(found.map(({ oid, file, identity }) => [oid, { file, identity }])),
  }
}

/**
 * The functions that the files made, found out from pg_proc: every one whose version is not among
 * those from before. It belongs to the file whose row of the ledger was written next (PostgreSQL
 * manual, "System Columns": cmin is the number of the command within the transaction).
 */
export async function readMade(sql: Sql, before: FunctionsBefore): Promise<MadeFunction[]> {
  return sql<MadeFunction[]>`
    select
      p.oid::text as oid,
      (
        select f.file
        from pg_temp._db_gateway_made f
        where f.cmin::text::bigint > p.cmin::text::bigint
        order by f.cmin::text::bigint
        limit 1
      ) as file,
      format('%I.%I(%s)', n.nspname, p.proname, (
        select string_agg(format_type(a.type, null), ', ' order by a.position)
        from unnest(p.proargtypes) with ordinality a (type, position)
      )) as identity
    from pg_proc p
    join pg_namespace n on n.oid = p.pronamespace
    where n.nspname not in ('pg_catalog', 'information_schema')
      and format('%s:%s:%s', p.oid, p.xmin, p.cmin) not in (
        select unnest(string_to_array(${before.versions}, ' '))
      )
  `
}

/** The functions that changed files no longer make, and those of files that are gone. */
export function functionLeftovers(
  before: FunctionsBefore,
  made: MadeFunction[],
  rerun: Set<string>,
): Leftover[] {
  const current = new Set(made.flatMap(({ oid, identity }) => [oid, identity]))
  return [...before.ledgered]
    .filter(([oid, one]) => rerun.has(one.file) && !current.has(oid) && !current.has(one.identity))
    .map(([, { file, identity }]) => ({
      name: identity,
      // The file itself, or what replaced one of its functions, may have dropped it already.
      drop: `drop routine if exists ${identity}`,
      code: 'function_deploy_failed',
      what: 'Function',
      file: `functions/${file}`,
    }))
}

/**
 * Has each language check the bodies, now that everything is there that they refer to.
 * (PostgreSQL manual, "CREATE LANGUAGE": a validator takes the function's oid.)
 * @throws {StatementError} with the place in the file
 */
export async function validateBodies(
  sql: Sql,
  scripts: Script[],
  made: MadeFunction[],
): Promise<void> {
  if (made.length === 0) return
  const oids = `{${made.map(({ oid }) => oid).join(',')}}`
  const [, functions] = await Promise.all([
    send(sql.unsafe('set local check_function_bodies = on')),
    send(sql<{ oid: string; validator: string; body: string | null }[]>`
      select p.oid::text as oid, l.lanvalidator::regproc::text as validator, p.prosrc as body
      from pg_proc p
      join pg_language l on l.oid = p.prolang
      where p.oid = any (${oids}::oid[]) and l.lanvalidator <> 0
    `),
  ])
  await answers(
    functions.map(({ oid, validator, body }) =>
      send(sql.unsafe(`select ${validator}(${oid})`)).catch((error: unknown) => {
        const name = made.find((one) => one.oid === oid)?.file
        const script = scripts.find(({ file }) => file.name === name)
        throw script ? bodyError(script, body ?? '', error) : error
      }),
    ),
  )
}

/** PostgreSQL counts from the start of the body; the file's line is what helps. */
function bodyError({ file }: Script, body: string, error: unknown): unknown {
  if (!isPostgresError(error)) return error
  const start = body === '' ? -1 : file.text.indexOf(body)
  const text = start >= 0 ? body : file.text
  const inBody = unread(text, Math.max(start, 0))
  const position = (error as { internal_position?: string }).internal_position
  const line = /near line (\d+)/.exec(error.where ?? error.message)?.[1]
  if (position) error.position = position
  else if (line) error.position = String(positionOfLine(text, Number(line)))
  return asStatementError(file, inBody, error)
}

/** The first character of a line that is not blank, as PostgreSQL counts characters. */
function positionOfLine(text: string, line: number): number {
  const lines = text.split('\n')
  const before = lines.slice(0, line - 1).reduce((sum, one) => sum + [...one].length + 1, 0)
  const indent = /^[ \t]*/.exec(lines[line - 1] ?? '')?.[0].length ?? 0
  return before + indent + 1
}

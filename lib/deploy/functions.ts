import type { SchemaFile } from '../archive/archive.ts'
import { GatewayError } from '../errors.ts'
import type { Sql } from '../postgres/connection.ts'
import { isPostgresError, postgresDetails } from '../postgres/errors.ts'
import { asStatementError, fileFailure, StatementError } from './failure.ts'
import { type Ledger, recordFunctionFile } from './ledger.ts'
import { answers, type Sent } from './pipeline.ts'
import { parseScripts, type Script, sendScript } from './run-file.ts'

export interface FunctionsResult {
  /** Functions of the archive that are in place now. */
  deployed: number
  /** Functions that were made or replaced. */
  changed: number
  /** schema.name(types) of those that went, with their file or their old signature. */
  dropped: string[]
}

/** One function that a file made. */
interface Made {
  oid: string
  file: string
  identity: string
}

/**
 * The function may refer to one that comes later, or to a type or relation that does; or it needs
 * the old one dropped first (another return type, other parameter names).
 */
const TRY_LATER = new Set(['42883', '42704', '42P01', '42703', '42P13'])
const CANNOT_REPLACE = '42P13'

/**
 * Brings the functions to what the files say: runs the files that are new or changed, drops what
 * they no longer make, and drops the functions of files that are gone. The order of the files does
 * not matter. Functions that did not come from a file are left alone.
 * @throws {GatewayError} function_deploy_failed
 */
export async function deployFunctions(
  sql: Sql,
  database: string,
  files: SchemaFile[],
  ledger: Ledger,
): Promise<FunctionsResult> {
  const changed = files.filter(
    (file) => ledger.functions.get(file.name)?.checksum !== file.checksum,
  )
  const names = new Set(files.map((file) => file.name))
  const gone = [...ledger.functions.keys()].filter((name) => !names.has(name))
  const kept = countFunctions(ledger, (name) => names.has(name))
  if (changed.length === 0 && gone.length === 0) return { deployed: kept, changed: 0, dropped: [] }

  const scripts = await parseScripts('function_deploy_failed', 'Function file', changed)
  try {
    const before = await readBefore(sql, ledger)
    await sql.unsafe('set local check_function_bodies = off')
    await runScripts(sql, scripts, ledger)
    const made = await readMade(sql, before.versions)
    const dropped = await dropLeftovers(sql, before, made, changed, gone)
    await validate(sql, scripts, made)
    await recordFunctions(sql, changed, made, gone)
    const unchanged = countFunctions(
      ledger,
      (name) => names.has(name) && !changed.some((file) => file.name === name),
    )
    return { deployed: unchanged + made.length, changed: made.length, dropped }
  } catch (error) {
    throw fileFailure('function_deploy_failed', 'Function file', database, error)
  }
}

function countFunctions(ledger: Ledger, ofFile: (name: string) => boolean): number {
  let count = 0
  for (const [name, { functions }] of ledger.functions) if (ofFile(name)) count += functions.length
  return count
}

/** What was there before the files ran. */
interface Before {
  /** Which version of each function there is: `oid:xmin:cmin`, separated by spaces. */
  versions: string
  /** The functions of the ledger's files that still exist, by oid. */
  ledgered: Map<string, { file: string; identity: string }>
}

async function readBefore(sql: Sql, ledger: Ledger): Promise<Before> {
  const known = [...ledger.functions].flatMap(([file, { functions }]) =>
    functions.map((identity) => ({ file, identity })),
  )
  const [[row], found] = await Promise.all([
    sql<{ versions: string }[]>`
      select coalesce(string_agg(format('%s:%s:%s', oid, xmin, cmin), ' '), '') as versions
      from pg_proc
      where pronamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
    `,
    sql<{ oid: string; file: string; identity: string }[]>`
      select to_regprocedure(identity)::oid::text as oid, file, identity
      from json_to_recordset(${JSON.stringify(known)}::json) as known (file text, identity text)
      where to_regprocedure(identity) is not null
    `,
  ])
  return {
    versions: row!.versions,
    ledgered: new Map(found.map(({ oid, file, identity }) => [oid, { file, identity }])),
  }
}

/**
 * Runs the files. First all of them in one go, which is how it nearly always ends; where that
 * fails, one by one in as many rounds as bring any of them further.
 */
async function runScripts(sql: Sql, scripts: Script[], ledger: Ledger): Promise<void> {
  await sql.unsafe('savepoint functions')
  try {
    await answers(scripts.flatMap((script) => sendAndMark(sql, script)))
    return
  } catch (error) {
    if (!isTryLater(error)) throw error
    await sql.unsafe('rollback to savepoint functions')
  }

  let pending = scripts
  while (pending.length > 0) {
    const failed: { script: Script; error: unknown }[] = []
    for (const script of pending) {
      try {
        await inSavepoint(sql, () => runOrReplace(sql, script, ledger))
      } catch (error) {
        if (!isTryLater(error)) throw error
        failed.push({ script, error })
      }
    }
    if (failed.length === pending.length) throw failed[0]!.error
    pending = failed.map(({ script }) => script)
  }
}

async function runOrReplace(sql: Sql, script: Script, ledger: Ledger): Promise<void> {
  try {
    await inSavepoint(sql, () => answers(sendAndMark(sql, script)))
  } catch (error) {
    if (!(error instanceof StatementError && error.error.code === CANNOT_REPLACE)) throw error
    const old = ledger.functions.get(script.file.name)?.functions ?? []
    if (old.length === 0) throw error
    for (const identity of old) {
      await sql
        .unsafe(`drop routine if exists ${identity}`)
        .catch((cause) => Promise.reject(asStatementError(script.file, error.statement, cause)))
    }
    await answers(sendAndMark(sql, script))
  }
}

async function inSavepoint(sql: Sql, work: () => Promise<void>): Promise<void> {
  await sql.unsafe('savepoint one_file')
  try {
    await work()
  } catch (error) {
    await sql.unsafe('rollback to savepoint one_file; release savepoint one_file')
    throw error
  }
  await sql.unsafe('release savepoint one_file')
}

function isTryLater(error: unknown): boolean {
  return error instanceof StatementError && TRY_LATER.has(error.error.code)
}

/**
 * Sends a file, and its row of the ledger right behind it. The row's command number (cmin) then
 * marks the end of the file among the commands of the transaction: see `readMade`.
 */
function sendAndMark(sql: Sql, script: Script): Sent[] {
  return [...sendScript(sql, script), recordFunctionFile(sql, script.file)]
}

/**
 * The functions that the files made, found out from pg_proc: every one whose version is not among
 * those from before. It belongs to the file whose mark follows it (PostgreSQL manual, "System
 * Columns": cmin is the number of the command within the transaction).
 */
async function readMade(sql: Sql, versionsBefore: string): Promise<Made[]> {
  return sql<Made[]>`
    select
      p.oid::text as oid,
      (
        select f.file
        from _db_gateway_functions f
        where f.deployed_at = now() and f.cmin::text::bigint > p.cmin::text::bigint
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
        select unnest(string_to_array(${versionsBefore}, ' '))
      )
  `
}

/** Drops what changed files no longer make, and what came from files that are gone. */
async function dropLeftovers(
  sql: Sql,
  before: Before,
  made: Made[],
  changed: SchemaFile[],
  gone: string[],
): Promise<string[]> {
  const rerun = new Set([...changed.map((file) => file.name), ...gone])
  const current = new Set(made.map(({ oid }) => oid))
  const leftovers = [...before.ledgered].filter(
    ([oid, { file }]) => rerun.has(file) && !current.has(oid),
  )
  const dropped: string[] = []
  for (const [oid, { file, identity }] of leftovers) {
    // Gone already where the file itself, or a replacement, has dropped it.
    const [existing] = await sql`select from pg_proc where oid = ${oid}::oid`
    if (existing) await dropFunction(sql, file, identity)
    if (!made.some((one) => one.identity === identity)) dropped.push(identity)
  }
  return dropped
}

async function dropFunction(sql: Sql, file: string, identity: string): Promise<void> {
  try {
    await sql.unsafe(`drop routine ${identity}`)
  } catch (error) {
    if (!isPostgresError(error)) throw error
    throw new GatewayError('function_deploy_failed', `Function ${identity} cannot be dropped`, {
      ...postgresDetails(error),
      file: `functions/${file}`,
    })
  }
}

/**
 * Has each language check the bodies, now that everything is there that they refer to.
 * (PostgreSQL manual, "CREATE LANGUAGE": a validator takes the function's oid.)
 */
async function validate(sql: Sql, scripts: Script[], made: Made[]): Promise<void> {
  if (made.length === 0) return
  const oids = `{${made.map(({ oid }) => oid).join(',')}}`
  const [, functions] = await Promise.all([
    sql.unsafe('set local check_function_bodies = on'),
    sql<{ oid: string; validator: string; body: string | null }[]>`
      select p.oid::text as oid, l.lanvalidator::regproc::text as validator, p.prosrc as body
      from pg_proc p
      join pg_language l on l.oid = p.prolang
      where p.oid = any (${oids}::oid[]) and l.lanvalidator <> 0
    `,
  ])
  await Promise.all(
    functions.map(({ oid, validator, body }) =>
      sql.unsafe(`select ${validator}(${oid})`).catch((error: unknown) => {
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
  const offset = Math.max(start, 0)
  const inBody = { text: start >= 0 ? body : file.text, offset, refusal: undefined }
  const position = (error as { internal_position?: string }).internal_position
  const line = /near line (\d+)/.exec(error.where ?? error.message)?.[1]
  if (position) error.position = position
  else if (line) error.position = String(positionOfLine(inBody.text, Number(line)))
  return asStatementError(file, inBody, error)
}

function positionOfLine(text: string, line: number): number {
  const lines = text.split('\n').slice(0, line - 1)
  const start = lines.reduce((sum, one) => sum + [...one].length + 1, 0)
  const indent = /^[ \t]*/.exec(text.split('\n')[line - 1] ?? '')?.[0].length ?? 0
  return start + indent + 1
}

async function recordFunctions(
  sql: Sql,
  changed: SchemaFile[],
  made: Made[],
  gone: string[],
): Promise<void> {
  const rows = changed.map(({ name }) => ({
    file: name,
    functions: made.filter(({ file }) => file === name).map(({ identity }) => identity),
  }))
  await Promise.all([
    sql`
      update _db_gateway_functions f
      set functions = made.functions
      from json_to_recordset(${JSON.stringify(rows)}::json) as made (file text, functions text[])
      where f.file = made.file
    `,
    sql`
      delete from _db_gateway_functions
      where file in (select json_array_elements_text(${JSON.stringify(gone)}::json))
    `,
  ])
}

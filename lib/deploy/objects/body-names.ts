import { send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteLiteral } from '../../postgres/quote.ts'
import type { BodyName, BodyNames } from '../parser/body-names.ts'
import { bodyNamesIn } from '../parser/parser.ts'
import type { Statement } from '../parser/statement.ts'
import type { Script } from '../run/run-file.ts'

/** A name in the body of a function, with its file. */
interface NamedInFile extends BodyName {
  script: Script
  statement: Statement
}

/** Names by statement: an archive goes to many databases, and its bodies are read once. */
const read = new WeakMap<Statement, Promise<BodyNames>>()

function namesOf(statement: Statement): Promise<BodyNames> {
  const known = read.get(statement) ?? bodyNamesIn(statement.text)
  read.set(statement, known)
  known.catch(() => read.delete(statement))
  return known
}

const MAX_WARNINGS = 20

/** The names that the bodies of some files use, except those that the bodies create themselves. */
export type NamesInBodies = NamedInFile[]

/** Reads the names in PL/pgSQL bodies. */
export async function readBodies(scripts: Script[]): Promise<NamesInBodies> {
  const found: NamedInFile[] = []
  const makes = new Set<string>()
  await Promise.all(
    scripts.flatMap((script) =>
      script.statements.map(async (statement) => {
        if (statement.made?.language !== 'plpgsql') return
        const body = await namesOf(statement)
        for (const name of body.makes) makes.add(name)
        for (const name of body.names) found.push({ ...name, script, statement })
      }),
    ),
  )
  return found.filter(({ kind, name }) => kind === 'function' || !makes.has(name))
}

/**
 * Returns the names that do not exist in the database; PostgreSQL would report them only when the
 * function runs. One round trip. A name without a schema matches objects in any schema.
 */
export async function missingNames(sql: Sql, names: NamesInBodies): Promise<NamesInBodies> {
  const distinct = new Map(names.map((name) => [keyOf(name), name]))
  if (distinct.size === 0) return []
  const missing = await findMissing(sql, [...distinct.values()])
  return names.filter((name) => missing.has(keyOf(name)))
}

/**
 * Returns a warning with file and line for each missing name, except in functions of `checked`,
 * which plpgsql_check has checked.
 */
export function nameWarnings(missing: NamesInBodies, checked: Set<Statement>): string[] {
  const left = missing.filter(({ statement }) => !checked.has(statement))
  const all = [...new Set(left.map(warningOf))].toSorted()
  const rest = all.length - MAX_WARNINGS
  return rest > 0 ? [...all.slice(0, MAX_WARNINGS), `and ${rest} more warnings of this kind`] : all
}

function keyOf({ kind, schema, name, column }: BodyName): string {
  return JSON.stringify([kind, schema, name, column])
}

/**
 * Looks names up in the catalogs. A name of a function may also be that of a type or column:
 * `f(row)` is written like a function call for the column `f`.
 */
async function findMissing(sql: Sql, names: BodyName[]): Promise<Set<string>> {
  const list = names.map(({ kind, schema, name, column }) => ({ kind, schema, name, column }))
  const rows = await send(
    sql.unsafe<Pick<BodyName, 'kind' | 'schema' | 'name' | 'column'>[]>(`
      with named as materialized (
        select *
        from json_to_recordset(${quoteLiteral(JSON.stringify(list))}::json)
          as n (kind text, schema text, name text, "column" text)
      ),
      relations as materialized (
        select c.oid, c.relname::text as name, n.nspname::text as schema
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relname in (select name from named where kind <> 'function')
          and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
      ),
      functions as materialized (
        select distinct p.proname::text as name, n.nspname::text as schema
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where p.proname in (select name from named where kind = 'function')
      ),
      others as materialized (
        select typname::text as name from pg_type
        where typname in (select name from named where kind = 'function')
        union all
        select attname from pg_attribute
        where attname in (select name from named where kind = 'function')
      )
      select kind, schema, name, "column" from named w
      where case kind
        when 'relation' then not exists (
          select from relations r
          where r.name = w.name and r.schema = coalesce(w.schema, r.schema)
        )
        when 'column' then exists (
            select from relations r
            where r.name = w.name and r.schema = coalesce(w.schema, r.schema)
          ) and not exists (
            select from relations r
            join pg_attribute a on a.attrelid = r.oid and a.attname = w."column"
            where r.name = w.name and r.schema = coalesce(w.schema, r.schema)
              and not a.attisdropped
          )
        else not exists (
            select from functions f
            where f.name = w.name and f.schema = coalesce(w.schema, f.schema)
          ) and not exists (select from others o where o.name = w.name)
      end
    `),
  )
  return new Set(rows.map((row) => keyOf({ ...row, line: 0 })))
}

function warningOf({ kind, schema, name, column, line, script, statement }: NamedInFile): string {
  const { file } = script
  const before = file.text.slice(0, statement.offset).split('\n').length
  const whole = schema === null ? name : `${schema}.${name}`
  const what = kind === 'column' ? `column ${column} of ${whole}` : `${kind} ${whole}`
  return `${file.path}, line ${before + line}: ${what} does not exist; the function fails when it reaches this line`
}

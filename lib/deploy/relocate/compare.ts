import { GatewayError } from '../../errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { inTransaction } from '../../postgres/transaction.ts'
import { type Fact, readFacts } from '../drift/facts.ts'
import type { DeployParts } from '../parts.ts'

/** What two copies of a database have in common, as lines of text. */
export type Contents = Set<string>

/** Differences that an error names. */
const MAX_NAMED = 5

/** Tables that are counted in one query. */
const TABLES = 200

/**
 * Reads what a database has: its objects with their definitions, the number of rows of each table,
 * the last value of each sequence, and the number of large objects.
 * @param hasRows false if rows are not counted
 */
export async function readContents(
  parts: DeployParts,
  database: string,
  hasRows = true,
): Promise<Contents> {
  return parts.pools.use(database, async (sql) => {
    const facts = await readFacts(sql)
    const counts = await inTransaction(sql, () =>
      readCounts(sql, parts.config.deployTimeoutMs, hasRows),
    )
    return new Set([...facts.flatMap(asLine), ...counts])
  })
}

/** The version of an extension is the server's own. */
function asLine([kind, name, parent, definition]: Fact): string[] {
  return kind === 'extension' ? [] : [JSON.stringify([kind, name, parent, definition])]
}

async function readCounts(sql: Sql, limitMs: number, hasRows: boolean): Promise<string[]> {
  await sql.unsafe(`set transaction read only; set local statement_timeout = ${limitMs}`)
  const tables = await sql.unsafe<{ name: string }[]>(`
    select format('%I.%I', n.nspname, c.relname) as name
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'r' and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', '_db_gateway')
      and not (n.nspname = 'public' and c.relname ~ '^_db_gateway_')
    order by 1
  `)
  const lines: string[] = []
  for (let i = 0; hasRows && i < tables.length; i += TABLES) {
    const some = tables.slice(i, i + TABLES).map(({ name }, n) => {
      return `select ${i + n} as number, pg_catalog.count(*)::text as rows from only ${name}`
    })
    const counts = await sql.unsafe<{ number: number; rows: string }[]>(some.join(' union all '))
    for (const { number, rows } of counts) lines.push(`rows of ${tables[number]!.name}: ${rows}`)
  }
  const sequences = await sql.unsafe<{ line: string }[]>(`
    select format('sequence %I.%I: %s', schemaname, sequencename, last_value) as line
    from pg_catalog.pg_sequences
    where schemaname <> '_db_gateway' and not (schemaname = 'public' and sequencename ~ '^_db_gateway_')
    union all
    select format('large objects: %s', count(*)) from pg_catalog.pg_largeobject_metadata
  `)
  return [...lines, ...sequences.map(({ line }) => line)]
}

/**
 * Checks that a copy has what its source has.
 * @param isExact false if the servers write definitions in their own way, being of different versions:
 *   the names of objects are compared then
 * @throws {GatewayError} move_refused, naming the first differences
 */
export function checkSame(source: Contents, copy: Contents, isExact: boolean): void {
  const [from, to] = isExact ? [source, copy] : [namesOf(source), namesOf(copy)]
  const missing = [...from].filter((line) => !to.has(line))
  const more = [...to].filter((line) => !from.has(line))
  if (missing.length === 0 && more.length === 0) return
  throw new GatewayError(
    'move_refused',
    'The copy on the other server is not what the source is, so the tenant stays where it is',
    {
      only_source: missing.slice(0, MAX_NAMED),
      only_copy: more.slice(0, MAX_NAMED),
      hint: 'Move it by hand with pg_dump and pg_restore',
    },
  )
}

function namesOf(contents: Contents): Contents {
  return new Set(
    [...contents].map((line) => {
      if (!line.startsWith('[')) return line
      return JSON.stringify((JSON.parse(line) as Fact).slice(0, 3))
    }),
  )
}

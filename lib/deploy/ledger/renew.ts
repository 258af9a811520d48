import { isPostgresError } from '../../postgres/errors.ts'
import { send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteIdentifier } from '../../postgres/quote.ts'
import { findPlanted, LEDGER_VIEW, plantedError } from '../database/planted.ts'
import { copyAnswers, HAS_ANSWERS } from './answers.ts'
import { KEY_TABLE } from './functions.ts'

/** Schemas that hold the old ledger's functions and tables until the rows are copied. */
const OLD_SCHEMA = '_db_gateway_old'
const OLD_TABLES = '_db_gateway_old_tables'

const DEPENDENT_OBJECTS = '2BP01'

/** Functions of the ledger's first version that the present one does not have. */
const OF_BEFORE = ['function accepts(text,integer)', 'function write(text,text,jsonb)']

/**
 * Creates the ledger again and copies its rows, in the open transaction, as the gateway's role. It
 * is for a database in which others may have worked as that role: nothing that they put in the
 * ledger's place is kept or executed.
 * @param what `functions` keeps the tables, on which the platform may have views
 * @param found what exists of a ledger
 * @param make creates the ledger, or what is missing of it
 * @throws {GatewayError} name_conflict if the ledger has objects that the gateway did not create
 */
export async function renewLedger(
  sql: Sql,
  database: string,
  what: 'all' | 'functions',
  found: Old,
  make: () => Promise<void>,
): Promise<void> {
  const old = what === 'all' ? found : { ...found, tables: [] }
  if (old.tables.length === 0 && !old.hasSchema) return make()
  await sql.unsafe(lockAll(old))
  const planted = await findPlanted(sql)
  if (planted.length > 0) throw plantedError(database, planted)
  const number = old.hasNumber ? await readNumber(sql) : '0'
  try {
    await sql.unsafe(moveAside(old))
    await prepareKey(sql, number)
    await make()
    if (old.tables.length > 0 && (await copyRows(sql))) await make()
    if (old.hasAnswers) await sql.unsafe(copyAnswers(OLD_SCHEMA))
    if (old.hasSchema) await dropSchema(sql, database)
    const drops = old.tables.map((table) => `drop table ${inOld(table)};`)
    await sql.unsafe(`${drops.join('')} drop schema ${OLD_TABLES}`)
  } catch (error) {
    if (!isPostgresError(error) || error.code !== DEPENDENT_OBJECTS) throw error
    throw plantedError(database, (error.detail ?? error.message).split('\n'))
  }
}

/** What exists of a ledger. */
export interface Old {
  /** Names of the ledger's tables in `public`. */
  tables: string[]
  hasSchema: boolean
  /** Whether the ledger counts the keys of its writes. */
  hasNumber: boolean
  /** There is a table of kept answers, with the gateway's columns. */
  hasAnswers: boolean
}

/** Reads what exists of a ledger. The query is sent immediately, so it can be pipelined. */
export async function readOld(sql: Sql): Promise<Old> {
  const query = sql.unsafe<
    { tables: string[]; has_schema: boolean; has_number: boolean; has_answers: boolean }[]
  >(`
    select
      (
        select coalesce(json_agg(relname order by relname), '[]') from pg_class
        where relnamespace = (select oid from pg_namespace where nspname = 'public')
          and relname like '\\_db\\_gateway\\_%' and relkind = 'r'
      ) as tables,
      exists (select from pg_namespace where nspname = '_db_gateway') as has_schema,
      exists (
        select from pg_attribute a
        join pg_class c on c.oid = a.attrelid
        join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = '_db_gateway' and c.relname = 'key' and c.relkind = 'r'
          and a.attname = 'number' and a.atttypid = 'int8'::regtype
      ) as has_number,
      ${HAS_ANSWERS} as has_answers
  `)
  const [row] = await send(query)
  const { tables, has_schema, has_number, has_answers } = row!
  return { tables, hasSchema: has_schema, hasNumber: has_number, hasAnswers: has_answers }
}

async function readNumber(sql: Sql): Promise<string> {
  const [key] = await sql<{ number: string }[]>`select number::text from only _db_gateway.key`
  return key?.number ?? '0'
}

function moveAside({ tables, hasSchema }: Old): string {
  const moves = tables.map(
    (table) => `alter table public.${quoteIdentifier(table)} set schema ${OLD_TABLES};`,
  )
  // In the first version, a table had the name of the present view.
  const hasView = tables.length > 0 && !tables.includes(LEDGER_VIEW)
  const drop = hasView ? `drop view if exists public.${LEDGER_VIEW};` : ''
  const rename = hasSchema ? `alter schema _db_gateway rename to ${OLD_SCHEMA};` : ''
  return `create schema ${OLD_TABLES}; ${drop} ${moves.join('')} ${rename}`
}

/**
 * SQL that keeps the old tables as they are when `findPlanted` looks at them. A call that commits its
 * answer later would lose it.
 */
function lockAll({ tables, hasNumber, hasAnswers }: Old): string {
  const locked = tables.map((table) => `public.${quoteIdentifier(table)}`)
  if (hasNumber) locked.push('_db_gateway.key')
  if (hasAnswers) locked.push('_db_gateway.answers')
  return locked.map((table) => `lock table only ${table};`).join('')
}

/**
 * Creates the key table with a number above every key ever used: each key is good once, and a log
 * may show used ones. The old number may have been set back, so the seconds since 1970 serve as a
 * lower bound; no ledger has had more writes than that.
 */
async function prepareKey(sql: Sql, number: string): Promise<void> {
  await sql.unsafe(`
    create schema _db_gateway;
    ${KEY_TABLE}
  `)
  await sql`
    insert into _db_gateway.key (number, digest)
    values (greatest(${number}::bigint, extract(epoch from clock_timestamp())::bigint), '')
  `
}

/**
 * Copies the rows of the columns that the old and the new table share. A table of an older version
 * is created in `public` again with its rows alone; `make` then converts it.
 * @returns whether there is such a table
 */
async function copyRows(sql: Sql): Promise<boolean> {
  const rows = await sql<
    { name: string; columns: string | null; has_id: boolean; kind: string | null }[]
  >`
    select old.relname as name, new.relkind as kind, (
        select string_agg(quote_ident(a.attname), ', ')
        from pg_attribute a
        join pg_attribute b on b.attrelid = new.oid and b.attname = a.attname
          and b.atttypid = a.atttypid and b.attnum > 0
        where a.attrelid = old.oid and a.attnum > 0
      ) as columns,
      exists (
        select from pg_attribute b where b.attrelid = new.oid and b.attname = 'id'
      ) as has_id
    from pg_class old
    left join pg_class new
      on new.relname = old.relname and new.relnamespace = 'public'::regnamespace
    where old.relnamespace = (select oid from pg_namespace where nspname = ${OLD_TABLES})
      and old.relkind = 'r'
  `
  const statements = rows.map(({ name, columns, has_id, kind }) => {
    const table = `public.${quoteIdentifier(name)}`
    if (kind !== 'r') {
      const drop = kind === 'v' ? `drop view ${table};` : ''
      return `${drop} create table ${table} as select * from only ${inOld(name)};`
    }
    const next = `select setval(pg_get_serial_sequence('${table}', 'id'), max(id)) from ${table}`
    return `
      insert into ${table} (${columns}) select ${columns} from only ${inOld(name)};
      ${has_id ? `${next} having max(id) is not null;` : ''}
    `
  })
  await sql.unsafe(statements.join(''))
  return rows.some(({ kind }) => kind !== 'r')
}

/**
 * Drops the old schema.
 * @throws {GatewayError} name_conflict if the schema has objects that the gateway did not create
 */
async function dropSchema(sql: Sql, database: string): Promise<void> {
  const objects = await sql<{ schema: string; type: string; name: string; identity: string }[]>`
    select n.nspname as schema, o.type, o.identity,
      o.type || ' ' || replace(
        substr(o.identity, length(quote_ident(n.nspname)) + 2), 'pg_catalog.', ''
      ) as name
    from pg_namespace n
    join pg_depend d on d.refclassid = 'pg_namespace'::regclass and d.refobjid = n.oid
      and d.deptype = 'n'
    cross join pg_identify_object(d.classid, d.objid, 0) o
    where n.nspname in ('_db_gateway', ${OLD_SCHEMA})
  `
  const known = new Set(OF_BEFORE)
  for (const { schema, name } of objects) if (schema === '_db_gateway') known.add(name)
  const old = objects.filter(({ schema }) => schema === OLD_SCHEMA)
  const foreign = old.filter(({ name }) => !known.has(name))
  if (foreign.length > 0) {
    throw plantedError(
      database,
      foreign.map(({ type, identity }) => `${type} ${identity.replace(OLD_SCHEMA, '_db_gateway')}`),
    )
  }
  const drops = old.map(({ type, identity }) => `drop ${type} ${identity};`)
  await sql.unsafe(`${drops.join('')} drop schema ${OLD_SCHEMA};`)
}

function inOld(table: string): string {
  return `${OLD_TABLES}.${quoteIdentifier(table)}`
}

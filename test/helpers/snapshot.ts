import { type Json, queryDatabase } from './gateway.ts'

/**
 * Returns everything that a deploy can change in a database: the rows of the system catalogs that
 * describe it, with their transaction ids, and the contents of its tables. Leaves out the list of
 * deployments, which records failed deploys too.
 */
export async function snapshot(database: string): Promise<Json> {
  const catalogs = await queryDatabase(
    database,
    `
      select 'class' as what, xmin::text, oid::text, relname as name, relnatts::text as detail
      from pg_class where relnamespace in (select oid from pg_namespace where nspname !~ '^pg_')
      union all
      select 'proc', xmin::text, oid::text, proname, prosrc
      from pg_proc where pronamespace in (select oid from pg_namespace where nspname !~ '^pg_')
      union all
      select 'type', xmin::text, oid::text, typname, ''
      from pg_type where typnamespace in (select oid from pg_namespace where nspname !~ '^pg_')
      union all
      select 'attribute', xmin::text, attrelid::text, attname, atttypid::text
      from pg_attribute where attrelid >= 16384
      union all
      select 'constraint', xmin::text, oid::text, conname, '' from pg_constraint where oid >= 16384
      union all
      select 'extension', xmin::text, oid::text, extname, extversion from pg_extension
      union all
      select 'namespace', xmin::text, oid::text, nspname, '' from pg_namespace
      where nspname !~ '^pg_(temp|toast_temp)'
      order by 1, 3, 4, 2
    `,
  )
  const tables = await queryDatabase(
    database,
    `select oid::regclass::text as name from pg_class
     where relkind = 'r' and relnamespace = 'public'::regnamespace
       and relname <> '_db_gateway_deployments' order by 1`,
  )
  const contents = await Promise.all(
    tables.map(async ({ name }) => [
      name,
      await queryDatabase(database, `select xmin::text, t.* from ${name} t order by t::text`),
    ]),
  )
  return { catalogs: [...catalogs], contents: Object.fromEntries(contents) }
}

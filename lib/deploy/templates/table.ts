import type { ErrorCode, ErrorDetails } from '../../errors.ts'
import { createTables } from '../../postgres/create-tables.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { Fact } from '../drift/facts.ts'
import type { DeployResult } from '../result.ts'

/** Why a new tenant cannot be made with an archive. */
export interface TemplateFailure {
  code: ErrorCode
  message: string
  details: ErrorDetails
}

/** What is known of the template of an archive. */
export interface Template {
  database: string
  platform: string
  checksum: string
  /** See `baseOf`. */
  base: string
  /** `unfinished`: it was begun, or its drop was; whoever finds it so drops it. */
  state: 'unfinished' | 'ready' | 'failed'
  /** Why new databases are not copied from it; null: they are. */
  generates: string | null
  failure: TemplateFailure | null
  /** What the deploy did that made it. */
  result: DeployResult | null
}

/** What a template has, as drift compares it. */
export interface TemplateFacts {
  checksum: string
  /** Of the database that had its archive first; null: none. */
  schema: string | null
  builtAt: string
  digest: string
  facts: Fact[]
}

/** So many templates of a schema of a platform stay: of the archives that were deployed last. */
const KEPT = 2

const COLUMNS = 'database, platform, checksum, base, state, generates, failure, result'

/** Creates the table of templates in the administrative database. */
export async function prepareTemplates(sql: Sql): Promise<void> {
  await createTables(
    sql,
    `
    create table if not exists _db_gateway_templates (
      database text primary key,
      platform text not null,
      checksum text not null,
      base text not null,
      state text not null default 'unfinished',
      generates text,
      failure jsonb,
      result jsonb,
      digest text,
      facts jsonb,
      built_at timestamptz not null default now(),
      -- when its archive was put in place somewhere
      deployed_at timestamptz,
      unique (platform, checksum)
    )
  `,
  )
}

export async function readTemplate(sql: Sql, database: string): Promise<Template | undefined> {
  const [row] = await sql.unsafe<Template[]>(
    `select ${COLUMNS} from _db_gateway_templates where database = $1`,
    [database],
  )
  return row
}

/** The newest template that has all but the code of this one. */
export async function readAlike(
  sql: Sql,
  platform: string,
  base: string,
): Promise<Template | undefined> {
  const [row] = await sql.unsafe<Template[]>(
    `select ${COLUMNS} from _db_gateway_templates
     where platform = $1 and base = $2 and state = 'ready'
     order by built_at desc limit 1`,
    [platform, base],
  )
  return row
}

/** Whether the archive has been deployed to a database of the platform. */
export async function wasDeployed(sql: Sql, platform: string, checksum: string): Promise<boolean> {
  const rows = await sql`
    select from _db_gateway_archives where platform = ${platform} and checksum = ${checksum}
  `
  return rows.length > 0
}

/** Writes down that the database is about to be made; it is `unfinished` until it is saved. */
export async function beginTemplate(
  sql: Sql,
  {
    database,
    platform,
    checksum,
    base,
  }: Pick<Template, 'database' | 'platform' | 'checksum' | 'base'>,
): Promise<void> {
  await sql`
    insert into _db_gateway_templates (database, platform, checksum, base)
    values (${database}, ${platform}, ${checksum}, ${base})
    on conflict (database) do update set
      base = excluded.base, state = 'unfinished', generates = null, failure = null, result = null,
      digest = null, facts = null, built_at = now()
  `
}

/** Writes down what became of it. */
export async function saveTemplate(
  sql: Sql,
  { database, state, generates, failure, result }: Template,
  facts?: Pick<TemplateFacts, 'digest' | 'facts'>,
): Promise<void> {
  const json = (value: unknown) => (value == null ? null : JSON.stringify(value))
  await sql`
    update _db_gateway_templates set
      state = ${state}, generates = ${generates}, failure = ${json(failure)}::text::jsonb,
      result = ${json(result)}::text::jsonb, digest = ${facts?.digest ?? null},
      facts = ${json(facts?.facts)}::text::jsonb
    where database = ${database}
  `
}

/** Once the database is gone: one that could not be dropped is `unfinished` until it can. */
export async function forgetTemplate(sql: Sql, database: string): Promise<void> {
  await sql`
    delete from _db_gateway_templates
    where database = ${database} and not exists (select from pg_database where datname = ${database})
  `
}

/** Marks it as that of an archive that is in place somewhere. */
export async function markDeployed(sql: Sql, database: string): Promise<void> {
  await sql`
    update _db_gateway_templates set deployed_at = now()
    where database = ${database}
  `
}

/**
 * The templates of a platform that are to go: unfinished ones, and all but those of the archives that
 * were deployed last and the newest that was not deployed yet, each of its schemas by itself, and of the
 * archives that are stored under a name.
 */
export async function findSuperfluous(sql: Sql, platform: string): Promise<string[]> {
  const rows = await sql<{ database: string }[]>`
    select database
    from (
      select t.database, t.state, t.deployed_at is null as is_new,
        exists (
          select from _db_gateway_schemas s
          where s.platform = t.platform and s.checksum = t.checksum
        ) as is_stored,
        row_number() over (
          partition by t.deployed_at is null, t.state = 'failed', a.schema_name
          order by coalesce(t.deployed_at, t.built_at) desc
        ) as place
      from _db_gateway_templates t
      left join _db_gateway_schema_archives a on a.platform = t.platform and a.checksum = t.checksum
      where t.platform = ${platform}
    ) as ranked
    group by database
    having bool_and(
      state = 'unfinished'
      or not is_stored and place > case when is_new then 1 else ${KEPT}::bigint end
    )
  `
  return rows.map(({ database }) => database)
}

/** Writes down that it is being dropped. */
export async function markUnfinished(sql: Sql, database: string): Promise<void> {
  await sql`update _db_gateway_templates set state = 'unfinished' where database = ${database}`
}

/** What the templates of a platform have, the one of the newest archive first. */
export async function readTemplateFacts(sql: Sql, platform: string): Promise<TemplateFacts[]> {
  return sql<TemplateFacts[]>`
    select t.checksum, a.schema_name as schema, to_json(t.built_at) as "builtAt", t.digest, t.facts
    from _db_gateway_templates t
    left join _db_gateway_archives a on a.platform = t.platform and a.checksum = t.checksum
    where t.platform = ${platform} and t.state = 'ready'
    order by t.deployed_at desc nulls last, t.built_at desc
  `
}

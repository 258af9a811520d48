import type { ErrorCode, ErrorDetails } from '../../errors.ts'
import { createTables } from '../../postgres/create-tables.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { Fact } from '../drift/facts.ts'
import type { DeployResult } from '../result.ts'

/** Reason why a new tenant cannot be created with an archive. */
export interface TemplateFailure {
  code: ErrorCode
  message: string
  details: ErrorDetails
}

/** The template of an archive, as recorded. */
export interface Template {
  database: string
  platform: string
  checksum: string
  /** See `baseOf`. */
  base: string
  /** `unfinished`: a build or a drop was begun and has not ended; the next cleanup drops it. */
  state: 'unfinished' | 'ready' | 'failed'
  /** Reason why new databases are not copied from it; null if they are. */
  generates: string | null
  failure: TemplateFailure | null
  /** Result of the deploy that built it. */
  result: DeployResult | null
}

/** Objects of a template, for the drift report. */
export interface TemplateFacts {
  checksum: string
  /** Schema of the first database to which its archive was deployed; null if that has none. */
  schema: string | null
  builtAt: string
  digest: string
  facts: Fact[]
}

/** Templates that are kept per schema of a platform: those of the archives deployed last. */
const KEPT = 2

const COLUMNS = 'database, platform, checksum, base, state, generates, failure, result'

/** Creates the table of templates in the administrative database if it does not exist. */
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
      -- time of the last deploy of its archive to a database
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

/** Returns the newest ready template whose archive differs in code only. */
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

/** Returns whether the archive was deployed to a database of the platform. */
export async function wasDeployed(sql: Sql, platform: string, checksum: string): Promise<boolean> {
  const rows = await sql`
    select from _db_gateway_archives where platform = ${platform} and checksum = ${checksum}
  `
  return rows.length > 0
}

/** Records that a template is about to be built; it is `unfinished` until `saveTemplate`. */
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
      built_at = now()
  `
}

/** Records the outcome of a build. */
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

/** Deletes the record if the database is gone; otherwise it stays until the drop succeeds. */
export async function forgetTemplate(sql: Sql, database: string): Promise<void> {
  await sql`
    delete from _db_gateway_templates
    where database = ${database} and not exists (select from pg_database where datname = ${database})
  `
}

/**
 * Records that the template's archive was deployed to a database so many milliseconds ago: records of
 * releases that follow each other closely may come in another order than the releases.
 * @returns whether the template is there
 */
export async function markDeployed(sql: Sql, database: string, msAgo: number): Promise<boolean> {
  const rows = await sql`
    update _db_gateway_templates
    set deployed_at = greatest(deployed_at, now() - ${msAgo}::float8 * interval '1 ms')
    where database = ${database} returning database
  `
  return rows.length > 0
}

/**
 * Returns the templates of a platform that can be dropped: all unfinished ones, and all others
 * except, for each schema, those of the archives deployed last and the newest not deployed yet.
 * Templates of archives stored under a name are kept as well.
 * @param stored their checksums
 */
export async function findSuperfluous(
  sql: Sql,
  platform: string,
  stored: string[],
): Promise<string[]> {
  const rows = await sql<{ database: string }[]>`
    select database
    from (
      select t.database, t.state, t.deployed_at is null as is_new,
        t.checksum in (
          select json_array_elements_text(${JSON.stringify(stored)}::text::json)
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

/** Records that the template is being dropped. */
export async function markUnfinished(sql: Sql, database: string): Promise<void> {
  await sql`update _db_gateway_templates set state = 'unfinished' where database = ${database}`
}

/**
 * Returns the objects of a platform's templates, that of the archive deployed last first. They are those of the
 * archive also while a template is built again because somebody has dropped or changed it.
 */
export async function readTemplateFacts(sql: Sql, platform: string): Promise<TemplateFacts[]> {
  return sql<TemplateFacts[]>`
    select t.checksum, a.schema_name as schema, to_json(t.built_at) as "builtAt", t.digest, t.facts
    from _db_gateway_templates t
    left join _db_gateway_archives a on a.platform = t.platform and a.checksum = t.checksum
    where t.platform = ${platform} and t.facts is not null
    order by t.deployed_at desc nulls last, t.built_at desc
  `
}

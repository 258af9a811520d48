import { isAlive } from '../cluster/gateways-table.ts'
import { createTables } from '../postgres/create-tables.ts'
import type { Sql } from '../postgres/pools/connection.ts'

/** What a job is about. */
export interface JobScope {
  platform: string
  /** The stored schema, as the request names it. */
  schemaName: string
}

/** A job that begins. */
export interface NewJob extends JobScope {
  /** A UUID. */
  id: string
  /** The gateway that runs it. */
  gateway: string
  total: number
}

export type JobStatus = 'queued' | 'running' | 'completed' | 'failed' | 'partial' | 'interrupted'

/** A job as it is read. */
export interface JobRow {
  id: string
  platform: string
  schema_name: string
  status: JobStatus
  total: number
  results: { database: string; status: string }[]
  /** What it has to say at its end. */
  summary: Record<string, unknown> | null
  execution_time_ms: number
}

/** Jobs of a platform that are kept. */
const KEPT_JOBS = 100

/** A gateway whose connection is being opened again shows in this time that it goes on. */
const SILENCE_SECONDS = 3

/**
 * Who runs a job and lives shows it in this time. One that does not has given the job up, or hangs: a
 * platform waits for it no longer.
 */
const LONG_SILENCE_SECONDS = 60

/** Nobody runs it any more. */
const IS_LEFT = `(
    status in ('queued', 'running')
    and beat_at < clock_timestamp() - interval '${SILENCE_SECONDS} s'
    and (
      beat_at < clock_timestamp() - interval '${LONG_SILENCE_SECONDS} s'
      or not ${isAlive('gateway')}
    )
  )`

/**
 * SQL: one job of a platform is under way at a time. Older versions let one of each stored schema be, so
 * that there may be several.
 */
const ONE_OPEN_JOB = `
    do $do$ begin
      if to_regclass('_db_gateway_jobs_one_open') is null then
        lock table _db_gateway_jobs in share row exclusive mode;
        update _db_gateway_jobs j set status = 'interrupted', ended_at = beat_at
        where status in ('queued', 'running') and exists (
          select from _db_gateway_jobs newer
          where newer.platform = j.platform and newer.number > j.number
            and newer.status in ('queued', 'running')
        );
        create unique index _db_gateway_jobs_one_open
          on _db_gateway_jobs (platform) where status in ('queued', 'running');
      end if;
      drop index if exists _db_gateway_jobs_open;
    end $do$
  `

/** Creates the tables of jobs in the administrative database, where they do not exist. */
export async function prepareJobs(sql: Sql): Promise<void> {
  await createTables(
    sql,
    `
    create table if not exists _db_gateway_jobs (
      id uuid primary key,
      number bigint generated always as identity,
      platform text not null,
      schema_name text not null,
      gateway uuid not null,
      status text not null,
      total integer not null,
      started_at timestamptz not null default clock_timestamp(),
      -- when the gateway last showed that it goes on
      beat_at timestamptz not null default clock_timestamp(),
      ended_at timestamptz,
      summary jsonb
    );
    ${ONE_OPEN_JOB};
    create table if not exists _db_gateway_job_results (
      job uuid not null references _db_gateway_jobs on delete cascade,
      number bigint generated always as identity,
      database text not null,
      result jsonb not null,
      primary key (job, database)
    )
  `,
  )
}

/** The job of a platform that is under way. */
export interface OpenJob {
  id: string
  schema_name: string
}

/**
 * Writes a job down, unless one of the platform is under way; one that nobody runs any more is
 * `interrupted` from then on. May be done twice.
 * @returns the one that is under way: this one where it begins
 */
export async function openJob(sql: Sql, job: NewJob): Promise<OpenJob> {
  const { id, platform, schemaName, gateway, total } = job
  await sql`
    update _db_gateway_jobs set status = 'interrupted', ended_at = beat_at
    where platform = ${platform} and ${sql.unsafe(IS_LEFT)}
  `
  const [made] = await sql`
    insert into _db_gateway_jobs (id, platform, schema_name, gateway, status, total)
    values (${id}, ${platform}, ${schemaName}, ${gateway}, 'queued', ${total})
    on conflict do nothing
    returning id
  `
  if (!made) {
    const [running] = await sql<OpenJob[]>`
      select id::text, schema_name from _db_gateway_jobs
      where platform = ${platform} and status in ('queued', 'running')
    `
    // It has ended just now.
    return running ?? openJob(sql, job)
  }
  await sql`
    delete from _db_gateway_jobs
    where platform = ${platform} and status not in ('queued', 'running') and number <= (
      select number from _db_gateway_jobs where platform = ${platform}
      order by number desc offset ${KEPT_JOBS} limit 1
    )
  `
  return { id, schema_name: schemaName }
}

/** Adds results, and shows that the job goes on. May be done twice. */
export async function beatJob(sql: Sql, id: string, results: { database: string }[]) {
  await sql`
    with beat as (
      update _db_gateway_jobs set status = 'running', beat_at = clock_timestamp()
      where id = ${id}::text::uuid and status in ('queued', 'running')
    )
    insert into _db_gateway_job_results (job, database, result)
    select ${id}::text::uuid, result ->> 'database', result
    from json_array_elements(${JSON.stringify(results)}::text::json) as r (result)
    on conflict do nothing
  `
}

/** Ends a job. May be done twice. */
export async function endJob(sql: Sql, id: string, status: JobStatus, summary: object) {
  await sql`
    update _db_gateway_jobs
    set status = ${status}, ended_at = clock_timestamp(), beat_at = clock_timestamp(),
      summary = ${JSON.stringify(summary)}::text::jsonb
    where id = ${id}::text::uuid
  `
}

/** A job, with what has ended of it; undefined where there is none. */
export async function readJob(sql: Sql, id: string): Promise<JobRow | undefined> {
  const [row] = await sql<JobRow[]>`
    select
      id::text, platform, schema_name, total, summary,
      case when ${sql.unsafe(IS_LEFT)} then 'interrupted' else status end as status,
      coalesce((
        select json_agg(r.result order by r.number) from _db_gateway_job_results r where r.job = j.id
      ), '[]') as results,
      (extract(epoch from coalesce(ended_at, clock_timestamp()) - started_at) * 1000)::float8
        as execution_time_ms
    from _db_gateway_jobs j
    where id = ${id}::text::uuid
  `
  return row && { ...row, execution_time_ms: Math.round(row.execution_time_ms) }
}

import { isAlive } from '../cluster/gateways-table.ts'
import { createTables } from '../postgres/create-tables.ts'
import type { Sql } from '../postgres/pools/connection.ts'

/** Subject of a job. */
export interface JobScope {
  platform: string
  /** Name of the stored schema, as the request writes it. */
  schemaName: string
}

/** A job to be started. */
export interface NewJob extends JobScope {
  /** UUID of the job. */
  id: string
  /** Id of the gateway that runs it. */
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
  /** Facts recorded at the end of the job; null before. */
  summary: Record<string, unknown> | null
  execution_time_ms: number
}

/** Number of jobs that are kept for a platform. */
const KEPT_JOBS = 100

/**
 * Seconds without a heartbeat after which a job whose gateway is dead counts as interrupted. Gives
 * a gateway the time to open its connection again.
 */
const SILENCE_SECONDS = 3

/**
 * Seconds without a heartbeat after which a job counts as interrupted even if its gateway is alive:
 * the gateway has given the job up, or hangs.
 */
const LONG_SILENCE_SECONDS = 60

/** SQL: whether the job of a row is no longer run by any gateway. */
const IS_LEFT = `(
    status in ('queued', 'running')
    and beat_at < clock_timestamp() - interval '${SILENCE_SECONDS} s'
    and (
      beat_at < clock_timestamp() - interval '${LONG_SILENCE_SECONDS} s'
      or not ${isAlive('gateway')}
    )
  )`

/**
 * SQL that allows one open job for each platform. Older gateways allowed one for each stored
 * schema: of several open jobs only the newest stays open.
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

/** Creates the tables of jobs in the administrative database if they do not exist. */
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
      -- time of the last heartbeat of the gateway that runs it
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

/** The open job of a platform. */
export interface OpenJob {
  id: string
  schema_name: string
}

/**
 * Stores a new job, unless another job of the platform is open. An open job that no gateway runs
 * any more becomes `interrupted`. Safe to repeat.
 * @returns the open job of the platform: the new one if it could start
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
    // The other job has ended between the two statements.
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

/** Stores results and a heartbeat of a job. Safe to repeat. */
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

/** Stores the end of a job. Safe to repeat. */
export async function endJob(sql: Sql, id: string, status: JobStatus, summary: object) {
  await sql`
    update _db_gateway_jobs
    set status = ${status}, ended_at = clock_timestamp(), beat_at = clock_timestamp(),
      summary = ${JSON.stringify(summary)}::text::jsonb
    where id = ${id}::text::uuid
  `
}

/** Returns a job with its results so far, or undefined if it does not exist. */
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

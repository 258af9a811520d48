import type { JobRow } from './table.ts'

/** Returns a job as the endpoints answer it. */
export function describeJob({ id, total, results, summary, execution_time_ms, ...row }: JobRow) {
  const count = (status: string) => results.filter((one) => one.status === status).length
  return {
    job_id: id,
    status: row.status,
    platform: row.platform,
    schema_name: row.schema_name,
    total_databases: total,
    succeeded: count('completed'),
    failed: count('failed'),
    results,
    schema_validation: null,
    warnings: [],
    ...summary,
    execution_time_ms,
  }
}

/** Returns the answer for a job that continues after the response, or that was interrupted. */
export function describeAccepted({ id, status, total }: JobRow) {
  return {
    job_id: id,
    status: status === 'interrupted' ? status : 'queued',
    total_databases: total,
  }
}

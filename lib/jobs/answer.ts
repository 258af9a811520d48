import type { JobRow } from './table.ts'

/** A job as it is answered. */
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

/** A job that goes on behind its answer, or that another start has to go on with. */
export function describeAccepted({ id, status, total }: JobRow) {
  return {
    job_id: id,
    status: status === 'interrupted' ? status : 'queued',
    total_databases: total,
  }
}

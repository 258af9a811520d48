import { setTimeout as sleep } from 'node:timers/promises'
import { defineHandler } from 'h3'
import { audited } from '../../lib/audit/audited.ts'
import { describeV2, parseV2Options, V2_MEMBERS } from '../../lib/deploy/original/request.ts'
import { authorizePlatformToken } from '../../lib/http/access/platform-token.ts'
import { answerInSlices } from '../../lib/http/answer/json-slices.ts'
import { readJsonObject } from '../../lib/http/body/body.ts'
import { originOf } from '../../lib/http/request.ts'
import { describeAccepted, describeJob } from '../../lib/jobs/answer.ts'
import { parsePlatform, sanitize } from '../../lib/tenancy/names.ts'
import { parseSchemaName } from '../../lib/tenancy/owners.ts'

const MEMBERS = ['platform', 'schema_name', ...V2_MEMBERS] as const

export default defineHandler({
  meta: {
    description: 'Deploy a stored schema to all its tenants; continues as a job if it takes long',
    body: MEMBERS,
    required: ['platform', 'schema_name'],
    request: { platform: 'shop', schema_name: 'tenant' },
    answer: {
      job_id: null,
      status: 'completed',
      platform: 'shop',
      schema_name: 'tenant',
      total_databases: 1,
      succeeded: 1,
      failed: 0,
      results: [],
      warnings: [],
      execution_time_ms: 90,
    },
    errors: ['not_found', 'migration_running'],
  },
  async handler(event) {
    const { gateway, request } = event.context
    const { config, jobs } = gateway
    const body = await readJsonObject(event, MEMBERS)
    const platform = parsePlatform(request, body.platform)
    await authorizePlatformToken(event, platform, { isOptional: true })
    const schemaName = parseSchemaName(body.schema_name)
    const options = parseV2Options(body)
    const stored = await gateway.platforms.loadStored(platform, schemaName)
    const tenants = await gateway.deploys.findTenants({
      platform,
      schemaName,
      archive: stored.archive,
    })
    const total = tenants.targets.length
    if (total === 0) return describeNone(platform, schemaName, tenants.warnings)

    const fleet = { ...stored, platform, schemaName, options, origin: originOf(request) }
    const row = await audited(event, {
      action: 'migrate',
      owner: { platform, tenantId: null, schema: sanitize(schemaName) },
      asked: describeV2(options, schemaName, stored.archive.checksum),
      work: async (note) => {
        const scope = { platform, schemaName, total }
        const job = await jobs.start(scope, (onResult) =>
          gateway.deploys.migrateTenants(fleet, tenants, onResult),
        )
        note({ job_id: job.id })
        const isLate = sleep(config.jobAnswerMs, true, { ref: false })
        if (await Promise.race([job.ended, isLate])) event.res.status = 202
        const row = (await jobs.read(job.id))!
        note({ job_status: row.status })
        return row
      },
      describe: (row) => ({
        databases: row ? tenants.targets.map(({ database }) => database) : [],
      }),
    })
    // The gateway shuts down during the job. Answer 202, so that the client polls the job; clients
    // take 200 as done.
    if (row.status === 'interrupted') event.res.status = 202
    return event.res.status === 202 ? describeAccepted(row) : answerInSlices(describeJob(row))
  },
})

function describeNone(platform: string, schemaName: string, warnings: string[]) {
  return {
    status: 'completed',
    platform,
    schema_name: schemaName,
    total_databases: 0,
    succeeded: 0,
    failed: 0,
    results: [],
    schema_validation: null,
    warnings,
    execution_time_ms: 0,
  }
}

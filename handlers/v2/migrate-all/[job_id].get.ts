import { defineHandler } from 'h3'
import { GatewayError } from '../../../lib/errors.ts'
import { authorizePlatformToken } from '../../../lib/http/access/platform-token.ts'
import { answerInSlices } from '../../../lib/http/answer/json-slices.ts'
import { readQuery } from '../../../lib/http/body/page-query.ts'
import { describeJob } from '../../../lib/jobs/answer.ts'
import { parsePlatform } from '../../../lib/tenancy/names.ts'

const UUID = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/i

export default defineHandler({
  meta: {
    description: 'Report the progress of a job of /v2/migrate-all; any gateway can answer',
    answer: {
      job_id: 'e9c4a1f0-5b1d-4d0e-8a51-0f6c2b9d7e31',
      status: 'running',
      platform: 'shop',
      schema_name: 'tenant',
      total_databases: 2,
      succeeded: 1,
      failed: 0,
      results: [],
      warnings: [],
      execution_time_ms: 90,
    },
    errors: ['not_found'],
  },
  async handler(event) {
    const { gateway, request } = event.context
    readQuery(event, [])
    const { job_id: id = '' } = event.context.params ?? {}
    const row = UUID.test(id) ? await gateway.jobs.read(id) : undefined
    if (!row) throw new GatewayError('not_found', `Job ${id.slice(0, 80)} does not exist`)
    const platform = parsePlatform(request, row.platform)
    await authorizePlatformToken(event, platform, { isOptional: true })
    return answerInSlices(describeJob(row))
  },
})

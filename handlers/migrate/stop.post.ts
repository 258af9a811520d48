import { defineHandler } from 'h3'
import { audited } from '../../lib/audit/audited.ts'
import { GatewayError } from '../../lib/errors.ts'
import { readJsonObject } from '../../lib/http/body/body.ts'
import { parsePlatform, textOf } from '../../lib/tenancy/names.ts'

export default defineHandler({
  meta: {
    description:
      'Have a /migrate, /admin/revert or /v2/migrate-all start no further database, named by its X-Request-Id',
    body: ['platform', 'request_id'],
    required: ['platform', 'request_id'],
    request: { platform: 'clinic', request_id: '…' },
    status: 202,
    answer: { status: 'stopping', platform: 'clinic', request_id: '…' },
  },
  async handler(event) {
    const { gateway, request } = event.context
    const body = await readJsonObject(event, ['platform', 'request_id'])
    const platform = parsePlatform(request, body.platform)
    const requestId = textOf('request_id', body.request_id)
    if (requestId === '') {
      throw new GatewayError(
        'invalid_request',
        'request_id is missing: the X-Request-Id of the /migrate or /admin/revert',
      )
    }
    await audited(event, {
      action: 'stop_migrate',
      owner: { platform, tenantId: null, schema: null },
      asked: { request_id: requestId },
      work: () => gateway.deploys.stop(platform, requestId),
    })
    event.res.status = 202
    return { status: 'stopping', platform, request_id: requestId }
  },
})

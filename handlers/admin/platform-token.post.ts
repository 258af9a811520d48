import { defineHandler } from 'h3'
import { audited } from '../../lib/audit/audited.ts'
import { readJsonObject } from '../../lib/http/body/body.ts'
import { parsePlatform } from '../../lib/tenancy/names.ts'

export default defineHandler({
  meta: {
    description: 'Return the token of a platform; the first request generates it',
    body: ['platform'],
    required: ['platform'],
    request: { platform: 'clinic' },
    answer: { platform: 'clinic', token: 'ssdb_pt_Zm9v' },
    errors: ['not_found'],
  },
  async handler(event) {
    const { gateway, request } = event.context
    const body = await readJsonObject(event, ['platform'])
    const platform = parsePlatform(request, body.platform)
    const token = await audited(event, {
      action: 'platform_token',
      owner: { platform, tenantId: null, schema: null },
      work: () => gateway.platforms.giveToken(platform),
    })
    return { platform, token }
  },
})

import { defineHandler } from 'h3'
import { parseCallId } from '../../lib/activity/cancel-calls.ts'
import { audited } from '../../lib/audit/audited.ts'
import { readJsonObject } from '../../lib/http/body/body.ts'
import { parsePlatform, textOf } from '../../lib/tenancy/names.ts'

export default defineHandler({
  meta: {
    description: 'Cancel a call in flight of any gateway, named by its id in /admin/activity',
    body: ['id'],
    required: ['id'],
    request: { id: '7c0d….12.clinic' },
    answer: { cancelled: true, id: '7c0d….12.clinic', platform: 'clinic', function: 'book' },
    errors: ['call_not_found'],
  },
  async handler(event) {
    const { gateway, request } = event.context
    const body = await readJsonObject(event, ['id'])
    const id = textOf('id', body.id)
    const call = parseCallId(id)
    const platform = parsePlatform(request, call.platform)
    const ended = await audited(event, {
      action: 'cancel_call',
      owner: { platform, tenantId: null, schema: null },
      asked: { id },
      work: async (note) => {
        const found = await gateway.callsOfAll.cancel(call)
        if (found) note({ cancelled: found.cancelled, function: found.function })
        return found
      },
      describe: (found) => ({ databases: found?.database ? [found.database] : [] }),
    })
    if (ended) return { ...ended, id }
    // Its gateway has not answered in time.
    event.res.status = 202
    return { cancelled: false, id, platform }
  },
})

import { defineHandler } from 'h3'
import { answerBatch } from '../lib/answer-batch.ts'
import { readJsonObject } from '../lib/body.ts'
import { callBatch } from '../lib/call/batch.ts'
import { BATCH_MEMBERS, parseBatch } from '../lib/call/batch-request.ts'
import { deadlineOf } from '../lib/call/run/deadline.ts'
import { parseOwner } from '../lib/names.ts'

export default defineHandler({
  meta: { description: 'Run up to 100 functions at once, all or nothing or each by itself' },
  async handler(event) {
    const { gateway, request } = event.context
    const body = await readJsonObject(event, BATCH_MEMBERS)
    const owner = parseOwner(request, body.platform, body.tenant_id)
    const batch = parseBatch(body)
    const database = await gateway.catalog.find(owner, {
      client: request,
      deadline: deadlineOf(batch),
    })
    request.database = database
    return answerBatch(event, await callBatch(gateway, request, database, batch))
  },
})

import { defineHandler } from 'h3'
import { answerRows } from '../lib/answer.ts'
import { answerStream, streamTypeOf } from '../lib/answer-stream.ts'
import { readJsonObject } from '../lib/body.ts'
import { callFunction } from '../lib/call/call.ts'
import { CALL_MEMBERS, parseCall } from '../lib/call/request.ts'
import { deadlineOf } from '../lib/call/run/deadline.ts'
import { parseOwner } from '../lib/names.ts'

export default defineHandler({
  meta: { description: 'Run a function in the database of a platform or a tenant' },
  async handler(event) {
    const { gateway, request } = event.context
    const body = await readJsonObject(event, CALL_MEMBERS)
    const owner = parseOwner(request, body.platform, body.tenant_id)
    const call = parseCall(body)
    const database = await gateway.catalog.find(owner, {
      client: request,
      deadline: deadlineOf(call),
    })
    request.database = database
    const stream = streamTypeOf(event)
    if (stream) return answerStream(event, database, call, stream)
    return answerRows(event, await callFunction(gateway, request, database, call))
  },
})

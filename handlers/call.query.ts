import { defineHandler } from 'h3'
import { answerRows } from '../lib/answer.ts'
import { readJsonObject } from '../lib/body.ts'
import { callReadOnly } from '../lib/call/read-only.ts'
import { parseCall } from '../lib/call/request.ts'
import { GatewayError } from '../lib/errors.ts'
import { parseOwner } from '../lib/names.ts'
import { nodeOf } from '../lib/request.ts'

export default defineHandler({
  meta: { description: 'Run a function that changes nothing (RFC 10008), with the body of POST' },
  async handler(event) {
    const { gateway, request } = event.context
    const body = await readJsonObject(event)
    const owner = parseOwner(request, body.platform, body.tenant_id)
    const call = parseCall(body)
    request.function = call.name
    const database = await gateway.catalog.find(owner)
    request.database = database
    try {
      return await answerRows(event, await callReadOnly(gateway, request.client, database, call))
    } catch (error) {
      const mayWrite = error instanceof GatewayError && error.code === 'method_not_allowed'
      if (mayWrite) nodeOf(event).res.setHeader('allow', 'POST, OPTIONS')
      throw error
    }
  },
})

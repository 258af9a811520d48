import { defineHandler, HTTPResponse } from 'h3'
import { readJsonObject } from '../lib/body.ts'
import { callFunction } from '../lib/call/call.ts'
import { parseParameters } from '../lib/call/parameters.ts'
import { parseFunctionName, parseOwner } from '../lib/names.ts'
import { nodeOf } from '../lib/request.ts'

export default defineHandler({
  meta: { description: 'Run a function in the database of a platform or a tenant' },
  async handler(event) {
    const started = performance.now()
    const { gateway, request } = event.context
    const { req, res } = nodeOf(event)
    const body = await readJsonObject(req, res, gateway.config.maxBodyBytes)
    const owner = parseOwner(body.platform, body.tenant_id)
    const name = parseFunctionName(body.function)
    const params = parseParameters(body.params)
    request.platform = owner.platform
    const database = await gateway.catalog.find(owner)
    request.database = database
    const result = await callFunction(gateway.pools, gateway.signatures, database, name, params)
    const ms = Math.round(performance.now() - started)
    const answer = Buffer.concat([
      Buffer.from('{"rows":'),
      result.rows,
      Buffer.from(`,"row_count":${result.rowCount},"execution_time_ms":${ms}}`),
    ])
    return new HTTPResponse(answer, {
      headers: { 'content-type': 'application/json; charset=utf-8' },
    })
  },
})

import { defineHandler } from 'h3'
import { answerDocument } from '../lib/http/answer/answer-document.ts'
import { parseQuery } from '../lib/http/body/query-string.ts'
import { DESCRIBED_QUERY, readDescribed } from '../lib/http/described-owner.ts'
import { nodeOf } from '../lib/http/request.ts'
import { gatewayDocument } from '../lib/openapi/gateway-document.ts'
import { platformDocument } from '../lib/openapi/platform-document.ts'

const TYPE = 'application/json; charset=utf-8'

export default defineHandler({
  meta: {
    description: 'Describe the endpoints, or the functions of a platform, as OpenAPI 3.1',
    query: DESCRIBED_QUERY,
    request: { platform: 'clinic' },
    answer: { openapi: '3.1.0', info: { title: 'Functions of clinic' }, paths: {} },
    errors: ['database_not_found'],
  },
  async handler(event) {
    const { routes, descriptions } = event.context.gateway
    if (parseQuery(nodeOf(event).req.url ?? '').size === 0) {
      const render = () => JSON.stringify(gatewayDocument(routes))
      return answerDocument(event, TYPE, descriptions.document('openapi', render))
    }
    const { owner, description, document } = await readDescribed(event)
    const render = () => JSON.stringify(platformDocument(owner, description))
    return answerDocument(event, TYPE, document('openapi', owner, render))
  },
})

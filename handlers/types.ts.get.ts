import { defineHandler } from 'h3'
import { GatewayError } from '../lib/errors.ts'
import { answerDocument } from '../lib/http/answer/answer-document.ts'
import { DESCRIBED_QUERY, readDescribed } from '../lib/http/described-owner.ts'
import { typescriptDocument } from '../lib/typescript-client/document.ts'

export default defineHandler({
  meta: {
    description: 'The types of a platform, and a client for its functions, in TypeScript',
    query: [...DESCRIBED_QUERY, 'bigint'],
    required: ['platform'],
    request: { platform: 'clinic' },
    answer: 'export interface Types { … }',
    types: ['text/typescript'],
    errors: ['database_not_found'],
  },
  async handler(event) {
    const { owner, description, query, document } = await readDescribed(event, ['bigint'])
    const { platform, schema_name } = owner
    const options = { owner: { platform, schema_name }, bigint: parseBigint(query.bigint) }
    const bytes = document('typescript', options, () => typescriptDocument(options, description))
    return answerDocument(event, 'text/typescript; charset=utf-8', bytes)
  },
})

function parseBigint(value: unknown = 'string'): 'string' | 'bigint' {
  if (value === 'string' || value === 'bigint') return value
  throw new GatewayError('invalid_request', 'bigint must be string or bigint')
}

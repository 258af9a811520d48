import { defineHandler } from 'h3'
import { GatewayError } from '../lib/errors.ts'
import { answerDocument } from '../lib/http/answer/answer-document.ts'
import { parseText } from '../lib/http/body/page-query.ts'
import { DESCRIBED_QUERY, readDescribed } from '../lib/http/described-owner.ts'
import { phpDocument } from '../lib/php-client/document.ts'

/** PHP takes every word but its own `namespace` at the beginning. */
const NAMESPACE = /^(?!namespace(?:\\|$))[A-Za-z_]\w*(?:\\[A-Za-z_]\w*)*$/i

export default defineHandler({
  meta: {
    description: 'A class with a method for each function of a platform, in PHP',
    query: [...DESCRIBED_QUERY, 'namespace'],
    required: ['platform'],
    request: { platform: 'clinic', namespace: 'App\\Clinic' },
    answer: '<?php …',
    types: ['application/x-php'],
    errors: ['database_not_found'],
  },
  async handler(event) {
    const { owner, description, query, document } = await readDescribed(event, ['namespace'])
    const { platform, schema_name } = owner
    const options = { owner: { platform, schema_name }, namespace: parseNamespace(query.namespace) }
    const bytes = document('php', options, () => phpDocument(options, description))
    return answerDocument(event, 'application/x-php; charset=utf-8', bytes)
  },
})

function parseNamespace(value: unknown): string | undefined {
  const text = parseText('namespace', value)
  if (text === undefined || (text.length <= 200 && NAMESPACE.test(text))) return text
  throw new GatewayError('invalid_request', 'namespace must be a namespace of PHP: App\\Clinic')
}

import { defineHandler } from 'h3'
import { audited } from '../../lib/audit/audited.ts'
import { GatewayError } from '../../lib/errors.ts'
import { readJsonObject } from '../../lib/http/body/body.ts'
import { goToServerOf } from '../../lib/http/server-of.ts'
import type { Json } from '../../lib/json/json.ts'
import { parseWholeNumber } from '../../lib/json/number.ts'
import { stringOf } from '../../lib/json/text.ts'
import { databaseName, textOf } from '../../lib/tenancy/names.ts'
import { OWNER_MEMBERS, parseNamedTenant } from '../../lib/tenancy/owners.ts'
import { DEFAULT_RETRY_AFTER_S } from '../../lib/tenancy/suspension.ts'
import { describeTenant } from '../../lib/tenancy/tenants.ts'

const MEMBERS = [...OWNER_MEMBERS, 'message', 'retry_after_s'] as const
const MAX_MESSAGE = 500
const MAX_RETRY_AFTER_S = 30 * 24 * 60 * 60

export default defineHandler({
  meta: {
    description: 'Suspend a tenant: its calls are 503 with a message; deploys go on',
    body: MEMBERS,
    required: ['platform'],
    request: { platform: 'clinic', tenant_id: 'north', message: 'Please pay', retry_after_s: 3600 },
    answer: {
      status: 'suspended',
      tenant_id: 'north',
      database: 'clinic_north',
      state: 'suspended',
      labels: { plan: 'pro' },
      message: 'Please pay',
      retry_after_s: 3600,
    },
    errors: ['database_not_found', 'tenant_busy'],
  },
  async handler(event) {
    const { request } = event.context
    const body = await readJsonObject(event, MEMBERS)
    const asked = parseNamedTenant(request, body)
    const gateway = await goToServerOf(event, asked)
    const owner = await gateway.tenants.resolve(asked)
    const message = parseMessage(body.message)
    const seconds = parseWholeNumber('retry_after_s', body.retry_after_s, [1, MAX_RETRY_AFTER_S])
    const suspension = { message, retryAfterS: seconds ?? DEFAULT_RETRY_AFTER_S }
    request.database = databaseName(owner)
    const tenant = await audited(event, {
      action: 'suspend_tenant',
      owner,
      asked: { message, retry_after_s: suspension.retryAfterS },
      work: () => gateway.tenants.suspend(owner, suspension),
    })
    return { status: 'suspended', ...describeTenant(tenant) }
  },
})

function parseMessage(value: Json | undefined): string | null {
  // A name would be cut.
  const text = value?.kind === 'string' ? stringOf(value) : textOf('message', value)
  // Characters, of which some are two units of UTF-16.
  const isShort = text.length <= 2 * MAX_MESSAGE && [...text].length <= MAX_MESSAGE
  if (isShort && !/[\p{Cc}\p{Cs}]/u.test(text)) return text || null
  throw new GatewayError(
    'invalid_request',
    `message must have at most ${MAX_MESSAGE} characters, and no control characters`,
  )
}

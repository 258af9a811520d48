import { defineHandler } from 'h3'
import { audited } from '../../lib/audit/audited.ts'
import { GatewayError } from '../../lib/errors.ts'
import { readJsonObject } from '../../lib/http/body/body.ts'
import { parsePlatform, textOf } from '../../lib/tenancy/names.ts'

const MEMBERS = ['platform', 'db_user', 'db_password'] as const

export default defineHandler({
  meta: {
    description: 'Register a platform, so that schemas can be stored for it',
    body: MEMBERS,
    required: ['platform'],
    request: { platform: 'shop' },
    answer: {
      status: 'registered',
      platform: 'shop',
      message: 'Platform registered. POST /platform/shop/schema stores a schema.',
      has_dedicated_credentials: true,
    },
    errors: ['platform_already_registered'],
  },
  async handler(event) {
    const { gateway, request } = event.context
    const body = await readJsonObject(event, MEMBERS)
    const platform = parsePlatform(request, body.platform)
    const given = [textOf('db_user', body.db_user), textOf('db_password', body.db_password)]
    const hasCredentials = given.every((text) => text !== '')
    if (!hasCredentials && given.some((text) => text !== '')) {
      throw new GatewayError(
        'invalid_request',
        'db_user and db_password must be given together, or not at all',
      )
    }
    await audited(event, {
      action: 'register_platform',
      owner: { platform, tenantId: null, schema: null },
      work: async () => {
        if (await gateway.platforms.register(platform)) return
        throw new GatewayError(
          'platform_already_registered',
          `Platform ${platform} is already registered`,
        )
      },
    })
    const role = gateway.roles.roleOf(platform)
    return {
      status: 'registered',
      platform,
      message: `Platform registered. POST /platform/${platform}/schema stores a schema.`,
      has_dedicated_credentials: role !== null,
      ...(hasCredentials && {
        warnings: [
          `db_user and db_password are not used: the gateway connects as ${role === null ? 'its own role (ISOLATION=shared)' : `the role ${role}, whose password it manages`}`,
        ],
      }),
    }
  },
})

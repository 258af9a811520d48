import type { H3Event } from 'h3'
import { GatewayError } from '../../errors.ts'
import { readToken } from '../../tenancy/platforms.ts'
import { nodeOf } from '../request.ts'
import { bearerOf, isSameToken } from './access.ts'

/**
 * Lets a request through to a platform's databases that bears the admin token or the platform's own.
 * Where neither ADMIN_TOKEN nor PLATFORM_TOKENS=required is set, every request is let through. With
 * `isOptional` one without Authorization is, too, unless PLATFORM_TOKENS is `required`.
 * @throws {GatewayError} unauthorized: 401 without Authorization, 403 with anything but the tokens
 */
export async function authorizePlatformToken(
  event: H3Event,
  platform: string,
  { isOptional = false } = {},
): Promise<void> {
  const { config, catalog } = event.context.gateway
  const { adminToken, platformTokens } = config
  const isRequired = platformTokens === 'required'
  if (adminToken === undefined && !isRequired) return
  const { authorization } = nodeOf(event).req.headers
  if (authorization === undefined) {
    if (isOptional && !isRequired) return
    throw new GatewayError(
      'unauthorized',
      `This endpoint needs "Authorization: Bearer" with the token of platform ${platform} (POST /admin/platform-token)${adminToken === undefined ? '' : ' or the admin token'}`,
      {},
      401,
    )
  }
  const bearer = bearerOf(authorization)
  if (bearer === undefined) {
    throw new GatewayError('unauthorized', 'The header Authorization is not "Bearer <token>"')
  }
  if (adminToken !== undefined && isSameToken(bearer, adminToken)) return
  const token = await catalog.use((sql) => readToken(sql, platform))
  if (token !== undefined && isSameToken(bearer, token)) return
  throw new GatewayError('unauthorized', `The token is not that of platform ${platform}`)
}

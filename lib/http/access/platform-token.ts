import type { H3Event } from 'h3'
import { GatewayError } from '../../errors.ts'
import { readToken } from '../../tenancy/platforms.ts'
import { nodeOf } from '../request.ts'
import { bearerOf, isSameToken } from './access.ts'

/**
 * Checks that a request has the admin token or the platform's own token. Accepts every request if
 * neither ADMIN_TOKEN nor PLATFORM_TOKENS=required is set. With `isOptional`, also accepts requests
 * without Authorization, unless PLATFORM_TOKENS is `required`.
 * @throws {GatewayError} unauthorized: 401 without Authorization, 403 for a wrong token
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

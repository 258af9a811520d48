import type { EventHandler } from 'h3'
import { GatewayError } from '../../errors.ts'
import { nodeOf } from '../request.ts'

/** More of a query is not repeated. */
const MAX_SHOWN = 80

/**
 * A handler that reads a body and no query. What stands there may say whose database is meant, so that
 * it is refused as an unknown member of the body is.
 */
export function withoutQuery(handler: EventHandler): EventHandler {
  return (event) => {
    const { url = '', method } = nodeOf(event).req
    const start = url.indexOf('?')
    if (start < 0 || start === url.length - 1) return handler(event)
    const path = url.slice(0, start)
    const query = url.slice(start + 1, start + 1 + MAX_SHOWN)
    throw new GatewayError(
      'invalid_request',
      `${method} ${path} takes no query, but has "?${query}": its fields stand in the body`,
    )
  }
}

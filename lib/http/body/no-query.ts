import type { EventHandler } from 'h3'
import { GatewayError } from '../../errors.ts'
import { nodeOf } from '../request.ts'

/** Maximum length of the query in the error. */
const MAX_SHOWN = 80

/**
 * Returns a handler that refuses requests with a query. A query could name another database than
 * the body, so it is refused like an unknown member of the body.
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
      `${method} ${path} takes no query, but has "?${query}": send its fields in the body`,
    )
  }
}

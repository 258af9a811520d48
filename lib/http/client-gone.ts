import type { H3Event } from 'h3'
import { GatewayError } from '../errors.ts'
import { nodeOf } from './request.ts'

/** Returns a signal that is aborted when the client of a request leaves before it is answered. */
export function clientGone(event: H3Event): AbortSignal {
  const { res } = nodeOf(event)
  const gone = new AbortController()
  const leave = () => {
    if (!res.writableFinished)
      gone.abort(new GatewayError('query_timeout', 'The client disconnected'))
  }
  if (res.destroyed) leave()
  else res.once('close', leave)
  return gone.signal
}

import type { IncomingMessage } from 'node:http'
import type { GatewayError } from '../errors.ts'
import type { RequestContext } from '../http/request.ts'
import { endEntry, newEntry } from './entry.ts'
import type { AuditTrail } from './trail.ts'

/**
 * Has a request counted in the audit trail that was not let through: to what is for administrators,
 * or to another platform. All other errors are none of its business.
 */
export function noteRefused(
  trail: AuditTrail,
  request: RequestContext,
  req: IncomingMessage,
  { code, status }: GatewayError,
): void {
  const isRefused =
    code === 'platform_isolation_violation' ||
    (request.access === 'admin' && (code === 'unauthorized' || code === 'cross_site_refused'))
  if (!isRefused || request.isAudited) return
  const { method = '', path = '' } = request.counter ?? {}
  const kind = [status, code, method, path, request.address, request.platform].join(' ')
  trail.refusals.add(kind, () => {
    const entry = newEntry('refused', request, req)
    endEntry(entry, request, status, code)
    return entry
  })
}

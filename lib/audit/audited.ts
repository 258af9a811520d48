import type { H3Event } from 'h3'
import { GatewayError } from '../errors.ts'
import { nodeOf } from '../http/request.ts'
import type { Owner } from '../tenancy/names.ts'
import { type AuditAction, type AuditEntry, endEntry, MAX_DATABASES, newEntry } from './entry.ts'
import type { Outcome } from './outcomes.ts'

/** A request that may change something, and how to describe it in the audit trail. */
export interface Audited<T> {
  action: Exclude<AuditAction, 'refused'>
  owner: Owner
  /** Facts about the request, for the entry's summary. */
  asked?: Record<string, unknown>
  /**
   * Does the work. `note` adds facts to the summary at once, so that they are recorded even if the
   * work fails later.
   */
  work(note: (facts: Record<string, unknown>) => void): Promise<T>
  /** Describes what was done. An undefined result means that the work failed. */
  describe?(result: T | undefined): Outcome
}

/**
 * Runs `work` and records in the audit trail which request asked for it and how it ended. The entry
 * is queued when the work starts, so that long work shows before it ends. The outcome is written
 * before the response is sent; if nothing was changed it is only queued.
 * @throws the errors of `work`, which are recorded too
 */
export async function audited<T>(event: H3Event, what: Audited<T>): Promise<T> {
  const { gateway, request } = event.context
  const { audit } = gateway
  request.isAudited = true
  const entry = newEntry(what.action, request, nodeOf(event).req)
  entry.tenant_id = what.owner.tenantId
  entry.schema_name = what.owner.schema
  entry.summary = { ...what.asked }
  audit.note(entry)
  try {
    const result = await what.work((facts) => Object.assign(entry.summary!, facts))
    const isUnchanged = addOutcome(entry, what.describe?.(result))
    endEntry(entry, request, event.res.status ?? 200, null)
    audit.ended(entry, isUnchanged)
    if (isUnchanged) audit.note(entry)
    else await audit.save(entry)
    return result
  } catch (error) {
    addOutcome(entry, what.describe?.(undefined))
    const { status, code } =
      error instanceof GatewayError ? error : ({ status: 500, code: 'internal_error' } as const)
    endEntry(entry, request, status, code)
    audit.ended(entry, false, error instanceof GatewayError ? error : undefined)
    // PostgreSQL is unreachable: queue the entry rather than hold up the response.
    if (code === 'connection_failed') audit.note(entry)
    else await audit.save(entry)
    throw error
  }
}

/**
 * Adds the outcome to the entry.
 * @returns true if nothing was changed
 */
function addOutcome(entry: AuditEntry, outcome: Outcome = {}): boolean {
  const { isUnchanged = false, databases, summary } = outcome
  Object.assign(entry.summary!, summary)
  if (databases) entry.databases = databases.slice(0, MAX_DATABASES)
  return isUnchanged
}

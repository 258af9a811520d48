import type { H3Event } from 'h3'
import { GatewayError } from '../errors.ts'
import { nodeOf } from '../http/request.ts'
import type { Owner } from '../tenancy/names.ts'
import { type AuditAction, type AuditEntry, endEntry, MAX_DATABASES, newEntry } from './entry.ts'
import type { Outcome } from './outcomes.ts'

/** A request that may change something. */
export interface Audited<T> {
  action: Exclude<AuditAction, 'refused'>
  owner: Owner
  /** What is asked for, for the entry's summary. */
  asked?: Record<string, unknown>
  /** `note` adds to the summary at once, whatever becomes of the rest. */
  work(note: (facts: Record<string, unknown>) => void): Promise<T>
  /** What was done; without a result the work has failed. */
  describe?(result: T | undefined): Outcome
}

/**
 * Runs what changes something, and has who asked for it and how it ended written to the audit
 * trail: at its end, before the answer goes out, and in the middle too where it takes long.
 * @throws what `work` throws, written down as well
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
    if (isUnchanged) audit.note(entry)
    else await audit.save(entry)
    return result
  } catch (error) {
    addOutcome(entry, what.describe?.(undefined))
    const { status, code } =
      error instanceof GatewayError ? error : ({ status: 500, code: 'internal_error' } as const)
    endEntry(entry, request, status, code)
    // A PostgreSQL that is away does not take the entry just now.
    if (code === 'connection_failed') audit.note(entry)
    else await audit.save(entry)
    throw error
  }
}

/** @returns whether nothing was changed */
function addOutcome(entry: AuditEntry, outcome: Outcome = {}): boolean {
  const { isUnchanged = false, databases, summary } = outcome
  Object.assign(entry.summary!, summary)
  if (databases) entry.databases = databases.slice(0, MAX_DATABASES)
  return isUnchanged
}

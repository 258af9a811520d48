import type { OnDropped } from '../deploy/drop/due-drops.ts'
import { newOwnEntry } from './entry.ts'
import { describeDrop } from './outcomes.ts'
import type { AuditTrail } from './trail.ts'

/** Has each tenant that a gateway drops by itself written to the audit trail. */
export function auditDueDrops(audit: AuditTrail): OnDropped {
  return ({ tenant, dump }, executionTimeMs) => {
    const entry = newOwnEntry('drop_tenant', tenant, tenant.database, executionTimeMs)
    entry.status = 200
    entry.summary = { ...describeDrop(dump), due_at: tenant.dropAt }
    return audit.save(entry)
  }
}

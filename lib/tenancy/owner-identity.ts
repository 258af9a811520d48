import type { Owner } from '../names.ts'

/** Whether two name the same database. */
export function isSameOwner(a: Owner, b: Owner): boolean {
  return a.platform === b.platform && a.tenantId === b.tenantId && a.schema === b.schema
}

/** An owner as a key: no two have the same. */
export function ownerKey({ platform, tenantId, schema }: Owner): string {
  if (schema === null) return tenantId === null ? platform : `${platform}/${tenantId}`
  return `${platform}/${tenantId ?? ''}/${schema}`
}

/** An owner, for people: the beginning of a sentence. */
export function describeOwner({ platform, tenantId, schema }: Owner): string {
  if (schema === null) {
    return tenantId === null ? `Platform ${platform}` : `Tenant ${tenantId} of platform ${platform}`
  }
  const where = `chema ${schema} of platform ${platform}`
  return tenantId === null ? `S${where}` : `Tenant ${tenantId} of s${where}`
}

/** The fields that say in a log whose database it is. */
export function ownerFields({ platform, tenantId, schema }: Owner) {
  return { platform, tenant_id: tenantId, ...(schema !== null && { schema_name: schema }) }
}

import { GatewayError } from '../errors.ts'
import { databasePrefix, type Owner, sanitize } from './names.ts'

/** Returns whether two owners name the same database. */
export function isSameOwner(a: Owner, b: Owner): boolean {
  return a.platform === b.platform && a.tenantId === b.tenantId && a.schema === b.schema
}

/**
 * Returns whether two owners name the same database if different spellings of a tenant's id name
 * one tenant.
 */
export function isSpelledAlike(a: Owner, b: Owner): boolean {
  if (a.tenantId === null || b.tenantId === null) return isSameOwner(a, b)
  const [left, right] = [sanitize(a.tenantId), sanitize(b.tenantId)]
  return left === right && isSameOwner({ ...a, tenantId: left }, { ...b, tenantId: right })
}

/** Returns a key that is unique to the owner. */
export function ownerKey({ platform, tenantId, schema }: Owner): string {
  if (schema === null) return tenantId === null ? platform : `${platform}/${tenantId}`
  return `${platform}/${tenantId ?? ''}/${schema}`
}

/** Describes an owner in words that can begin a sentence. */
export function describeOwner({ platform, tenantId, schema }: Owner): string {
  if (schema === null) {
    return tenantId === null ? `Platform ${platform}` : `Tenant ${tenantId} of platform ${platform}`
  }
  const where = `chema ${schema} of platform ${platform}`
  return tenantId === null ? `S${where}` : `Tenant ${tenantId} of s${where}`
}

/**
 * Returns the message for an owner without a database. It names the endpoint that clients of this
 * kind of owner use to create one.
 */
export function describeAbsent(owner: Owner): string {
  const how =
    owner.schema === null
      ? 'POST /register or POST /admin/database/create'
      : 'POST /admin/database/create'
  return `${describeOwner(owner)} has no database; ${how} creates it`
}

/** Returns the error for the creation of a database that the owner already has. */
export function alreadyThere(owner: Owner, database: string): GatewayError {
  return new GatewayError(
    'database_already_exists',
    `${describeOwner(owner)} already has the database ${database}`,
    { database },
  )
}

/**
 * Returns the message for an owner whose database name is held by `holder`. Says no more than
 * "another platform" about an unrelated platform, but names a platform that differs in spelling
 * only.
 */
export function describeTaken(owner: Owner, database: string, holder: Owner): string {
  const isPlatform = databasePrefix(owner.platform) === databasePrefix(holder.platform)
  const [first, ...rest] = describeOwner(holder)
  const whose = isPlatform ? `${first!.toLowerCase()}${rest.join('')}` : 'another platform'
  return `${describeOwner(owner)} has no database: the name ${database} is taken by ${whose}${isPlatform ? spelling(owner, holder) : ''}`
}

function spelling(owner: Owner, holder: Owner): string {
  if (owner.platform !== holder.platform) {
    return ` (platform is spelled ${JSON.stringify(holder.platform)})`
  }
  const areTenants = owner.schema === null && holder.schema === null && owner.tenantId !== null
  return areTenants ? ` (tenant_id is spelled ${JSON.stringify(holder.tenantId)})` : ''
}

/** Returns the fields that identify an owner in the log. */
export function ownerFields({ platform, tenantId, schema }: Owner) {
  return { platform, tenant_id: tenantId, ...(schema !== null && { schema_name: schema }) }
}

import { GatewayError } from '../errors.ts'
import { databasePrefix, type Owner, sanitize } from './names.ts'

/** Whether two name the same database. */
export function isSameOwner(a: Owner, b: Owner): boolean {
  return a.platform === b.platform && a.tenantId === b.tenantId && a.schema === b.schema
}

/** Whether two name the same database where the spellings of a tenant's id are one tenant. */
export function isSpelledAlike(a: Owner, b: Owner): boolean {
  if (a.tenantId === null || b.tenantId === null) return isSameOwner(a, b)
  const [left, right] = [sanitize(a.tenantId), sanitize(b.tenantId)]
  return left === right && isSameOwner({ ...a, tenantId: left }, { ...b, tenantId: right })
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

/** That an owner has no database, and what makes one: what clients of its kind send. */
export function describeAbsent(owner: Owner): string {
  const how =
    owner.schema === null
      ? 'POST /register or POST /admin/database/create'
      : 'POST /admin/database/create'
  return `${describeOwner(owner)} has no database; ${how} creates it`
}

/** The error of who would make a database that the owner has. */
export function alreadyThere(owner: Owner, database: string): GatewayError {
  return new GatewayError(
    'database_already_exists',
    `${describeOwner(owner)} already has the database ${database}`,
    { database },
  )
}

/**
 * Why an owner does not have the database of its name: `holder` has it. Of another platform no more is
 * told than that, unless it is the same one in another spelling.
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

/** The fields that say in a log whose database it is. */
export function ownerFields({ platform, tenantId, schema }: Owner) {
  return { platform, tenant_id: tenantId, ...(schema !== null && { schema_name: schema }) }
}

import { GatewayError } from '../errors.ts'
import { absentError } from './catalog/absent.ts'
import type { Catalog } from './catalog/catalog.ts'
import { type CatalogEntry, type EntryPart, readEntry } from './catalog/catalog-table.ts'
import {
  type DatabasePage,
  type ListedDatabase,
  readDatabases,
  readSizes,
} from './catalog/database-list.ts'
import { changeLimits } from './catalog/limit-rows.ts'
import { checkNotMoving } from './catalog/moved-away.ts'
import {
  changeLabels,
  readTenant,
  readTenants,
  type Tenant,
  type TenantPage,
} from './catalog/tenant-rows.ts'
import { type Drop, resumeTenant, setDrop, suspendTenant } from './catalog/tenant-state.ts'
import { type LabelChanges, tooMany } from './labels.ts'
import { describeLimits, type LimitChanges } from './limits/tenant-limits.ts'
import { databaseName, type Owner } from './names.ts'
import { describeOwner, isSameOwner } from './owner-identity.ts'
import type { Suspension } from './suspension.ts'

/**
 * Reads tenants and databases from the catalog. Changes the labels, suspension and scheduled drop
 * of tenants.
 */
export class Tenants {
  readonly #catalog: Catalog

  constructor(catalog: Catalog) {
    this.#catalog = catalog
  }

  /** Returns the owner whose database serves a request. See `Catalog.resolve`. */
  resolve(owner: Owner, how?: { anySpelling?: boolean }): Promise<Owner> {
    return this.#catalog.resolve(owner, how)
  }

  /** Returns the owner, or all owners, that a request names. See `Catalog.resolveScope`. */
  resolveScope(owner: Owner): Promise<Owner> {
    return this.#catalog.resolveScope(owner)
  }

  /** Returns the database of an owner, suspended or not. See `Catalog.locate`. */
  locate(owner: Owner): Promise<string> {
    return this.#catalog.locate(owner)
  }

  /** Returns whether a platform has a database of that kind. See `Catalog.has`. */
  has(platform: string, part?: EntryPart): Promise<boolean> {
    return this.#catalog.has(platform, part)
  }

  /** Returns a page of the databases of a platform; `main` names its main database. */
  databases(page: DatabasePage, main: string): Promise<ListedDatabase[]> {
    return this.#catalog.use((sql) => readDatabases(sql, page, main))
  }

  /** Returns the sizes of databases in bytes, by name. */
  sizes(names: string[]): Promise<Map<string, number>> {
    return this.#catalog.use((sql) => readSizes(sql, names))
  }

  /** Returns one page of the tenants of a platform, ordered by database name. */
  list(page: TenantPage): Promise<Tenant[]> {
    return this.#catalog.use((sql) => readTenants(sql, page))
  }

  /**
   * Returns a tenant.
   * @throws {GatewayError} database_not_found, platform_isolation_violation
   */
  async read(owner: Owner): Promise<Tenant> {
    const database = databaseName(owner)
    const tenant = await this.#catalog.use((sql) => readTenant(sql, database))
    if (tenant && isSameOwner(tenant, owner)) return tenant
    throw absentError(owner, tenant)
  }

  /**
   * Sets labels of a tenant and removes those whose new value is null.
   * @returns the tenant with its new labels
   * @throws {GatewayError} database_not_found; invalid_request if the tenant would have more than
   *   MAX_LABELS labels
   */
  async label(owner: Owner, changes: LabelChanges): Promise<Tenant> {
    const { database } = await this.#readSettled(owner)
    const isDone = await this.#catalog.use((sql) => changeLabels(sql, database, changes))
    const tenant = await this.#readSettled(owner)
    if (isDone) return tenant
    throw tooMany()
  }

  /**
   * Changes limits of the calls of a tenant, or of a main database. Other gateways follow when the
   * catalog's notification reaches them.
   * @returns the database with its new limits
   * @throws {GatewayError} database_not_found, platform_isolation_violation
   */
  async limit(owner: Owner, changes: LimitChanges): Promise<CatalogEntry> {
    const { database } = await this.#entry(owner)
    await this.#catalog.use((sql) => changeLimits(sql, database, changes))
    const entry = await this.#entry(owner)
    this.#catalog.forget(owner)
    this.#catalog.note(entry)
    return entry
  }

  /**
   * Suspends a tenant: its calls fail with tenant_suspended. Other gateways follow when the
   * catalog's notification reaches them. Calls that already run finish.
   * @throws {GatewayError} database_not_found
   */
  async suspend(owner: Owner, suspension: Suspension): Promise<Tenant> {
    const { database } = await this.#readSettled(owner)
    await this.#catalog.use((sql) => suspendTenant(sql, database, suspension))
    return this.#changed(owner)
  }

  /**
   * Suspends a tenant now and schedules its drop. Any gateway on the catalog may carry it out.
   * @throws {GatewayError} database_not_found; tenant_busy if an earlier scheduled drop is due
   */
  async dropLater(owner: Owner, drop: Drop): Promise<Tenant> {
    const { database, isDue } = await this.#readSettled(owner)
    if (isDue) throw isBeingDropped(owner)
    await this.#catalog.use((sql) => setDrop(sql, database, drop))
    return this.#changed(owner)
  }

  /**
   * Ends the suspension of a tenant and cancels its scheduled drop.
   * @throws {GatewayError} database_not_found; tenant_busy if a gateway is dropping it
   */
  async resume(owner: Owner): Promise<Tenant> {
    const { database } = await this.#readSettled(owner)
    const isDone = await this.#catalog.use((sql) => resumeTenant(sql, database))
    if (isDone) return this.#changed(owner)
    throw isBeingDropped(owner)
  }

  async #entry(owner: Owner): Promise<CatalogEntry> {
    const entry = await this.#catalog.use((sql) => readEntry(sql, owner))
    if (!entry || !isSameOwner(entry, owner)) throw absentError(owner, entry)
    checkNotMoving(entry)
    return entry
  }

  /**
   * As `read`, before and after a change: one that a move to another server may have left behind is told
   * as not made.
   * @throws {GatewayError} tenant_busy
   */
  async #readSettled(owner: Owner): Promise<Tenant> {
    const tenant = await this.read(owner)
    checkNotMoving(tenant)
    return tenant
  }

  /**
   * Removes the cache entry now, since the catalog's notification may come after the next call.
   */
  #changed(owner: Owner): Promise<Tenant> {
    this.#catalog.forget(owner)
    return this.#readSettled(owner)
  }
}

function isBeingDropped(owner: Owner): GatewayError {
  return new GatewayError('tenant_busy', `${describeOwner(owner)} is being dropped`, {
    database: databaseName(owner),
  })
}

/** Returns a tenant as the JSON object of a response. */
export function describeTenant(tenant: Tenant): { database: string } & Record<string, unknown> {
  const { state, schema } = tenant
  return {
    tenant_id: tenant.tenantId,
    ...(schema !== null && { schema_name: schema }),
    database: tenant.database,
    state,
    labels: tenant.labels,
    limits: describeLimits(tenant.limits),
    ...(state !== 'active' && {
      suspended_at: tenant.suspendedAt,
      message: tenant.message,
      retry_after_s: tenant.retryAfterS,
    }),
    ...(state === 'dropping' && { drop_at: tenant.dropAt, dump: tenant.isDumped }),
    created_at: tenant.createdAt,
    schema_checksum: tenant.schemaChecksum,
    last_deployed_at: tenant.lastDeployedAt,
  }
}

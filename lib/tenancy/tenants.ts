import { GatewayError } from '../errors.ts'
import type { Catalog } from './catalog/catalog.ts'
import type { EntryPart } from './catalog/catalog-table.ts'
import {
  type DatabasePage,
  type ListedDatabase,
  readDatabases,
  readSizes,
} from './catalog/database-list.ts'
import {
  changeLabels,
  readTenant,
  readTenants,
  type Tenant,
  type TenantPage,
} from './catalog/tenant-rows.ts'
import { type Drop, resumeTenant, setDrop, suspendTenant } from './catalog/tenant-state.ts'
import { type LabelChanges, tooMany } from './labels.ts'
import { databaseName, type Owner } from './names.ts'
import { describeAbsent, describeOwner, isSameOwner } from './owner-identity.ts'
import type { Suspension } from './suspension.ts'

/** Tenants as the catalog knows them. */
export class Tenants {
  readonly #catalog: Catalog

  constructor(catalog: Catalog) {
    this.#catalog = catalog
  }

  /** As `Catalog.resolve`: the owner whose database is meant. */
  resolve(owner: Owner, how?: { anySpelling?: boolean }): Promise<Owner> {
    return this.#catalog.resolve(owner, how)
  }

  /** As `Catalog.resolveScope`: the owner, or all owners, that a request is about. */
  resolveScope(owner: Owner): Promise<Owner> {
    return this.#catalog.resolveScope(owner)
  }

  /** As `Catalog.locate`: the database of an owner, suspended or not. */
  locate(owner: Owner): string | Promise<string> {
    return this.#catalog.locate(owner)
  }

  /** As `Catalog.has`: whether a platform has such a database. */
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

  /** The tenants of a page, by the names of their databases. */
  list(page: TenantPage): Promise<Tenant[]> {
    return this.#catalog.use((sql) => readTenants(sql, page))
  }

  /** @throws {GatewayError} database_not_found */
  async read(owner: Owner): Promise<Tenant> {
    const database = databaseName(owner)
    const tenant = await this.#catalog.use((sql) => readTenant(sql, database))
    if (tenant && isSameOwner(tenant, owner)) return tenant
    throw new GatewayError('database_not_found', describeAbsent(owner), { database })
  }

  /**
   * Sets labels, and takes those away that are null.
   * @throws {GatewayError} database_not_found; invalid_request where it would have too many
   */
  async label(owner: Owner, changes: LabelChanges): Promise<Tenant> {
    const { database } = await this.read(owner)
    const isDone = await this.#catalog.use((sql) => changeLabels(sql, database, changes))
    const tenant = await this.read(owner)
    if (isDone) return tenant
    throw tooMany()
  }

  /**
   * Has calls of a tenant answered with an error, on all gateways once the catalog has told them; those
   * that run already finish.
   * @throws {GatewayError} database_not_found
   */
  async suspend(owner: Owner, suspension: Suspension): Promise<Tenant> {
    const { database } = await this.read(owner)
    await this.#catalog.use((sql) => suspendTenant(sql, database, suspension))
    return this.#changed(owner)
  }

  /**
   * Suspends a tenant now, and has it dropped later by whichever gateway runs then.
   * @throws {GatewayError} database_not_found; tenant_busy where its time has come already
   */
  async dropLater(owner: Owner, drop: Drop): Promise<Tenant> {
    const { database, isDue } = await this.read(owner)
    if (isDue) throw isBeingDropped(owner)
    await this.#catalog.use((sql) => setDrop(sql, database, drop))
    return this.#changed(owner)
  }

  /**
   * Has calls of a tenant run again, and does not drop it any more.
   * @throws {GatewayError} database_not_found; tenant_busy where it is being dropped
   */
  async resume(owner: Owner): Promise<Tenant> {
    const { database } = await this.read(owner)
    const isDone = await this.#catalog.use((sql) => resumeTenant(sql, database))
    if (isDone) return this.#changed(owner)
    throw isBeingDropped(owner)
  }

  /** Before its own notification comes: the next call here has to see it. */
  #changed(owner: Owner): Promise<Tenant> {
    this.#catalog.forget(owner)
    return this.read(owner)
  }
}

function isBeingDropped(owner: Owner): GatewayError {
  return new GatewayError('tenant_busy', `${describeOwner(owner)} is being dropped`, {
    database: databaseName(owner),
  })
}

/** A tenant as it is answered. */
export function describeTenant(tenant: Tenant): Record<string, unknown> {
  const { state, schema } = tenant
  return {
    tenant_id: tenant.tenantId,
    ...(schema !== null && { schema_name: schema }),
    database: tenant.database,
    state,
    labels: tenant.labels,
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

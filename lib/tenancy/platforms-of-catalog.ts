import type { ArchiveLimits } from '../archive/archive.ts'
import { changesBetween, type FileChange } from '../archive/changes.ts'
import { readRecentArchive } from '../archive/recent.ts'
import { GatewayError } from '../errors.ts'
import type { Catalog } from './catalog/catalog.ts'
import { listPlatformDatabases, type PlatformDatabase } from './platform-databases.ts'
import {
  checkPlatform,
  giveToken,
  type ListedPlatform,
  listPlatforms,
  registerPlatform,
} from './platforms.ts'
import { type NewestArchive, readAllNewest, readPrevious } from './schemas/archive-order.ts'
import { type KnownArchive, listArchives, readPackedOfAny } from './schemas/archives.ts'
import { type LoadedSchema, loadStored } from './schemas/stored-archives.ts'
import { listStored, type StoredSchema, storeSchema } from './schemas/stored-schemas.ts'

/** Reads and writes the catalog's platforms, their tokens, archives and stored schemas. */
export class Platforms {
  readonly #catalog: Catalog
  readonly #limits: ArchiveLimits
  readonly #settings: { storedSchemasPerPlatform: number }

  constructor(
    catalog: Catalog,
    limits: ArchiveLimits,
    settings: { storedSchemasPerPlatform: number },
  ) {
    this.#catalog = catalog
    this.#limits = limits
    this.#settings = settings
  }

  list(): Promise<ListedPlatform[]> {
    return this.#catalog.use(listPlatforms)
  }

  /** Registers a platform; returns false if it is registered already. */
  register(platform: string): Promise<boolean> {
    return this.#catalog.use((sql) => registerPlatform(sql, platform))
  }

  /**
   * Checks that the platform is registered.
   * @throws {GatewayError} if the platform is not known
   */
  check(platform: string): Promise<void> {
    return this.#catalog.use((sql) => checkPlatform(sql, platform))
  }

  /**
   * Returns the token of a platform; creates it on the first request.
   * @throws {GatewayError} if the platform is not known
   */
  giveToken(platform: string): Promise<string> {
    return this.#catalog.use(async (sql) => {
      await checkPlatform(sql, platform)
      return giveToken(sql, platform)
    })
  }

  /** Returns the newest archive of each schema of a platform, or of all platforms. */
  newest(platform?: string): Promise<NewestArchive[]> {
    return this.#catalog.use((sql) => readAllNewest(sql, platform))
  }

  /** Returns the archives of a platform, newest first. */
  archives(platform: string): Promise<KnownArchive[]> {
    return this.#catalog.use((sql) => listArchives(sql, platform))
  }

  /**
   * Returns the tar.gz of an archive of a platform.
   * @throws {GatewayError} not_found if it is not kept
   */
  async packedArchive(platform: string, checksum: string): Promise<Buffer> {
    const packed = await this.#catalog.use((sql) => readPackedOfAny(sql, platform, checksum))
    if (packed) return packed
    throw new GatewayError(
      'not_found',
      `No archive ${checksum} of platform ${platform} is kept (KEPT_ARCHIVES)`,
    )
  }

  /**
   * Returns what two archives of a platform differ in.
   * @param from undefined: the one that was deployed first before `to`, to databases of its schema;
   *   if there is none, all files are new
   * @throws {GatewayError} not_found if one of them is not kept
   */
  async changes(
    platform: string,
    from: string | undefined,
    to: string,
  ): Promise<{ from: string | null; to: string; files: FileChange[] }> {
    const read = async (checksum: string) =>
      readRecentArchive(await this.packedArchive(platform, checksum), this.#limits)
    const before = from ?? (await this.#catalog.use((sql) => readPrevious(sql, platform, to)))
    const old = before === undefined ? undefined : await read(before)
    const files = await changesBetween(old, await read(to))
    return { from: before ?? null, to, files }
  }

  /** Returns the databases of a platform, or those of one of its schemas. */
  databases(
    platform: string,
    schema?: { name: string; sanitized: string },
  ): Promise<PlatformDatabase[]> {
    return this.#catalog.use((sql) => listPlatformDatabases(sql, platform, schema))
  }

  /**
   * Returns the stored schemas of a platform.
   * @throws {GatewayError} if the platform is not known
   */
  storedSchemas(platform: string): Promise<StoredSchema[]> {
    return this.#catalog.use(async (sql) => {
      await checkPlatform(sql, platform)
      return listStored(sql, platform)
    })
  }

  /**
   * Stores a schema under its name.
   * @throws {GatewayError} too_many_schemas
   */
  store(platform: string, schema: StoredSchema & { packed: Uint8Array }): Promise<void> {
    return this.#catalog.use((sql) =>
      storeSchema(sql, platform, schema, this.#settings.storedSchemasPerPlatform),
    )
  }

  /** Returns the archive that is stored under a name. See `loadStored`. */
  loadStored(platform: string, name: string): Promise<LoadedSchema> {
    return loadStored(this.#catalog, platform, name, this.#limits)
  }
}

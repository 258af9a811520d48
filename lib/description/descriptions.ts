import { Recent } from '../common/recent.ts'
import type { Pools } from '../postgres/pools/pools.ts'
import { useRepeatable } from '../postgres/pools/use-repeatable.ts'
import type { Description } from './description.ts'
import { readDescription } from './read.ts'

/** Databases, and different descriptions, that are kept. */
const MAX_DATABASES = 1000
const MAX_DESCRIPTIONS = 50

/** Bytes of documents that are kept. */
const MAX_DOCUMENT_BYTES = 32 * 1024 * 1024

interface Known {
  version: string
  digest: string
}

/**
 * Cache of what databases offer. Each request compares the version of the database; equal databases
 * share one description. Calls do not use it.
 */
export class Descriptions {
  readonly #callableSchemas: (database: string) => string[] | undefined
  readonly #pools: Pools
  readonly #known = new Recent<Known>(MAX_DATABASES)
  readonly #descriptions = new Recent<Description>(MAX_DESCRIPTIONS)
  readonly #documents = new Recent<Buffer>(MAX_DOCUMENT_BYTES)

  /** @param callableSchemas schemas whose functions can be called; undefined: the search path */
  constructor(callableSchemas: (database: string) => string[] | undefined, pools: Pools) {
    this.#callableSchemas = callableSchemas
    this.#pools = pools
  }

  /**
   * Returns what a database offers now.
   * @throws {GatewayError} pool_exhausted, connection_failed, query_timeout
   */
  async of(database: string): Promise<Description> {
    const known = this.#known.get(database)
    const kept = known && this.#descriptions.get(known.digest)
    const { version, description = kept! } = await useRepeatable(this.#pools, database, (sql) =>
      readDescription(sql, this.#callableSchemas(database), kept && known?.version),
    )
    const shared = this.#descriptions.get(description.digest) ?? description
    this.#descriptions.set(shared.digest, shared, 1)
    this.#known.set(database, { version, digest: shared.digest }, 1)
    return shared
  }

  /**
   * Returns the document that `render` makes, or the one that it has made before.
   * @param key what the document depends on: the digest of a description, and options
   */
  document(key: string, render: () => string): Buffer {
    const kept = this.#documents.get(key)
    if (kept) return kept
    const made = Buffer.from(render())
    this.#documents.set(key, made, made.length)
    return made
  }
}

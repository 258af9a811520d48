import { Recent } from '../../common/recent.ts'
import { Schemas } from './schema.ts'

const MAX_PRINTS = 1000

/** Number of cached schemas above which those without a known database are dropped. */
const MIN_SCHEMAS = 64

/** Schemas that were read with the same callable schemas. */
export interface SchemaCache {
  /** Undefined: the search path. */
  callableSchemas: string[] | undefined
  schemas: Schemas
  /** Digests of schemas by the prints of databases that have them. */
  prints: Recent<string>
}

/**
 * Cached schemas, apart for each list of callable schemas: databases that are alike have other
 * functions to call where their lists differ.
 */
export class SchemaCaches {
  readonly #caches = new Map<string, SchemaCache>()
  #sweepAt = MIN_SCHEMAS

  of(callableSchemas: string[] | undefined): SchemaCache {
    const key = callableSchemas?.join() ?? ''
    let cache = this.#caches.get(key)
    if (!cache) {
      cache = { callableSchemas, schemas: new Schemas(), prints: new Recent(MAX_PRINTS) }
      this.#caches.set(key, cache)
    }
    return cache
  }

  /** Drops the schemas that are not in use, once there are many. */
  sweep(inUse: () => Iterable<string>): void {
    if (this.#size <= this.#sweepAt) return
    const used = new Set(inUse())
    for (const { schemas } of this.#caches.values()) schemas.keep(used)
    this.#sweepAt = Math.max(MIN_SCHEMAS, 2 * used.size)
  }

  get #size(): number {
    let size = 0
    for (const { schemas } of this.#caches.values()) size += schemas.size
    return size
  }
}

import { type StoredLimits, type TenantLimits, toLimits } from './tenant-limits.ts'

interface Known {
  /** -1: any read is newer. */
  revision: number
  limits: TenantLimits | undefined
}

/** What a change of limits concerns. */
export interface LimitsChange {
  /** True: the connections that the database may have. */
  connections: boolean
  /** True: the functions that can be called. */
  functions: boolean
}

/**
 * Limits of databases, as the catalog's rows were last read. A database that never had a limit
 * takes no room. Limits that stay equal stay the same object.
 */
export class DatabaseLimits {
  readonly #known = new Map<string, Known>()
  /** Called when limits that were read differ from those before. */
  onChanged: ((database: string, change: LimitsChange) => void) | undefined

  /** Returns the limits of a database; undefined if it has none or no look-up has read its row. */
  of(database: string): TenantLimits | undefined {
    return this.#known.get(database)?.limits
  }

  /** Returns the databases that have limits. */
  databases(): string[] {
    return [...this.#known].filter(([, { limits }]) => limits).map(([database]) => database)
  }

  /** Takes over limits that were read, unless newer ones are known. */
  note(database: string, stored: StoredLimits | null): void {
    const known = this.#known.get(database)
    const revision = stored?.revision ?? 0
    if (revision <= (known?.revision ?? 0) && known?.revision !== -1) return
    const before = known?.limits
    const limits = toLimits(stored)
    const isSame = JSON.stringify(limits) === JSON.stringify(before)
    this.#known.set(database, { revision, limits: isSame ? before : limits })
    if (isSame) return
    this.onChanged?.(database, {
      connections: limits?.maxConnections !== before?.maxConnections,
      functions: `${limits?.callableSchemas ?? null}` !== `${before?.callableSchemas ?? null}`,
    })
  }

  /** Drops the limits of a database that was removed; one of the same name begins without. */
  drop(database: string): void {
    this.#known.delete(database)
  }

  /** Takes over whatever is read next: changes may have been missed. Limits hold until then. */
  expectChanges(): void {
    for (const known of this.#known.values()) known.revision = -1
  }
}

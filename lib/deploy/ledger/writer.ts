import { isPostgresError } from '../../postgres/errors.ts'
import { send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteLiteral } from '../../postgres/quote.ts'
import { digestOf, keyOf, STANDING } from './key.ts'
import type { FileSection, LedgerObject } from './ledger.ts'

/** A deploy as recorded in the ledger. */
export interface DeploymentRecord {
  status: 'completed' | 'failed'
  archiveChecksum: string
  tablesChecksum: string | null
  requestId: string
  address: string
  migrationsApplied: string[]
  migrationsRepaired: string[]
  functionsDeployed: number
  functionsChanged: number
  functionsDropped: string[]
  seedersApplied: string[]
  tableChanges: object[]
  /** Whether only the functions, views and triggers of the archive were deployed. */
  isBack?: boolean
  error: object | null
  executionTimeMs: number
}

/** Name and checksum of a file. */
interface Named {
  name: string
  checksum: string
}

/** Changes to a ledger, as `_db_gateway.write` takes them. */
export interface LedgerChanges {
  renamed: object[]
  undone: object[]
  migrations: Named[]
  gone: object[]
  files: { section: string; name: string; checksum: string; objects: unknown }[]
  deployments: object[]
}

/**
 * Collects changes to the ledger of one database and writes them in one query, on the connection of
 * a deploy and in its transaction.
 */
export class LedgerWriter {
  readonly #sql: Sql
  readonly #key: string
  #number: number
  #changes = noChanges()

  /**
   * @param key secret from which the keys of the ledger's writes are derived
   * @param number number of the key that the next write takes
   */
  constructor(sql: Sql, key: string, number: number) {
    this.#sql = sql
    this.#key = key
    this.#number = number
  }

  /** Records a migration as applied, or as begun outside of a transaction. */
  setMigration(
    { name, checksum }: Named,
    status: 'applied' | 'begun' = 'applied',
    error: string | null = null,
  ): void {
    const migration = { name, checksum, status, error }
    this.#changes.migrations.push(migration)
  }

  /**
   * Renames a migration in the ledger.
   * @param name the recorded name
   */
  renameMigration(name: string, renamed: string): void {
    this.#changes.renamed.push({ name, renamed })
  }

  /** Removes a migration that was recorded as begun and left no effect. */
  forgetMigration(name: string): void {
    this.#changes.undone.push({ name })
  }

  /** Records a file that is in place and the objects that it created. */
  setFile(section: FileSection, { name, checksum }: Named, objects: LedgerObject[] = []): void {
    this.#changes.files.push({ section, name, checksum, objects })
  }

  /** Removes a file that the archive no longer has. */
  forgetFile(section: FileSection, name: string): void {
    this.#changes.gone.push({ section, name })
  }

  /** Records the warnings that apply for as long as the archive with this checksum is in place. */
  setStanding(checksum: string, warnings: string[]): void {
    const row = { section: STANDING, name: 'warnings' }
    this.#changes.gone.push(row)
    if (warnings.length > 0) this.#changes.files.push({ ...row, checksum, objects: warnings })
  }

  /** Records the deploy itself. */
  addDeployment(record: DeploymentRecord): void {
    this.#changes.deployments.push({
      status: record.status,
      archive_checksum: record.archiveChecksum,
      tables_checksum: record.tablesChecksum,
      request_id: record.requestId,
      address: record.address,
      migrations_applied: record.migrationsApplied,
      migrations_repaired: record.migrationsRepaired,
      functions_deployed: record.functionsDeployed,
      functions_changed: record.functionsChanged,
      functions_dropped: record.functionsDropped,
      seeders_applied: record.seedersApplied,
      table_changes: record.tableChanges,
      only_code: record.isBack ?? false,
      error: record.error,
      execution_time_ms: record.executionTimeMs,
    })
  }

  /** Records the state that this deploy leaves, for replays. */
  setState(checksum: string, state: object): void {
    this.#changes.files.push({ section: STANDING, name: 'state', checksum, objects: state })
  }

  /** Returns what was collected since the last call. */
  #take(): LedgerChanges {
    const changes = this.#changes
    this.#changes = noChanges()
    return { ...changes, migrations: lastOfEach(changes.migrations) }
  }

  /**
   * Sends what was collected since the last call. The query has no parameters, whose types
   * postgres.js would have to ask for first.
   * @param digest SQL expression for the deploy's catalog digest
   * @returns the changes, once they are written
   */
  send(digest?: string): Promise<LedgerChanges> {
    const changes = this.#take()
    const given = `${quoteLiteral(JSON.stringify(changes))}::pg_catalog.jsonb`
    const all = digest
      ? `pg_catalog.jsonb_set(${given}, '{deployments,0,catalog_digest}', pg_catalog.to_jsonb((${digest})))`
      : given
    const query = send(
      this.#sql.unsafe(`select ${writeSql({ key: this.#key, number: this.#number++ }, all)}`),
    )
    return query.then(
      () => changes,
      (error: unknown) => {
        // The context names only the gateway's own function.
        if (isPostgresError(error)) error.where = ''
        throw error
      },
    )
  }
}

function noChanges(): LedgerChanges {
  return { renamed: [], undone: [], migrations: [], gone: [], files: [], deployments: [] }
}

/** Returns the SQL call that writes changes to the ledger; each key is good for one. */
export function writeSql(
  { key, number }: { key: string; number: number },
  changes: string,
): string {
  const next = digestOf(key, number + 1)
  return `_db_gateway.write('${keyOf(key, number)}', '${next}', ${changes})`
}

/** Keeps the last entry of each migration: ON CONFLICT updates a row only once a query. */
function lastOfEach(migrations: Named[]): Named[] {
  return [...new Map(migrations.map((one) => [one.name, one])).values()]
}

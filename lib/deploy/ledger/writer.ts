import { isPostgresError } from '../../postgres/errors.ts'
import type { Sent } from '../../postgres/pipeline.ts'
import { send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteLiteral } from '../../postgres/quote.ts'
import { digestOf, keyOf, STANDING } from './key.ts'
import type { FileSection, LedgerObject } from './ledger.ts'

/** What a deploy did, as the ledger keeps it. */
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
  /** Nothing of the archive but its code was deployed. */
  isBack?: boolean
  error: object | null
  executionTimeMs: number
}

/** A file as the ledger knows it. */
interface Named {
  name: string
  checksum: string
}

/**
 * Collects what is to be written into the ledger of one database, and writes it in one query, on the
 * connection of a deploy and within its transaction.
 */
export class LedgerWriter {
  readonly #sql: Sql
  readonly #key: string
  #number: number
  #migrations: object[] = []
  #renamed: object[] = []
  #undone: object[] = []
  #files: object[] = []
  #gone: object[] = []
  #deployments: object[] = []

  /** `key` is what the keys of the ledger are derived from; `number` is that of its next write. */
  constructor(sql: Sql, key: string, number: number) {
    this.#sql = sql
    this.#key = key
    this.#number = number
  }

  /** What is known of a migration now: that it ran, or is about to outside of a transaction. */
  setMigration(
    { name, checksum }: Named,
    status: 'applied' | 'begun' = 'applied',
    error: string | null = null,
  ): void {
    this.#migrations.push({ name, checksum, status, error })
  }

  /** A migration that the ledger has under another name. */
  renameMigration(name: string, renamed: string): void {
    this.#renamed.push({ name, renamed })
  }

  /** A migration that was about to run outside of a transaction, and left nothing. */
  forgetMigration(name: string): void {
    this.#undone.push({ name })
  }

  /** A file that is in place, and what it made. */
  setFile(section: FileSection, { name, checksum }: Named, objects: LedgerObject[] = []): void {
    this.#files.push({ section, name, checksum, objects })
  }

  /** A file that the archive does not have any more. */
  forgetFile(section: FileSection, name: string): void {
    this.#gone.push({ section, name })
  }

  /** What a deploy of the archive with this checksum warns of for as long as it is in place. */
  setStanding(checksum: string, warnings: string[]): void {
    const row = { section: STANDING, name: 'warnings' }
    this.#gone.push(row)
    if (warnings.length > 0) this.#files.push({ ...row, checksum, objects: warnings })
  }

  /** The deploy itself. */
  addDeployment(record: DeploymentRecord): void {
    this.#deployments.push({
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

  /**
   * Sends what was collected since the last time, in a query without parameters: postgres.js would
   * ask what they are first. `digest` is an expression of SQL: the deploy's catalog digest.
   */
  send(digest?: string): Sent {
    const changes = JSON.stringify({
      renamed: this.#renamed,
      undone: this.#undone,
      migrations: lastOfEach(this.#migrations as Named[]),
      gone: this.#gone,
      files: this.#files,
      deployments: this.#deployments,
    })
    this.#migrations = []
    this.#renamed = []
    this.#undone = []
    this.#gone = []
    this.#files = []
    this.#deployments = []
    const number = this.#number++
    const given = `${quoteLiteral(changes)}::pg_catalog.jsonb`
    const all = digest
      ? `pg_catalog.jsonb_set(${given}, '{deployments,0,catalog_digest}', pg_catalog.to_jsonb((${digest})))`
      : given
    const query = send(
      this.#sql.unsafe(
        `select _db_gateway.write('${keyOf(this.#key, number)}', ` +
          `'${digestOf(this.#key, number + 1)}', ${all})`,
      ),
    )
    return query.catch((error: unknown) => {
      // It tells of the gateway's own function.
      if (isPostgresError(error)) error.where = ''
      throw error
    })
  }
}

/** A row is inserted or updated once a query. */
function lastOfEach(migrations: Named[]): Named[] {
  return [...new Map(migrations.map((one) => [one.name, one])).values()]
}

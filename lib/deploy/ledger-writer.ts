import type { SchemaFile } from '../archive/archive.ts'
import type { Sql } from '../postgres/connection.ts'
import { isPostgresError } from '../postgres/errors.ts'
import { answers, type Sent, send } from '../postgres/pipeline.ts'

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
  error: object | null
  executionTimeMs: number
}

/** Writes the ledger of one database, on the connection of a deploy and within its transaction. */
export class LedgerWriter {
  readonly #sql: Sql
  readonly #key: string

  /** `key` is what the ledger takes. */
  constructor(sql: Sql, key: string) {
    this.#sql = sql
    this.#key = key
  }

  /** Sends the row of a migration that ran, or that is about to run outside of a transaction. */
  addMigration(file: SchemaFile, status: 'applied' | 'begun' = 'applied'): Sent {
    const { name, checksum } = file
    return this.#write('new migrations', [{ migration_file: name, checksum, status }])
  }

  /** Sends what is now known of a migration that the ledger has. */
  updateMigration(
    { name, checksum }: SchemaFile,
    status: 'applied' | 'begun',
    error: string | null = null,
  ): Sent {
    return this.#write('migrations', [{ migration_file: name, checksum, status, error }])
  }

  /** Sends the row of a seeder that ran. */
  addSeeder(file: SchemaFile): Sent {
    return this.#write('seeders', fileRows([file]))
  }

  /** Sends the rows of the type files that are in place. */
  setTypes(files: SchemaFile[]): Sent {
    return this.#write('types', fileRows(files))
  }

  /** Sends the row of a function file that ran; which functions it made is written down later. */
  setFunctionFile(file: SchemaFile): Sent {
    return this.#write('function files', fileRows([file]))
  }

  /** Writes down which functions the files made: schema.name(types), by file name. */
  setFunctions(made: { file: string; functions: string[] }[]): Sent {
    return this.#write('functions', made)
  }

  /** Sends the row of a view file that ran. */
  setViewFile({ name, checksum }: SchemaFile, views: string[]): Sent {
    return this.#write('view files', [{ file: name, checksum, views }])
  }

  /** Deletes the rows of files that the archive does not have any more. */
  async forgetFiles(functions: string[], views: string[]): Promise<void> {
    const rows = (files: string[]) => files.map((file) => ({ file }))
    if (functions.length + views.length === 0) return
    await answers([
      this.#write('functions gone', rows(functions)),
      this.#write('views gone', rows(views)),
    ])
  }

  /** Sends the row of a deploy. */
  addDeployment(record: DeploymentRecord): Sent {
    return this.#write('deployments', [
      {
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
        error: record.error,
        execution_time_ms: record.executionTimeMs,
      },
    ])
  }

  /** Queries of `unsafe` are not prepared, as the key demands: see FUNCTIONS of the tables. */
  #write(kind: string, rows: object[]): Sent {
    const query = this.#sql.unsafe(
      'select _db_gateway.write($1::pg_catalog.text, $2::pg_catalog.text, $3::pg_catalog.jsonb)',
      [this.#key, kind, JSON.stringify(rows)],
    )
    return send(query).catch((error: unknown) => {
      // A script can have PostgreSQL tell in there what the parameters were.
      if (isPostgresError(error)) error.where = ''
      throw error
    })
  }
}

function fileRows(files: SchemaFile[]): object[] {
  return files.map(({ name, checksum }) => ({ file: name, checksum }))
}

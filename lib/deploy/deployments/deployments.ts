import { describeError } from '../../errors.ts'
import type { Log } from '../../log.ts'
import { deleteOld } from '../../postgres/delete-old.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { databaseName, type Owner } from '../../tenancy/names.ts'
import { readHistory } from '../history.ts'
import { type DeployOrigin, type DeployResult, functionsChanged, withoutOid } from '../result.ts'
import {
  AGE,
  addMissingRows,
  addRow,
  type DeploymentQuery,
  type DeploymentRow,
  type NewRow,
  prepareTable,
  readRows,
} from './table.ts'

/** A deploy that has ended, in success or not. */
export interface EndedDeploy {
  owner: Owner
  archiveChecksum: string
  origin: DeployOrigin
  /** Its ledger has nothing older. */
  isNew: boolean
  /** Undefined where it failed. */
  result?: DeployResult | undefined
  /** Why it failed. */
  error?: unknown
  executionTimeMs: number
}

interface Options {
  /** Runs what may be done twice in the administrative database. */
  use: <T>(work: (sql: Sql) => Promise<T>) => Promise<T>
  /** Runs what may be done twice in a platform's database. */
  useDatabase: <T>(database: string, work: (sql: Sql) => Promise<T>) => Promise<T>
  log: Log
  retentionDays: number
}

const CLEANUP_EVERY_MS = 60 * 60 * 1000

/** Of one database's ledger. */
const MAX_COPIED = 100

/**
 * The deployments of all databases: a copy, in the administrative database, of what the ledgers of the
 * databases say, and of deploys that failed before there was a ledger.
 */
export class Deployments {
  readonly #options: Options
  #cleanedAt = 0

  constructor(options: Options) {
    this.#options = options
  }

  /** Creates the table where it does not exist. */
  async prepare(): Promise<void> {
    await this.#options.use(prepareTable)
    this.#cleanUp()
  }

  /**
   * Writes down a deploy that has ended. With the first one of a database comes what its ledger has of
   * older ones. What cannot be written is in the log: the deploy is what it is.
   */
  async record(deploy: EndedDeploy): Promise<void> {
    const { use, log } = this.#options
    try {
      const isFirst = await use((sql) => addRow(sql, rowOf(deploy)))
      if (isFirst && !deploy.isNew) await this.copyLedger(deploy.owner)
    } catch (error) {
      log.warn('A deploy is not in /admin/deployments', {
        database: databaseName(deploy.owner),
        request_id: deploy.origin.requestId,
        cause: (error as Error).message,
      })
    }
    if (performance.now() - this.#cleanedAt > CLEANUP_EVERY_MS) this.#cleanUp()
  }

  /**
   * Copies the last deploys of a database's ledger that are not written down: those of a gateway that
   * was killed before it could, or that kept no copies. What fails is in the log.
   */
  async copyLedger(owner: Owner): Promise<void> {
    const { use, useDatabase, log } = this.#options
    const database = databaseName(owner)
    try {
      const history = await useDatabase(database, (sql) => readHistory(sql, MAX_COPIED))
      const rows = history.map(
        ({ deployed_at, status, archive_checksum, request_id, ...rest }) => ({
          database,
          platform: owner.platform,
          tenant_id: owner.tenantId,
          schema_name: owner.schema,
          deployed_at,
          status,
          archive_checksum,
          request_id,
          deployment: rest,
        }),
      )
      if (rows.length > 0) await use((sql) => addMissingRows(sql, rows))
    } catch (error) {
      log.warn(`The deployments of ${database} could not be copied from its ledger`, {
        cause: (error as Error).message,
      })
    }
  }

  /** A page of deployments, newest first. */
  read(query: DeploymentQuery): Promise<DeploymentRow[]> {
    return this.#options.use((sql) => readRows(sql, query))
  }

  /** In the background: nobody waits for it. */
  async #cleanUp(): Promise<void> {
    const { use, log, retentionDays } = this.#options
    this.#cleanedAt = performance.now()
    try {
      while (await use((sql) => deleteOld(sql, AGE, retentionDays)));
    } catch (error) {
      log.debug(`Old deployments are not deleted: ${(error as Error).message}`)
    }
  }
}

function rowOf({ owner, archiveChecksum, origin, result, error, executionTimeMs }: EndedDeploy) {
  const deployment = {
    address: origin.address,
    migrations_applied: result?.migrationsApplied ?? [],
    migrations_repaired: result?.migrationsRepaired ?? [],
    functions_deployed: result?.functionsDeployed ?? 0,
    functions_changed: result ? functionsChanged(result) : 0,
    functions_dropped: result?.functionsDropped ?? [],
    seeders_applied: result?.seedersApplied ?? [],
    tables_created: result?.tablesCreated ?? [],
    table_changes: result?.tableChanges.map(withoutOid) ?? [],
    warnings: result?.warnings ?? [],
    error: result ? null : describeError(error),
    execution_time_ms: executionTimeMs,
  }
  return {
    database: databaseName(owner),
    platform: owner.platform,
    tenant_id: owner.tenantId,
    schema_name: owner.schema,
    deployed_at: null,
    status: result ? 'completed' : 'failed',
    archive_checksum: archiveChecksum,
    request_id: origin.requestId,
    deployment,
  } satisfies NewRow
}

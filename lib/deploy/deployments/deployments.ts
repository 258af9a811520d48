import { Together } from '../../common/together.ts'
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
  addRows,
  type DeploymentQuery,
  type DeploymentRow,
  type NewRow,
  prepareTable,
  readRows,
} from './table.ts'

/** A deploy that has ended, with success or failure. */
export interface EndedDeploy {
  owner: Owner
  archiveChecksum: string
  origin: DeployOrigin
  /** The database is new, so its ledger has no older deploys. */
  isNew: boolean
  /** Undefined if the deploy failed. */
  result?: DeployResult | undefined
  /** Cause of the failure. */
  error?: unknown
  executionTimeMs: number
}

interface Options {
  /** Runs work in the administrative database; may run it twice, so it must be idempotent. */
  use: <T>(work: (sql: Sql) => Promise<T>) => Promise<T>
  /** Runs work in a platform's database; may run it twice, so it must be idempotent. */
  useDatabase: <T>(database: string, work: (sql: Sql) => Promise<T>) => Promise<T>
  log: Log
  retentionDays: () => number
  /** Called with each deploy that has ended. */
  onEnded: (deploy: EndedDeploy) => void
}

const CLEANUP_EVERY_MS = 60 * 60 * 1000

/** Deploys that are copied from the ledger of one database. */
const MAX_COPIED = 100

/** Deploys that are recorded by one statement. */
const MAX_TOGETHER = 100

/**
 * The deployments of all databases. The table in the administrative database copies the ledgers of
 * the databases, and also has deploys that failed before the database had a ledger.
 */
export class Deployments {
  readonly #options: Options
  readonly #adding: Together<NewRow, boolean>
  #cleanedAt = 0

  constructor(options: Options) {
    this.#options = options
    const add = (rows: NewRow[]) => options.use((sql) => addRows(sql, rows))
    this.#adding = new Together(add, MAX_TOGETHER)
  }

  /** Creates the table if it does not exist, and deletes old rows in the background. */
  async prepare(): Promise<void> {
    await this.#options.use(prepareTable)
    this.#cleanUp()
  }

  /**
   * Records a deploy that has ended. The first record of a database also copies older deploys from
   * its ledger. A failure is logged and not thrown: it must not change the outcome of the deploy.
   */
  async record(deploy: EndedDeploy): Promise<void> {
    const { log, onEnded } = this.#options
    onEnded(deploy)
    try {
      const isFirst = await this.#adding.run(rowOf(deploy))
      if (isFirst && !deploy.isNew) await this.copyLedger(deploy.owner)
    } catch (error) {
      log.warn('A deploy is missing from /admin/deployments', {
        database: databaseName(deploy.owner),
        request_id: deploy.origin.requestId,
        cause: (error as Error).message,
      })
    }
    if (performance.now() - this.#cleanedAt > CLEANUP_EVERY_MS) this.#cleanUp()
  }

  /**
   * Copies the last deploys in a database's ledger that are not recorded: those of a gateway that
   * was killed before it recorded them, or of a version that kept no records. A failure is logged
   * and not thrown.
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

  /** Returns a page of deployments, newest first. */
  read(query: DeploymentQuery): Promise<DeploymentRow[]> {
    return this.#options.use((sql) => readRows(sql, query))
  }

  /** Deletes rows older than `retentionDays` in the background. A failure is logged. */
  async #cleanUp(): Promise<void> {
    const { use, log, retentionDays } = this.#options
    this.#cleanedAt = performance.now()
    try {
      while (await use((sql) => deleteOld(sql, AGE, retentionDays())));
    } catch (error) {
      log.debug(`Old deployments could not be deleted: ${(error as Error).message}`)
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
    steps_ms: result?.steps ?? null,
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

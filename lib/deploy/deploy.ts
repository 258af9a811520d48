import type { SchemaArchive } from '../archive/archive.ts'
import { fromPostgres } from '../postgres/errors.ts'
import type { Lease } from '../postgres/pools.ts'
import { createExtensions } from './extensions.ts'
import { deployFunctions } from './functions.ts'
import { prepareLedger, readLedger, recordDeployment } from './ledger.ts'
import { migrationWarnings, runMigrations } from './migrations.ts'
import { runSeeders, seederWarnings } from './seeders.ts'

/** Who asked for a deploy; it stands in the ledger. */
export interface DeployOrigin {
  requestId: string
  address: string
}

/** What a deploy did to one database. */
export interface DeployResult {
  migrationsApplied: string[]
  functionsDeployed: number
  functionsChanged: number
  functionsDropped: string[]
  seedersApplied: number
  warnings: string[]
}

/**
 * Brings a database to the archive's schema in one transaction, under a lock that lets one deploy
 * at a time into the database, whatever gateway it comes from: all of it is done or nothing is.
 * The session is not as it was afterwards: discard the lease.
 * @throws {GatewayError} saying which file failed, and where
 */
export async function deploy(
  { sql }: Lease,
  database: string,
  archive: SchemaArchive,
  origin: DeployOrigin,
): Promise<DeployResult> {
  const started = performance.now()
  try {
    await Promise.all([
      sql.unsafe('set statement_timeout = 0'),
      // Where the gateway dies, its deploy ends too instead of holding the lock until its statement
      // is through. Not every platform has it.
      sql.unsafe("set client_connection_check_interval = '2s'").catch(() => {}),
    ])
    await sql.unsafe("begin; select pg_advisory_xact_lock(hashtext('_db_gateway_deploy'))")
    await prepareLedger(sql)
    const ledger = await readLedger(sql)
    const { files } = archive

    await createExtensions(sql, database, files.extensions)
    const migrationsApplied = await runMigrations(sql, database, files.migrations, ledger)
    const functions = await deployFunctions(sql, database, files.functions, ledger)
    const seedersApplied = await runSeeders(sql, database, files.seeders, ledger)

    const result: DeployResult = {
      migrationsApplied,
      functionsDeployed: functions.deployed,
      functionsChanged: functions.changed,
      functionsDropped: functions.dropped,
      seedersApplied,
      warnings: [
        ...migrationWarnings(files.migrations, ledger),
        ...seederWarnings(files.seeders, ledger),
      ],
    }
    // A deploy that waited for another one of the same archive has nothing left to write down.
    if (ledger.archiveChecksum !== archive.checksum || changedAnything(result)) {
      await recordDeployment(sql, {
        ...origin,
        archiveChecksum: archive.checksum,
        migrationsApplied: migrationsApplied.length,
        functionsDeployed: result.functionsDeployed,
        functionsChanged: result.functionsChanged,
        seedersApplied,
        executionTimeMs: Math.round(performance.now() - started),
      })
    }
    await sql.unsafe('commit')
    return result
  } catch (error) {
    // Discarding the lease rolls back; a rollback sent on a connection that broke could hang.
    throw fromPostgres(error, database)
  }
}

function changedAnything(result: DeployResult): boolean {
  return (
    result.migrationsApplied.length > 0 ||
    result.functionsChanged > 0 ||
    result.functionsDropped.length > 0 ||
    result.seedersApplied > 0
  )
}

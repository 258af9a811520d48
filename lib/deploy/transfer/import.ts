import { GatewayError } from '../../errors.ts'
import { ContentsTooLarge, type ListedDump, listDump, Pieces } from '../../postgres/pg-restore.ts'
import { ToolError } from '../../postgres/pg-tools.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteIdentifier } from '../../postgres/quote.ts'
import { requirePgTool } from '../../postgres/server-tools.ts'
import { TemporaryFolderError } from '../../postgres/temporary-folder.ts'
import { addEntry, readEntry } from '../../tenancy/catalog/catalog-table.ts'
import {
  announceImport,
  beginCreation,
  forgetCreation,
  withdrawImport,
} from '../../tenancy/catalog/creations.ts'
import type { Labels } from '../../tenancy/labels.ts'
import { databaseName, type Owner } from '../../tenancy/names.ts'
import { alreadyThere, isSameOwner, ownerFields } from '../../tenancy/owner-identity.ts'
import { sequencesOf } from '../database/copied-sequences.ts'
import {
  createDatabase,
  dropDatabase,
  isLeft,
  nameConflict,
  type OnDatabase,
  reserved,
} from '../database/database.ts'
import { handOver } from '../database/handover.ts'
import { placed } from '../database/placed.ts'
import { withDatabaseLock } from '../database/with-lock.ts'
import { lookAt } from '../older/look.ts'
import type { DeployParts } from '../parts.ts'
import { isReserved } from '../templates/names.ts'
import { checkContents, entriesToRestore } from './contents.ts'
import { checkLedger, fill, firstError, giveTo, type Restoring } from './fill.ts'
import type { Transfers } from './transfers.ts'

/** A request to create a tenant from a dump. */
export interface ImportRequest {
  owner: Owner
  labels: Labels
  /** Reads the next piece of the dump; undefined at its end. */
  next: () => Promise<Buffer | undefined>
  onDatabase?: OnDatabase
  /** Ends the wait for the name when the client is gone. */
  gone: AbortSignal
}

/** A tenant that was created from a dump. */
export interface Imported {
  database: string
  /** Bytes of the dump that were read. */
  bytes: number
}

/** A dump whose contents were checked. */
interface CheckedDump extends ListedDump {
  /** Whether it has objects of the platform's role. */
  isOfRole: boolean
}

/**
 * Creates a tenant's database from a dump in pg_dump's custom format, which arrives in pieces. The
 * dump is restored as the role of the platform, since its content is not trusted, and the ledger in
 * it is then taken over by the gateway. If anything fails, the database is dropped.
 * @throws {GatewayError} database_already_exists, name_conflict; dump_not_available; import_failed;
 *   invalid_request if it is no such dump; pool_exhausted; query_timeout after DEPLOY_TIMEOUT_SECS;
 *   the errors of `next`
 */
export async function importTenant(
  parts: DeployParts,
  transfers: Transfers,
  { owner, labels, next, onDatabase, gone }: ImportRequest,
): Promise<Imported> {
  const database = databaseName(owner)
  const name = parts.roles.roleOf(owner.platform)
  if (name === null) throw hasNoRole(database)
  const tool = await parts.catalog.use((sql) => requirePgTool(sql, 'pg_restore'))
  const pieces = new Pieces(next)
  await transfers.run(
    parts.config.deployTimeoutMs,
    (signal) => {
      const work = async (admin: Sql) => {
        await checkFree(parts, admin, owner)
        // Before the dump is read, which cannot be read again for another server.
        await placed(parts, admin, owner, async () => {
          const dump = await readContents(tool, pieces, signal, name)
          await parts.roles.ensure(admin, owner.platform)
          const restoring = { owner, database, role: name, tool, pieces, signal }
          await makeDatabase(parts, admin, restoring, dump, labels, onDatabase)
        })
      }
      const waiting = AbortSignal.any([signal, gone])
      return withDatabaseLock(parts, database, work, waiting).catch((error) => {
        throw error instanceof TemporaryFolderError ? cannotWrite(error, database) : error
      })
    },
    true,
  )
  await recordLedger(parts, owner, name)
  const { bytes } = pieces
  parts.log.info('A tenant was imported', { ...ownerFields(owner), database, bytes })
  return { database, bytes }
}

/** Checks that nobody has the name. Drops what a killed gateway left of an import. */
async function checkFree(parts: DeployParts, admin: Sql, owner: Owner): Promise<void> {
  const database = databaseName(owner)
  const entry = await readEntry(admin, owner)
  if (entry && isSameOwner(entry, owner)) throw alreadyThere(owner, database)
  if (entry) throw nameConflict(owner, database, entry)
  if (isReserved(database)) throw reserved(owner, database)
  if (!(await isLeft(parts, admin, database))) return
  throw new GatewayError(
    'database_already_exists',
    `Database ${database} exists on the server, but is not in the catalog`,
    { database, hint: 'Drop it, or take it over with POST /admin/adopt' },
  )
}

async function readContents(
  tool: string,
  pieces: Pieces,
  signal: AbortSignal,
  role: string,
): Promise<CheckedDump> {
  const dump = await listDump(tool, pieces, signal).catch((error) => {
    if (error instanceof ContentsTooLarge) {
      throw new GatewayError('payload_too_large', 'The table of contents of the dump is too large')
    }
    if (!(error instanceof ToolError)) throw error
    const message = "The body is not a dump in pg_dump's custom format (pg_dump -Fc)"
    throw new GatewayError('invalid_request', message, { cause: firstError(error) })
  })
  const isOfRole = checkContents(dump.lines, role)
  return { ...dump, lines: entriesToRestore(dump.lines), isOfRole }
}

/** Creates the database, restores the dump into it and enters it into the catalog, or drops it. */
async function makeDatabase(
  parts: DeployParts,
  admin: Sql,
  restoring: Restoring,
  dump: CheckedDump,
  labels: Labels,
  onDatabase: OnDatabase = () => {},
): Promise<void> {
  const { owner, database, role } = restoring
  const { catalog, config } = parts
  await announceImport(admin, database)
  await createDatabase(admin, database, config).catch(async (error) => {
    await withdrawImport(admin, database).catch(() => {})
    throw error
  })
  let isKept = false
  try {
    onDatabase('created')
    await beginCreation(admin, database, true)
    await giveTo(admin, database, role)
    catalog.note({ database, platform: owner.platform, role })
    await fill(parts, restoring, dump)
    if (!dump.isOfRole) await checkLedger(parts, restoring)
    // As its owner the gateway's role hands it over, with a ledger of its own.
    await admin.unsafe(`alter database ${quoteIdentifier(database)} owner to current_user`)
    const also = sequencesOf(config.baseTemplate, parts, owner.platform)
    await handOver(parts, admin, owner, also).catch((error) => {
      throw cannotBeTaken(error)
    })
    restoring.signal.throwIfAborted()
    await addEntry(admin, owner, role, { labels })
    isKept = true
    catalog.forget(owner)
    parts.forgetFunctions(database)
    parts.catchUp(database)
  } finally {
    if (!isKept) {
      await dropDatabase(parts, admin, database)
      await forgetCreation(admin, database)
      onDatabase('dropped')
    }
  }
}

/** What is in the way of a database is in the dump: its own hint would say to deploy again. */
function cannotBeTaken(error: unknown): unknown {
  if (!(error instanceof GatewayError) || error.code !== 'name_conflict') return error
  const { database } = error.details
  return new GatewayError('import_failed', error.message, { database })
}

/** Copies what the ledger says into the catalog. A failure is logged; later requests do it again. */
async function recordLedger(parts: DeployParts, owner: Owner, role: string): Promise<void> {
  const { platform } = owner
  const database = databaseName(owner)
  await lookAt(parts, [{ database, platform, role, schemaChecksum: null, isStale: false }])
  await parts.deployments.copyLedger(owner)
}

function cannotWrite({ message }: TemporaryFolderError, database: string): GatewayError {
  return new GatewayError(
    'import_failed',
    "The gateway's temporary folder cannot be written, which pg_restore needs",
    { database, cause: message, hint: 'Make room in it, or set TMPDIR to another folder' },
    500,
  )
}

function hasNoRole(database: string): GatewayError {
  return new GatewayError(
    'dump_not_available',
    'Platforms share the role of the gateway (ISOLATION=shared), as which the gateway restores no dump',
    { database, hint: 'Restore it with pg_restore, then take it over with POST /admin/adopt' },
  )
}

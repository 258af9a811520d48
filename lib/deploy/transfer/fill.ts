import { GatewayError } from '../../errors.ts'
import { fromPostgres, isCatalogConflict } from '../../postgres/errors.ts'
import { type ListedDump, type Pieces, restore } from '../../postgres/pg-restore.ts'
import { ToolError } from '../../postgres/pg-tools.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteIdentifier } from '../../postgres/quote.ts'
import { readMajor } from '../../postgres/server-tools.ts'
import type { Owner } from '../../tenancy/names.ts'
import { isArchiveOfOthers } from '../../tenancy/schemas/archives.ts'
import { readInPlace } from '../older/ledger.ts'
import type { DeployParts } from '../parts.ts'

/** A dump on its way into a database. */
export interface Restoring {
  owner: Owner
  database: string
  /** Role of the platform. */
  role: string
  /** Path of pg_restore. */
  tool: string
  pieces: Pieces
  signal: AbortSignal
  /** Restores privileges too: the dump is of a database of the same platform, on another server. */
  hasPrivileges?: boolean
}

/** What PostgreSQL says where the body of a function names something that it does not find. */
const LACKS_SCHEMA = /\bdoes not exist\b[\s\S]*\nCONTEXT: /

const NAME_SCHEMAS =
  'A dump is restored with an empty search_path: functions of generated columns, indexes, constraints and triggers have to name the schemas of what they use, or to have "set search_path". Change them in the source and export it again'

/**
 * Makes the role the only one that can connect, apart from the gateway's. A gateway of another catalog that
 * starts may close the new database at this moment.
 */
export async function giveTo(admin: Sql, database: string, role: string): Promise<void> {
  const name = quoteIdentifier(database)
  const give = () =>
    admin.unsafe(`
      revoke all on database ${name} from public;
      alter database ${name} owner to ${quoteIdentifier(role)}
    `)
  await give().catch((error) => {
    if (!isCatalogConflict(error)) throw error
    return give()
  })
}

/**
 * Restores the dump as the role of the platform, with a permit for the connection of pg_restore.
 * @throws {GatewayError} import_failed; pool_exhausted; the errors of the dump's pieces
 */
export async function fill(
  parts: DeployParts,
  restoring: Restoring,
  dump: ListedDump,
): Promise<void> {
  const { database, role, tool, pieces, signal, hasPrivileges = false } = restoring
  const release = await parts.pools
    .reserve(database, async (sql) => {
      await sql.unsafe('')
    })
    .catch((error) => {
      throw fromPostgres(error, database)
    })
  try {
    const target = { server: parts.server, credentials: parts.roles.credentialsOf(role), database }
    const major = await parts.catalog.use(readMajor)
    await restore(tool, target, dump, pieces, signal, { hasPrivileges, major })
  } catch (error) {
    if (!(error instanceof ToolError)) throw error
    const cause = firstError(error)
    const details = { database, cause, ...(LACKS_SCHEMA.test(cause) && { hint: NAME_SCHEMAS }) }
    throw new GatewayError('import_failed', `The dump cannot be restored into ${database}`, details)
  } finally {
    release()
  }
}

/**
 * Checks that the archive in place by the ledger is none that only other platforms have.
 * @throws {GatewayError} import_failed
 */
export async function checkLedger(
  parts: DeployParts,
  { owner, database }: Restoring,
): Promise<void> {
  const inPlace = await parts.pools.use(database, readInPlace)
  if (!inPlace) return
  const isOfOthers = await parts.catalog.use((sql) =>
    isArchiveOfOthers(sql, owner.platform, inPlace.checksum),
  )
  if (!isOfOthers) return
  throw new GatewayError(
    'import_failed',
    'The ledger in the dump is of another platform: the archive in place was deployed to other platforms only',
    { database },
  )
}

/** The error that is none: see `restore`. */
const TIMEOUT_ERROR = /^pg_restore: error: [^\n]*\nCommand was: SET transaction_timeout = 0;\s*/

/** Returns the first error in what pg_restore said, without the statement. */
export function firstError({ message }: ToolError): string {
  const said = message.replace(TIMEOUT_ERROR, '')
  const [, error = message] = /\berror: ([\s\S]*)/.exec(said) ?? []
  return error.split(/\nCommand was: |\npg_restore: /, 1)[0]!.trim()
}

import { GatewayError } from '../../errors.ts'
import { dump } from '../../postgres/pg-dump.ts'
import { listDump, Pieces } from '../../postgres/pg-restore.ts'
import { ToolError } from '../../postgres/pg-tools.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteIdentifier } from '../../postgres/quote.ts'
import { databaseName, type Owner } from '../../tenancy/names.ts'
import { sequencesOf } from '../database/copied-sequences.ts'
import { asGateway, handOver } from '../database/handover.ts'
import { dumpSource } from '../drop/dumps.ts'
import { entriesToRestore } from '../transfer/contents.ts'
import { fill, firstError } from '../transfer/fill.ts'
import { copyAnswers } from './answers.ts'
import { moveRefused } from './check.ts'
import type { MoveServers } from './servers.ts'
import { type DatabaseSettings, writeSettings } from './settings.ts'

/** The programs of PostgreSQL that copy a database; both of the target's version or later. */
export interface CopyTools {
  dump: string
  restore: string
}

/** A copy that is to be made. */
export interface CopyRequest {
  owner: Owner
  /** Name that the source has meanwhile. */
  kept: string
  /** Role of the platform, which has the same name on both servers. */
  role: string
  tools: CopyTools
  signal: AbortSignal
  /**
   * Copies no rows but those of the ledger, and no kept answers: others follow. The source has its own
   * name then, and is in use.
   */
  isSchema?: boolean
}

/**
 * Fills the owner's new database on the target with what pg_dump reads of the source, and hands it
 * over. Nobody else works in the new one.
 * @param admin session in the target's administrative database, which holds the lock of the name
 * @param settings `readSettings` of the source; undefined: they are written later
 * @throws {GatewayError} move_refused with the first error of pg_dump or pg_restore; pool_exhausted;
 *   the signal's reason
 */
export async function copyContents(
  { source, target }: MoveServers,
  admin: Sql,
  { owner, kept, role, tools, signal, isSchema = false }: CopyRequest,
  settings?: DatabaseSettings,
): Promise<void> {
  const database = databaseName(owner)
  const release = await source.pools.reserve(kept, async (sql) => {
    await sql.unsafe('')
  })
  try {
    const { lockTimeoutMs } = source.config
    for (const only of isSchema ? (['schema', 'ledger'] as const) : [undefined]) {
      const limits = { lockTimeoutMs, isCompressed: false, signal, only }
      await dump(tools.dump, dumpSource(source, kept), limits, async (out) => {
        const chunks = out[Symbol.asyncIterator]()
        const pieces = new Pieces(async () => {
          const { done, value } = await chunks.next()
          return done ? undefined : (value as Buffer)
        })
        const listed = await listDump(tools.restore, pieces, signal)
        const lines = entriesToRestore(listed.lines).filter((line) => isToRestore(line, role))
        const restoring = { owner, database, role, tool: tools.restore, pieces, signal }
        await fill(target, { ...restoring, hasPrivileges: true }, { ...listed, lines })
      })
    }
  } catch (error) {
    throw told(error, owner)
  } finally {
    release()
  }
  signal.throwIfAborted()
  // As its owner the gateway's role hands it over, with a ledger of its own.
  await admin.unsafe(`alter database ${quoteIdentifier(database)} owner to current_user`)
  const logSequences = sequencesOf(target.config.baseTemplate, target, owner.platform)
  await handOver(target, admin, owner, async (to) => {
    await logSequences?.(to)
    if (!isSchema) await asGateway(source, kept, (from) => copyAnswers(from, to))
  })
  if (settings) await writeSettings(admin, database, settings)
}

/** Privileges on what is the gateway's own are given by the handover. */
function isToRestore(line: string, role: string): boolean {
  const [, rest = ''] = /^\d+; \d+ \d+ (?:DEFAULT )?ACL (.*)$/.exec(line) ?? []
  return rest === '' || (rest.endsWith(` ${role}`) && !/ _db_gateway_|^- SCHEMA public /.test(rest))
}

function told(error: unknown, owner: Owner): unknown {
  if (error instanceof ToolError) {
    return moveRefused(
      owner,
      `pg_dump fails: ${firstError(error)}`,
      'Mend that, or move it by hand',
    )
  }
  if (!(error instanceof GatewayError) || error.code !== 'import_failed') return error
  const { cause, hint } = error.details
  return moveRefused(
    owner,
    `the other server does not take it: ${cause ?? error.message}`,
    typeof hint === 'string' ? hint : 'Mend that, or move it by hand',
  )
}

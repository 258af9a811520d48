import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { GatewayError } from '../../errors.ts'
import { type DumpSource, dumpTo } from '../../postgres/pg-dump.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { requirePgTool } from '../../postgres/server-tools.ts'
import type { DeployParts } from '../parts.ts'

/** A dump of a tenant's database. */
export interface Dump {
  /** Absolute path of the file. */
  file: string
  /** Size of the file. */
  bytes: number
  /** Time after which the gateway deletes the file, in ISO 8601. */
  keptUntil: string
}

/** End of a dump's file name: the time of the dump in UTC, and `.part` while it is written. */
const NAME = /_(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z\.dump(\.part)?$/

const DAY_MS = 24 * 60 * 60 * 1000

/** Age in days at which an unfinished dump is deleted: its gateway must have died. */
const PART_DAYS = 2

/**
 * Parts of the ledger that the platform's role may not read: the schema `_db_gateway`, which holds
 * the ledger's key, and the values of the sequences. The next deploy after a restore renews the
 * ledger.
 */
const WITHOUT = { withoutSchema: '_db_gateway', withoutData: 'public._db_gateway_*_seq' }

/** Returns what to dump of a database, as the role that the catalog records for it. */
export function dumpSource({ server, catalog, roles }: DeployParts, database: string): DumpSource {
  const credentials = roles.credentialsOf(catalog.holderOf(database)?.role ?? null)
  return { server, credentials, database, ...WITHOUT }
}

/**
 * Returns the path of a pg_dump for this server.
 * @throws {GatewayError} dump_not_available
 */
export function requirePgDump(sql: Sql): Promise<string> {
  return requirePgTool(sql, 'pg_dump', ', or send "dump": false to drop the tenant without a dump')
}

/**
 * Dumps a database into DUMP_DIR (see `dumpSource`). The file is complete and synced before it gets
 * its final name. A table that others lock for LOCK_TIMEOUT_SECS fails it.
 * @param pgDump path of pg_dump
 * @throws {GatewayError} dump_failed
 */
export async function dumpDatabase(
  parts: DeployParts,
  pgDump: string,
  database: string,
): Promise<Dump> {
  const { config, pools } = parts
  const at = new Date()
  const time = at.toISOString().replaceAll(/[-:]|\.\d+/g, '')
  const file = join(resolve(config.dumpDir), `${database}_${time}.dump`)
  const part = `${file}.part`
  try {
    // During a rotation of the secret the role may have either of two passwords. pg_dump tries only
    // one; connecting here first finds the valid one.
    await pools.use(database, (sql) => sql`select`)
    await mkdir(resolve(config.dumpDir), { recursive: true, mode: 0o700 })
    const limits = { lockTimeoutMs: config.lockTimeoutMs }
    await dumpTo(pgDump, dumpSource(parts, database), limits, part)
    await rename(part, file)
    const { size } = await stat(file)
    const keptUntil = new Date(at.getTime() + config.tenantDumpDays * DAY_MS).toISOString()
    return { file, bytes: size, keptUntil }
  } catch (error) {
    await rm(part, { force: true }).catch(() => {})
    if (error instanceof GatewayError) throw error
    const cause = (error as Error).message
    const message = `${database} could not be dumped, and was not dropped`
    throw new GatewayError('dump_failed', message, { database, cause })
  }
}

/** Deletes the dumps in a folder that are older than `days`; returns the names of their files. */
export async function deleteOldDumps(folder: string, days: number): Promise<string[]> {
  const names = await readdir(folder).catch(() => [])
  const deleted: string[] = []
  for (const name of names) {
    const match = NAME.exec(name)
    if (!match) continue
    const [, year, month, day, hour, minute, second, part] = match
    const at = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
    const kept = part ? Math.min(PART_DAYS, days) : days
    // Digits that are no valid date give NaN; such a file is kept.
    if (!(Date.now() - at > kept * DAY_MS)) continue
    await rm(join(folder, name), { force: true })
    deleted.push(name)
  }
  return deleted
}

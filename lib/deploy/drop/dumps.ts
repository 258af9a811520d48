import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { GatewayError } from '../../errors.ts'
import { dumpTo, findPgDump } from '../../postgres/pg-dump.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { DeployParts } from '../parts.ts'

/** A dump of a database that was dropped. */
export interface Dump {
  file: string
  bytes: number
  /** ISO 8601: the gateway deletes it after that. */
  keptUntil: string
}

/** The time of a dump in the name of its file; `.part` while it is written. */
const NAME = /_(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z\.dump(\.part)?$/

const DAY_MS = 24 * 60 * 60 * 1000

/** A dump that was not finished within this time never will be. */
const PART_DAYS = 2

/**
 * Of the ledger, what the platform's role may not read: the key, and the numbers that are given next. The
 * next deploy makes the ledger anew.
 */
const WITHOUT = { withoutSchema: '_db_gateway', withoutData: 'public._db_gateway_*_seq' }

/**
 * The pg_dump of the server's version.
 * @throws {GatewayError} dump_not_available
 */
export async function requirePgDump(sql: Sql): Promise<string> {
  const [row] = await sql<{ major: number }[]>`
    select current_setting('server_version_num')::integer / 10000 as major
  `
  const { major } = row!
  const path = await findPgDump(major)
  if (path !== undefined) return path
  throw new GatewayError(
    'dump_not_available',
    `This gateway finds no pg_dump of PostgreSQL ${major}, the version of the server: install it (its folder in PATH), or send "dump": false to drop the tenant without a dump`,
  )
}

/**
 * Dumps a database into DUMP_DIR, as the role that has it.
 * @param pgDump its path
 * @throws {GatewayError} dump_failed
 */
export async function dumpDatabase(
  { config, pools, server, catalog, roles }: DeployParts,
  pgDump: string,
  database: string,
): Promise<Dump> {
  const at = new Date()
  const time = at.toISOString().replaceAll(/[-:]|\.\d+/g, '')
  const file = join(resolve(config.dumpDir), `${database}_${time}.dump`)
  const part = `${file}.part`
  try {
    // Of two passwords, the one that is let in is known then.
    await pools.use(database, (sql) => sql`select`)
    await mkdir(resolve(config.dumpDir), { recursive: true, mode: 0o700 })
    const credentials = roles.credentialsOf(catalog.holderOf(database)?.role ?? null)
    await dumpTo(pgDump, { server, credentials, database, ...WITHOUT }, part)
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

/** Deletes the dumps of a folder that are older than so many days. */
export async function deleteOldDumps(folder: string, days: number): Promise<string[]> {
  const names = await readdir(folder).catch(() => [])
  const deleted: string[] = []
  for (const name of names) {
    const match = NAME.exec(name)
    if (!match) continue
    const [, year, month, day, hour, minute, second, part] = match
    const at = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
    const kept = part ? Math.min(PART_DAYS, days) : days
    // A number that is no date is older than nothing.
    if (!(Date.now() - at > kept * DAY_MS)) continue
    await rm(join(folder, name), { force: true })
    deleted.push(name)
  }
  return deleted
}
